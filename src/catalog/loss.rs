//! Packs given up for lost, and what became of what they held.
//!
//! A pack found lost or damaged, in spool or vault, is ONE transaction: the pack lost, its chunks unknown, versions that
//! need it dirty again, and a record for the log. Dying before it changes nothing; dying after it leaves dirty rows,
//! which every start works off. Once those are worked off the loss is judged: what of it lies elsewhere by then is
//! healed, and versions whose bytes lay only there are kept by name.

mod judge;

use super::{Catalog, history, tree};
use crate::clock::Wall;
use crate::error::Result;
use crate::model::{Seq, Sha256, TreePath};
use rusqlite::{Connection, OptionalExtension, Transaction};
use std::sync::atomic::Ordering;

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
}

/// Whether losses that were judged before are judged once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    Yes,
    No,
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
