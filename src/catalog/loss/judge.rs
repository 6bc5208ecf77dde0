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
enum Elsewhere {
    /// Some only in the spool: not yet to be said.
    OnTheWay,
    /// All but these are in stored packs.
    AllBut(BTreeSet<u32>),
}

/// Versions that a loss hurts, by pack.
type Hurt = BTreeMap<i64, BTreeSet<i64>>;

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
        let (mut holes, mut judged) = (BTreeMap::new(), Judged::default());
        let mut ripe = vec![];
        for pack in packs {
            match self.elsewhere(*pack)? {
                Elsewhere::OnTheWay => judged.waiting += 1,
                Elsewhere::AllBut(gone) => {
                    ripe.push(*pack);
                    if !gone.is_empty() {
                        holes.insert(*pack, gone);
                    }
                }
            }
        }
        let hurt = if holes.is_empty() { Hurt::new() } else { self.hurt_by(&holes)? };
        self.write("judge losses", |tx| {
            for pack in &ripe {
                tx.prepare_cached("DELETE FROM casualty WHERE pack = ?")?.execute([pack])?;
                let versions = hurt.get(pack);
                for version in versions.into_iter().flatten() {
                    tx.prepare_cached("INSERT OR IGNORE INTO casualty (version, pack) VALUES (?, ?)")?
                        .execute((version, pack))?;
                    judged.casualties += 1;
                }
                let state = if versions.is_some() { 2 } else { 1 };
                *if versions.is_some() { &mut judged.broken } else { &mut judged.healed } += 1;
                tx.prepare_cached("UPDATE loss SET state = ? WHERE pack = ?")?.execute((state, pack))?;
            }
            Ok(judged)
        })
    }

    fn elsewhere(&self, pack: i64) -> Result<Elsewhere> {
        let record: Option<Vec<u8>> = self.read("read a lost pack's record", |c| {
            c.prepare_cached("SELECT record FROM pack WHERE id = ? AND LENGTH(record) > 0")?
                .query_row([pack], |r| r.get(0))
                .optional()
        })?;
        let Some(record) = record else { return Ok(Elsewhere::AllBut(BTreeSet::new())) };
        let record = PackRecord::from_cbor(&record)?;
        self.read("look where the chunks of a lost pack lie", |c| {
            let mut s = c.prepare_cached(
                "SELECT MAX(pack.state) FROM place JOIN pack ON pack.id = place.pack WHERE place.chunk = ? AND pack.state < 2",
            )?;
            let mut gone = BTreeSet::new();
            for (id, number) in record.table.ids.iter().zip(0u32..) {
                match s.query_row([&id.0[..]], |r| r.get::<_, Option<i64>>(0))? {
                    Some(1) => {}
                    Some(_) => return Ok(Elsewhere::OnTheWay),
                    None => drop(gone.insert(number)),
                }
            }
            Ok(Elsewhere::AllBut(gone))
        })
    }

    /// Every version there is, page by page: which ones need chunks that lie nowhere.
    fn hurt_by(&self, holes: &BTreeMap<i64, BTreeSet<u32>>) -> Result<Hurt> {
        let (mut hurt, mut after) = (Hurt::new(), 0_i64);
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
                    let needs = |gone: &BTreeSet<u32>| gone.range(first..first.saturating_add(count)).next().is_some();
                    if holes.get(&pack).is_some_and(needs) {
                        hurt.entry(pack).or_default().insert(*seq);
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
