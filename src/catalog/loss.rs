//! Packs given up for lost, and what became of what they held.
//!
//! A pack found lost or damaged, in spool or vault, is ONE transaction: the pack lost, its chunks unknown, versions that
//! need it dirty again, and a record for the log. Dying before it changes nothing; dying after it leaves dirty rows,
//! which every start works off. Once those are worked off the loss is judged: what of it lies elsewhere by then is
//! healed, and versions whose bytes lay only there are kept by name.

use super::history::pieces_of;
use super::{Catalog, CatalogPiece, history, tree};
use crate::clock::Wall;
use crate::error::Result;
use crate::format::pack::PackRecord;
use crate::model::{Seq, Sha256, TreePath};
use rusqlite::{Connection, OptionalExtension, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

/// Losses judged in one go.
const AT_ONCE: i64 = 64;
/// Versions looked at in one go.
const PAGE: i64 = 10_000;
/// Up to which loss the owner has seen what could not be healed: a fact.
pub const ACKNOWLEDGED: &str = "losses_acknowledged";

/// A version whose bytes lay only in a lost pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Casualty {
    pub path: TreePath,
    pub captured: Wall,
    /// Name of the pack.
    pub pack: String,
    pub why: String,
    pub lost: Wall,
    /// It is the version that counts now: the file itself, not its past, cannot be brought back.
    pub is_latest: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossSums {
    /// Packs whose files are being read again.
    pub healing: u64,
    /// Packs all of which is back.
    pub healed: u64,
    /// Versions that cannot be brought back.
    pub casualties: u64,
    /// Of those, the ones the owner has not acknowledged.
    pub unseen: u64,
}

/// On whose word packs are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Nobody's: as long as they are few.
    OfItself,
    Owner,
}

struct Reason<'a> {
    why: &'a str,
    word: Word,
    notice: u64,
    at: Wall,
}

/// What judging came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    pub healed: u64,
    /// Packs some of which is gone for good.
    pub broken: u64,
    pub casualties: u64,
    /// Not yet: something of them is still on its way.
    pub waiting: u64,
}

/// Where the chunks of a lost pack lie by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Elsewhere {
    Spooled,
    Nowhere,
}

/// The log says so: judged once everything was walked.
pub(super) fn imported(tx: &Transaction<'_>, hash: Sha256, seq: Seq) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT OR IGNORE INTO loss (pack, seq, at, notice, state, owner, why)
         SELECT id, ?2, 0, 0, 0, 0, 'the log says that it is lost' FROM pack WHERE hash = ?1 AND LENGTH(record) > 0",
        (&hash.0[..], seq.0.cast_signed()),
    )
    .map(drop)
}

impl Catalog {
    /// One pack, found lost in the spool. How many paths became dirty.
    pub fn pack_lost(&self, id: i64, at: Wall) -> Result<u64> {
        self.packs_lost(&[(id, String::new())], Word::OfItself, at)
    }

    /// Packs found lost or damaged, each with the reason, as ONE transaction. Those that are lost already change nothing.
    /// How many paths became dirty.
    pub fn packs_lost(&self, packs: &[(i64, String)], word: Word, at: Wall) -> Result<u64> {
        let notice = self.new_notice();
        self.write("note lost packs", |tx| {
            let mut gone = Vec::with_capacity(packs.len());
            for (id, why) in packs {
                if self.one_lost(tx, *id, &Reason { why, word, notice, at })? {
                    gone.push(*id);
                }
            }
            if gone.is_empty() {
                return Ok(0);
            }
            gone.sort_unstable();
            let dirty = history::dirty_again(tx, &gone, notice, at)?;
            history::drop_unpublished(tx, &gone)?;
            for id in &gone {
                tx.prepare_cached("DELETE FROM wait WHERE pack = ?")?.execute([id])?;
            }
            tx.execute("DELETE FROM wait WHERE version NOT IN (SELECT seq FROM version)", [])?;
            // What needed them is dirty now, and no longer counted as safe.
            if !tx.query_row("SELECT EXISTS (SELECT 1 FROM defect WHERE pack IS NOT NULL AND wrong <= 2)", [], |r| {
                r.get(0)
            })? {
                tx.execute("DELETE FROM risk", [])?;
            }
            // The log will name these seqs, and then no row here remembers them.
            super::set_fact(tx, "seq_floor", self.next_seq.load(Ordering::Relaxed).cast_signed())?;
            Ok(dirty)
        })
    }

    fn one_lost(&self, tx: &Transaction<'_>, id: i64, reason: &Reason<'_>) -> rusqlite::Result<bool> {
        let found: Option<(Vec<u8>, i64)> = tx
            .prepare_cached("SELECT hash, state FROM pack WHERE id = ?")?
            .query_row([id], |r| Ok((r.get(0)?, r.get(1)?)))
            .optional()?;
        let Some((hash, state)) = found.filter(|f| f.1 < 2) else { return Ok(false) };
        tx.prepare_cached("UPDATE pack SET state = 2 WHERE id = ?")?.execute([id])?;
        tx.prepare_cached("DELETE FROM place WHERE pack = ?")?.execute([id])?;
        if state == 1 {
            let seq = self.new_seq().0.cast_signed();
            tx.prepare_cached("INSERT OR IGNORE INTO lost (hash, seq) VALUES (?, ?)")?.execute((hash, seq))?;
            tx.prepare_cached(
                "INSERT OR REPLACE INTO loss (pack, seq, at, notice, state, owner, why) VALUES (?, ?, ?, ?, 0, ?, ?)",
            )?
            .execute((
                id,
                seq,
                reason.at.0,
                reason.notice.cast_signed(),
                reason.word == Word::Owner,
                reason.why,
            ))?;
        }
        Ok(true)
    }

    /// Packs given up since a time, and since the owner's last word, without asking.
    pub fn lost_unasked(&self, since: Wall) -> Result<u64> {
        self.read("count losses", |c| {
            c.prepare_cached(
                "SELECT COUNT(*) FROM loss WHERE at >= ? AND owner = 0
                 AND seq > (SELECT COALESCE(MAX(seq), 0) FROM loss WHERE owner = 1)",
            )?
            .query_row([since.0], |r| tree::number(r, 0))
        })
    }

    pub fn loss_sums(&self) -> Result<LossSums> {
        let acknowledged = self.fact::<i64>(ACKNOWLEDGED)?.unwrap_or(0);
        self.read("count losses", |c| {
            let count = |sql: &str| c.prepare_cached(sql)?.query_row([], |r| tree::number(r, 0));
            let unseen = c
                .prepare_cached("SELECT COUNT(DISTINCT version) FROM casualty JOIN loss USING (pack) WHERE seq > ?")?
                .query_row([acknowledged], |r| tree::number(r, 0))?;
            Ok(LossSums {
                healing: count("SELECT COUNT(*) FROM loss WHERE state = 0")?,
                healed: count("SELECT COUNT(*) FROM loss WHERE state = 1")?,
                casualties: count("SELECT COUNT(DISTINCT version) FROM casualty")?,
                unseen,
            })
        })
    }

    /// Versions that cannot be brought back, the newest loss first, and within it by path.
    pub fn casualties(&self, most: usize) -> Result<Vec<Casualty>> {
        self.read("read what cannot be healed", |c| {
            let mut s = c.prepare_cached(
                "SELECT v.node, v.captured, p.hash, p.tier, l.why, l.at, n.seq = v.seq
                 FROM casualty x JOIN loss l ON l.pack = x.pack JOIN pack p ON p.id = x.pack
                 JOIN version v ON v.seq = x.version JOIN node n ON n.id = v.node
                 GROUP BY x.version ORDER BY l.seq DESC, v.node, v.seq LIMIT ?",
            )?;
            let mut rows = s.query([i64::try_from(most).unwrap_or(i64::MAX)])?;
            let mut out = vec![];
            while let Some(r) = rows.next()? {
                out.push(casualty(c, r)?);
            }
            Ok(out)
        })
    }

    /// The same of one path.
    pub fn casualties_of(&self, node: super::NodeId) -> Result<Vec<Casualty>> {
        self.read("read what cannot be healed", |c| {
            let mut s = c.prepare_cached(
                "SELECT v.node, v.captured, p.hash, p.tier, l.why, l.at, n.seq = v.seq
                 FROM version v JOIN casualty x ON x.version = v.seq JOIN loss l ON l.pack = x.pack
                 JOIN pack p ON p.id = x.pack JOIN node n ON n.id = v.node
                 WHERE v.node = ? GROUP BY x.version ORDER BY v.seq DESC",
            )?;
            let mut rows = s.query([node.0])?;
            let mut out = vec![];
            while let Some(r) = rows.next()? {
                out.push(casualty(c, r)?);
            }
            Ok(out)
        })
    }

    /// The owner has seen all that cannot be healed so far: it is no alarm any more. How many versions that is.
    pub fn acknowledge_losses(&self) -> Result<u64> {
        self.write("acknowledge losses", |tx| {
            let seq: i64 = tx.query_row("SELECT COALESCE(MAX(seq), 0) FROM loss WHERE state = 2", [], |r| r.get(0))?;
            let floor: i64 = tx
                .query_row("SELECT value FROM fact WHERE name = ?", [ACKNOWLEDGED], |r| r.get(0))
                .optional()?
                .unwrap_or(0);
            super::set_fact(tx, ACKNOWLEDGED, seq.max(floor))?;
            tx.query_row("SELECT COUNT(DISTINCT version) FROM casualty", [], |r| tree::number(r, 0))
        })
    }

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

/// Whether losses that were judged before are judged once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    Yes,
    No,
}

/// Versions a loss hurts, by pack.
#[derive(Debug, Default)]
struct Hurt {
    gone: BTreeMap<i64, BTreeSet<i64>>,
    waits: BTreeSet<i64>,
}

fn casualty(c: &Connection, r: &rusqlite::Row<'_>) -> rusqlite::Result<Casualty> {
    let hash = Sha256::from_slice(&r.get::<_, Vec<u8>>(2)?).ok_or(rusqlite::Error::InvalidQuery)?;
    let name = crate::format::Name::Pack(super::objects::tier(r.get(3)?), hash);
    Ok(Casualty {
        path: tree::path_of(c, super::NodeId(r.get(0)?))?,
        captured: Wall(r.get(1)?),
        pack: name.to_string(),
        why: r.get(4)?,
        lost: Wall(r.get(5)?),
        is_latest: r.get(6)?,
    })
}
