//! What looking at the vault told: of stored packs, of what is wrong, of the runs themselves.
//!
//! Nothing here decides anything. An inventory writes what it suspects aside, and only its end makes that count, in one
//! transaction with its result: one that dies half way has said nothing.

mod found;

pub use found::{Check, Checked, Coverage, Defect, Fence, PackToSee, RoundPlace, Sight, Waiting, Wrong};

use super::objects::tier_number;
use super::{Catalog, tree};
use crate::clock::Wall;
use crate::error::Result;
use crate::model::{SegmentNo, Sha256, Tier};
use rusqlite::{OptionalExtension, Row};

fn hash(bytes: &[u8]) -> rusqlite::Result<Sha256> {
    Sha256::from_slice(bytes).ok_or(rusqlite::Error::InvalidQuery)
}

fn tier(n: i64) -> Tier {
    super::objects::tier(n)
}

fn to_see(r: &Row<'_>) -> rusqlite::Result<PackToSee> {
    Ok(PackToSee {
        id: r.get(0)?,
        hash: hash(&r.get::<_, Vec<u8>>(1)?)?,
        tier: tier(r.get(2)?),
        size: tree::number(r, 3)?,
        etag: r.get(4)?,
    })
}

fn defect(r: &Row<'_>) -> rusqlite::Result<Defect> {
    Ok(Defect {
        name: r.get(0)?,
        found: Check::from_number(r.get(1)?),
        wrong: Wrong::from_number(r.get(2)?),
        pack: r.get(3)?,
        size: tree::number(r, 4)?,
        at: Wall(r.get(5)?),
        said: r.get(6)?,
    })
}

const LOSS: &str = "pack IS NOT NULL AND wrong <= 2";

impl Catalog {
    pub fn fence(&self) -> Result<Fence> {
        self.read("look where the catalog stands", |c| {
            let number = |sql: &str| c.prepare_cached(sql)?.query_row([], |r| r.get::<_, i64>(0));
            let mut s = c.prepare_cached("SELECT id FROM pack WHERE state = 0 ORDER BY id")?;
            Ok(Fence {
                pack: number("SELECT COALESCE(MAX(id), 0) FROM pack")?,
                spooled: s.query_map([], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?,
                segment: SegmentNo(
                    number("SELECT COALESCE(MAX(number), 0) FROM segment WHERE state = 1")?.cast_unsigned(),
                ),
            })
        })
    }

    /// Stored packs of a tier in the order of a listing, page by page.
    pub fn packs_to_see(&self, of: Tier, after: &[u8], most: usize) -> Result<Vec<PackToSee>> {
        self.read("read stored packs", |c| {
            let mut s = c.prepare_cached(
                "SELECT p.id, p.hash, p.tier, p.size, s.etag FROM pack p INDEXED BY pack_stored LEFT JOIN seen s ON s.pack = p.id
                 WHERE p.state = 1 AND p.tier = ? AND p.hash > ? ORDER BY p.hash LIMIT ?",
            )?;
            s.query_map((tier_number(of), after, most as i64), to_see)?.collect()
        })
    }

    /// Stored packs whose turn it is: the one looked at longest ago first, from after `place` on; only those last looked
    /// at before `before`. With each its place.
    pub fn packs_due(
        &self,
        check: Check,
        place: RoundPlace,
        before: Wall,
        most: usize,
    ) -> Result<Vec<(RoundPlace, PackToSee)>> {
        let column = check.column();
        self.read("read whose turn it is", |c| {
            let mut s = c.prepare_cached(&format!(
                "SELECT p.id, p.hash, p.tier, p.size, s.etag, s.{column} FROM seen s INDEXED BY seen_{column} JOIN pack p ON p.id = s.pack
                 WHERE (s.{column}, s.pack) > (?1, ?2) AND s.{column} < ?3 AND p.state = 1 ORDER BY s.{column}, s.pack LIMIT ?4"
            ))?;
            s.query_map((place.0, place.1, before.0, most as i64), |r| Ok(((r.get(5)?, r.get(0)?), to_see(r)?)))?
                .collect()
        })
    }

    /// Whether any row is about a pack of this hash: it may be on its way, or called lost.
    pub fn knows_pack(&self, hash: Sha256) -> Result<bool> {
        self.read("look for a pack", |c| {
            c.prepare_cached("SELECT EXISTS (SELECT 1 FROM pack WHERE hash = ?)")?
                .query_row([&hash.0[..]], |r| r.get(0))
        })
    }

    /// What listings told first: from then on it is compared.
    pub fn learn_etags(&self, learnt: &[(i64, String)]) -> Result<()> {
        self.write("note what a listing told", |tx| {
            let mut s = tx.prepare_cached("UPDATE seen SET etag = ? WHERE pack = ?")?;
            learnt.iter().try_for_each(|(pack, etag)| s.execute((etag, pack)).map(drop))
        })
    }

    /// The same of segments of the log.
    pub fn learn_segment_etags(&self, learnt: &[(SegmentNo, String)]) -> Result<()> {
        self.write("note what a listing told", |tx| {
            let mut s = tx.prepare_cached("INSERT OR REPLACE INTO segment_seen (number, etag) VALUES (?, ?)")?;
            learnt.iter().try_for_each(|(number, etag)| s.execute((number.0.cast_signed(), etag)).map(drop))
        })
    }

    pub fn segment_etag(&self, number: SegmentNo) -> Result<Option<String>> {
        self.read("read what a listing told", |c| {
            c.prepare_cached("SELECT etag FROM segment_seen WHERE number = ?")?
                .query_row([number.0.cast_signed()], |r| r.get(0))
                .optional()
        })
    }

    /// Begins anew: what an earlier inventory suspected, and died over, is forgotten.
    pub fn forget_suspects(&self) -> Result<()> {
        self.write("begin an inventory", |tx| tx.execute("DELETE FROM suspect", []).map(drop))
    }

    pub fn suspect(&self, defects: &[Defect]) -> Result<()> {
        self.write("note what an inventory suspects", |tx| {
            let mut s = tx.prepare_cached(
                "INSERT OR REPLACE INTO suspect (name, wrong, pack, size, at, said) VALUES (?, ?, ?, ?, ?, ?)",
            )?;
            defects.iter().try_for_each(|d| {
                s.execute((&d.name, d.wrong as i64, d.pack, d.size.cast_signed(), d.at.0, &d.said)).map(drop)
            })
        })
    }

    /// An inventory is over: what it suspects counts from now on, and what it no longer finds does not. One that saw what
    /// lies beneath also settles what looks at single packs had found on top of them.
    pub fn end_inventory(&self, run: &Checked, sight: Sight) -> Result<()> {
        self.write("end an inventory", |tx| {
            tx.execute(
                "UPDATE suspect SET at = MIN(at, COALESCE((SELECT at FROM defect d WHERE d.name = suspect.name AND d.found = 0 AND d.wrong = suspect.wrong), at))",
                [],
            )?;
            tx.execute("DELETE FROM defect WHERE found = 0", [])?;
            if sight == Sight::Beneath {
                tx.execute("DELETE FROM defect WHERE wrong = 5", [])?;
            }
            tx.execute(
                "INSERT INTO defect (name, found, wrong, pack, size, at, said)
                 SELECT name, 0, wrong, pack, size, at, said FROM suspect
                 WHERE pack IS NULL OR pack IN (SELECT pack FROM seen)",
                [],
            )?;
            tx.execute("DELETE FROM suspect", [])?;
            end(tx, run)
        })
    }

    /// Whether a look at this pack found other bytes on top of it. An inventory's own findings end with the next one.
    pub fn is_covered(&self, pack: i64) -> Result<bool> {
        self.read("read what is wrong with a pack", |c| {
            c.prepare_cached("SELECT EXISTS (SELECT 1 FROM defect WHERE pack = ? AND found > 0 AND wrong = 5)")?
                .query_row([pack], |r| r.get(0))
        })
    }

    /// Packs that were looked at, each with what is wrong with it: None where all is well and nothing lies on top, which
    /// settles what earlier and weaker looks had found.
    pub fn looked_at(&self, check: Check, at: Wall, packs: &[(i64, Option<Defect>)]) -> Result<()> {
        let column = check.column();
        self.write("note what was looked at", |tx| {
            for (pack, wrong) in packs {
                tx.prepare_cached(&format!("UPDATE seen SET {column} = ? WHERE pack = ?"))?.execute((at.0, pack))?;
                match wrong {
                    None => tx
                        .prepare_cached(
                            "DELETE FROM defect WHERE pack = ? AND found > 0 AND (found <= ? AND wrong <= 2 OR wrong = 5)",
                        )?
                        .execute((pack, check.number()))?,
                    Some(d) => tx
                        .prepare_cached(
                            "INSERT INTO defect (name, found, wrong, pack, size, at, said)
                             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE EXISTS (SELECT 1 FROM seen WHERE pack = ?4)
                             ON CONFLICT (name, found, wrong) DO UPDATE SET said = ?7",
                        )?
                        .execute((
                            &d.name,
                            check.number(),
                            d.wrong as i64,
                            d.pack,
                            d.size.cast_signed(),
                            d.at.0,
                            &d.said,
                        ))?,
                };
            }
            Ok(())
        })
    }

    pub fn end_check(&self, run: &Checked) -> Result<()> {
        self.write("end a check", |tx| end(tx, run))
    }

    pub fn last_check(&self, check: Check) -> Result<Option<Checked>> {
        self.read("read how a check ended", |c| {
            c.prepare_cached(
                "SELECT begun, ended, looked, bytes, wrong, skipped, foreigners, unnamed, note FROM checked WHERE way = ?",
            )?
            .query_row([check.number()], |r| {
                Ok(Checked {
                    check,
                    begun: Wall(r.get(0)?),
                    ended: Wall(r.get(1)?),
                    looked: tree::number(r, 2)?,
                    bytes: tree::number(r, 3)?,
                    wrong: tree::number(r, 4)?,
                    skipped: tree::number(r, 5)?,
                    foreign: tree::number(r, 6)?,
                    unnamed: tree::number(r, 7)?,
                    note: r.get(8)?,
                })
            })
            .optional()
        })
    }

    pub fn coverage(&self, check: Check) -> Result<Coverage> {
        let column = check.column();
        self.read("look how far a round has come", |c| {
            let count = |sql: &str| c.prepare_cached(sql)?.query_row([], |r| tree::number(r, 0));
            let oldest: Option<i64> =
                c.prepare_cached(&format!("SELECT MIN({column}) FROM seen"))?.query_row([], |r| r.get(0))?;
            Ok(Coverage {
                packs: count("SELECT COUNT(*) FROM seen")?,
                never: count(&format!("SELECT COUNT(*) FROM seen WHERE {column} = 0"))?,
                oldest: oldest.filter(|at| *at > 0).map(Wall),
            })
        })
    }

    /// What is wrong, the objects of the log first; how many in all.
    pub fn defects(&self, most: usize) -> Result<(Vec<Defect>, u64)> {
        self.read("read what is wrong", |c| {
            let mut s = c.prepare_cached(
                "SELECT name, found, wrong, pack, size, at, said FROM defect ORDER BY pack IS NOT NULL, name LIMIT ?",
            )?;
            let found = s.query_map([most as i64], defect)?.collect::<rusqlite::Result<_>>()?;
            let all = c.prepare_cached("SELECT COUNT(*) FROM defect")?.query_row([], |r| tree::number(r, 0))?;
            Ok((found, all))
        })
    }

    /// Packs that are missing or damaged and not given up yet.
    pub fn waiting_losses(&self) -> Result<Waiting> {
        self.read("count what is lost", |c| {
            c.prepare_cached(&format!(
                "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM pack WHERE state = 1 AND id IN (SELECT pack FROM defect WHERE {LOSS})"
            ))?
            .query_row([], |r| Ok(Waiting { packs: tree::number(r, 0)?, bytes: tree::number(r, 1)? }))
        })
    }

    /// Whether one pack is among them.
    pub(super) fn is_waiting(&self, pack: i64) -> Result<bool> {
        self.read("look for a loss", |c| {
            c.prepare_cached("SELECT EXISTS (SELECT 1 FROM defect WHERE pack = ? AND wrong <= 2)")?
                .query_row([pack], |r| r.get(0))
        })
    }

    /// The same, one by one: id, name and why. 8 bytes and a short text each.
    pub fn losses_waiting(&self, most: usize) -> Result<Vec<(i64, String, String)>> {
        self.read("read what is lost", |c| {
            let mut s = c.prepare_cached(&format!(
                "SELECT pack, name, MIN(said) FROM defect WHERE {LOSS} AND pack IN (SELECT pack FROM seen) GROUP BY pack ORDER BY pack LIMIT ?"
            ))?;
            s.query_map([i64::try_from(most).unwrap_or(i64::MAX)], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?.collect()
        })
    }
}

fn end(tx: &rusqlite::Transaction<'_>, run: &Checked) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO checked (way, begun, ended, looked, bytes, wrong, skipped, foreigners, unnamed, note)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute((
        run.check.number(),
        run.begun.0,
        run.ended.0,
        run.looked.cast_signed(),
        run.bytes.cast_signed(),
        run.wrong.cast_signed(),
        run.skipped.cast_signed(),
        run.foreign.cast_signed(),
        run.unnamed.cast_signed(),
        &run.note,
    ))
    .map(drop)
}
