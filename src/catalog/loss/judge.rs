//! What became of packs given up: which of their chunks lie elsewhere by now, and which versions need those that do not.
//! And of packs that wait for the owner: which files are not safe as long as they do.

use super::{Again, Judged};
use crate::catalog::history::pieces_of;
use crate::catalog::{Catalog, CatalogPiece, history, tree};
use crate::error::Result;
use crate::format::pack::PackRecord;
use crate::model::Seq;
use rusqlite::OptionalExtension;
use std::collections::{BTreeMap, BTreeSet};

/// Losses judged in one go.
const AT_ONCE: i64 = 64;
/// Versions looked at in one go.
const PAGE: i64 = 10_000;

/// Where the chunks of a lost pack lie by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Elsewhere {
    Spooled,
    Nowhere,
}

/// Versions a loss hurts, by pack.
#[derive(Debug, Default)]
struct Hurt {
    gone: BTreeMap<i64, BTreeSet<i64>>,
    waits: BTreeSet<i64>,
}

impl Catalog {
    /// Losses the log told of get their place in the order of noticing: to be called once all roots were walked.
    pub fn place_losses(&self) -> Result<()> {
        let any: bool = self.read("look for losses", |c| {
            c.prepare_cached("SELECT EXISTS (SELECT 1 FROM loss WHERE state = 0 AND notice = 0)")?
                .query_row([], |r| r.get(0))
        })?;
        if !any {
            return Ok(());
        }
        let notice = self.new_notice().cast_signed();
        self.write("note losses the log told of", |tx| {
            tx.execute("UPDATE loss SET notice = ? WHERE state = 0 AND notice = 0", [notice]).map(drop)
        })
    }

    /// Losses that may be judged: nothing noticed up to theirs is owed a look but what failed. With `again`, also those
    /// judged before and not whole: a file that came back heals them.
    pub fn losses_to_judge(&self, again: Again, after: i64) -> Result<Vec<i64>> {
        self.read("look for losses", |c| {
            let mut s = c.prepare_cached(
                "SELECT pack FROM loss WHERE pack > ?3 AND notice > 0 AND (state = 0 OR (state = 2 AND ?1))
                 AND notice < COALESCE((SELECT MIN(notice) FROM dirty WHERE error IS NULL), 9223372036854775807)
                 ORDER BY pack LIMIT ?2",
            )?;
            s.query_map((again == Again::Yes, AT_ONCE, after), |r| r.get(0))?.collect()
        })
    }

    /// Judges losses, at most some dozens at once: what lies elsewhere by now, and which versions are gone for good.
    pub fn judge(&self, packs: &[i64]) -> Result<Judged> {
        let mut holes: BTreeMap<i64, BTreeMap<u32, Elsewhere>> = BTreeMap::new();
        for pack in packs {
            let missing = self.not_stored_elsewhere(*pack)?;
            if !missing.is_empty() {
                holes.insert(*pack, missing);
            }
        }
        let hurt = if holes.is_empty() { Hurt::default() } else { self.hurt_by(&holes)? };
        let mut judged = Judged::default();
        self.write("judge losses", |tx| {
            for pack in packs {
                tx.prepare_cached("DELETE FROM casualty WHERE pack = ?")?.execute([pack])?;
                let gone = hurt.gone.get(pack);
                let state = match gone {
                    Some(versions) => {
                        let mut s =
                            tx.prepare_cached("INSERT OR IGNORE INTO casualty (version, pack) VALUES (?, ?)")?;
                        versions.iter().try_for_each(|version| s.execute((version, pack)).map(drop))?;
                        judged.broken += 1;
                        judged.casualties += versions.len() as u64;
                        2
                    }
                    None if hurt.waits.contains(pack) => {
                        judged.waiting += 1;
                        0
                    }
                    None => {
                        judged.healed += 1;
                        1
                    }
                };
                tx.prepare_cached("UPDATE loss SET state = ? WHERE pack = ?")?.execute((state, pack))?;
            }
            Ok(judged)
        })
    }

    /// Chunks of a lost pack that no stored pack holds, by number.
    fn not_stored_elsewhere(&self, pack: i64) -> Result<BTreeMap<u32, Elsewhere>> {
        let record: Option<Vec<u8>> = self.read("read a lost pack's record", |c| {
            c.prepare_cached("SELECT record FROM pack WHERE id = ? AND LENGTH(record) > 0")?
                .query_row([pack], |r| r.get(0))
                .optional()
        })?;
        let Some(record) = record else { return Ok(BTreeMap::new()) };
        let record = PackRecord::from_cbor(&record)?;
        self.read("look where the chunks of a lost pack lie", |c| {
            let mut s = c.prepare_cached(
                "SELECT MAX(pack.state) FROM place JOIN pack ON pack.id = place.pack WHERE place.chunk = ? AND pack.state < 2",
            )?;
            let mut out = BTreeMap::new();
            for (id, number) in record.table.ids.iter().zip(0u32..) {
                let state: Option<i64> = s.query_row([&id.0[..]], |r| r.get(0))?;
                match state {
                    Some(1) => {}
                    Some(_) => drop(out.insert(number, Elsewhere::Spooled)),
                    None => drop(out.insert(number, Elsewhere::Nowhere)),
                }
            }
            Ok(out)
        })
    }

    /// Every version there is, page by page: which ones need chunks that are gone or still on their way.
    fn hurt_by(&self, holes: &BTreeMap<i64, BTreeMap<u32, Elsewhere>>) -> Result<Hurt> {
        let (mut hurt, mut after) = (Hurt::default(), 0_i64);
        loop {
            let page: Vec<(i64, Vec<u8>)> = self.read("look for what needs a lost pack", |c| {
                let mut s = c.prepare_cached(
                    "SELECT seq, content FROM version WHERE seq > ? AND kind < 2 AND content IS NOT NULL ORDER BY seq LIMIT ?",
                )?;
                s.query_map((after, PAGE), |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
            })?;
            let Some(last) = page.last() else { return Ok(hurt) };
            after = last.0;
            for (seq, content) in &page {
                for piece in pieces_of(content)? {
                    let CatalogPiece::Run { pack, first, count } = piece else { continue };
                    let Some(missing) = holes.get(&pack) else { continue };
                    for elsewhere in missing.range(first..first.saturating_add(count)).map(|m| *m.1) {
                        match elsewhere {
                            Elsewhere::Nowhere => drop(hurt.gone.entry(pack).or_default().insert(*seq)),
                            Elsewhere::Spooled => drop(hurt.waits.insert(pack)),
                        }
                    }
                }
            }
        }
    }

    /// Whether a version needs a pack that is missing or damaged and waits for the owner.
    pub fn needs_what_is_lost(&self, version: Seq) -> Result<bool> {
        for piece in pieces_of(&self.content_bytes(version)?)? {
            if let CatalogPiece::Run { pack, .. } = piece
                && self.is_waiting(pack)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Counts the files that need a pack which is missing or damaged and waits for the owner: they are not safe. Looks at
    /// the latest version of every file once.
    pub fn count_risk(&self) -> Result<()> {
        let lost: Vec<i64> = self.losses_waiting(usize::MAX)?.into_iter().map(|l| l.0).collect();
        let mut sums: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
        let mut after = 0_i64;
        while !lost.is_empty() {
            let page: Vec<(i64, i64, u64, Vec<u8>)> = self.read("look for files at risk", |c| {
                let mut s = c.prepare_cached(
                    "SELECT n.id, n.root, n.size, v.content FROM node n JOIN version v ON v.seq = n.seq
                     WHERE n.id > ? AND n.shape = 0 AND v.content IS NOT NULL
                       AND NOT EXISTS (SELECT 1 FROM dirty WHERE node = n.id) ORDER BY n.id LIMIT ?",
                )?;
                s.query_map((after, PAGE), |r| Ok((r.get(0)?, r.get(1)?, tree::number(r, 2)?, r.get(3)?)))?.collect()
            })?;
            let Some(last) = page.last() else { break };
            after = last.0;
            for (_, root, size, content) in &page {
                if history::needs(content, &lost) {
                    let sum = sums.entry(*root).or_default();
                    *sum = (sum.0 + 1, sum.1.saturating_add(*size));
                }
            }
        }
        self.write("note files at risk", |tx| {
            tx.execute("DELETE FROM risk", [])?;
            let mut s = tx.prepare_cached("INSERT INTO risk (root, files, bytes) VALUES (?, ?, ?)")?;
            sums.iter().try_for_each(|(root, (files, bytes))| {
                s.execute((root, files.cast_signed(), bytes.cast_signed())).map(drop)
            })
        })
    }
}
