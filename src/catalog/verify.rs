//! What looking at the vault told: of stored packs, of what is wrong, of the runs themselves.
//!
//! Nothing here decides anything. An inventory writes what it suspects aside, and only its end makes that count, in one
//! transaction with its result: one that dies half way has said nothing.

use super::objects::tier_number;
use super::{Catalog, tree};
use crate::clock::Wall;
use crate::error::Result;
use crate::model::{SegmentNo, Sha256, Tier};
use rusqlite::{OptionalExtension, Row};

/// A way to look at a vault, from the cheapest to the one that proves most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// The listing against the catalog.
    Inventory,
    /// The server's own checksums.
    Checksum,
    /// All bytes.
    Read,
}

impl Check {
    pub const ALL: [Self; 3] = [Self::Inventory, Self::Checksum, Self::Read];

    pub fn word(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::Checksum => "checksum",
            Self::Read => "read",
        }
    }
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|check| check.word() == word)
    }
    fn number(self) -> i64 {
        self as i64
    }
    fn from_number(n: i64) -> Self {
        match n {
            0 => Self::Inventory,
            1 => Self::Checksum,
            _ => Self::Read,
        }
    }
    /// The column of `seen` that says when a pack was last looked at so.
    fn column(self) -> &'static str {
        if self == Self::Read { "read" } else { "summed" }
    }
}

/// What is wrong with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    Missing,
    Size,
    Bytes,
    /// Another ETag than it had, and nothing to tell whether the bytes are others too.
    Etag,
    /// Behind a delete marker.
    Hidden,
    /// Beneath other bytes of the same name.
    Covered,
    /// An object of the log that needs a thaw.
    Archived,
    /// A segment this catalog does not know: somebody else writes here.
    Stranger,
}

impl Wrong {
    const ALL: [Self; 8] = [
        Self::Missing,
        Self::Size,
        Self::Bytes,
        Self::Etag,
        Self::Hidden,
        Self::Covered,
        Self::Archived,
        Self::Stranger,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Size => "wrong size",
            Self::Bytes => "other bytes",
            Self::Etag => "another ETag",
            Self::Hidden => "behind a delete marker",
            Self::Covered => "covered by other bytes",
            Self::Archived => "in an archive class",
            Self::Stranger => "written by somebody else",
        }
    }
    fn from_number(n: i64) -> Self {
        usize::try_from(n).ok().and_then(|n| Self::ALL.get(n).copied()).unwrap_or(Self::Missing)
    }
    /// The bytes are gone or others: what they held must be sent again. Everything else is an alarm and no loss.
    pub fn is_loss(self) -> bool {
        matches!(self, Self::Missing | Self::Size | Self::Bytes)
    }
}

/// An object that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    pub name: String,
    pub found: Check,
    pub wrong: Wrong,
    /// The stored pack it is; None: an object of the log.
    pub pack: Option<i64>,
    /// As it should be; 0 where nobody knows.
    pub size: u64,
    pub at: Wall,
    pub said: String,
}

/// A stored pack, as an inventory compares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackToSee {
    pub id: i64,
    pub hash: Sha256,
    pub tier: Tier,
    pub size: u64,
    pub etag: Option<String>,
}

/// Where the catalog stood when a look began: what was stored then must be there, what came since need not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The newest pack.
    pub pack: i64,
    /// Packs on their way then: bounded by the spool.
    pub spooled: Vec<i64>,
    /// The newest stored segment.
    pub segment: SegmentNo,
}

impl Fence {
    pub fn holds(&self, pack: i64) -> bool {
        pack <= self.pack && self.spooled.binary_search(&pack).is_err()
    }
}

/// A run that came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub check: Check,
    pub begun: Wall,
    pub ended: Wall,
    /// Objects.
    pub looked: u64,
    pub bytes: u64,
    pub wrong: u64,
    /// Frozen, or the server keeps nothing to compare.
    pub skipped: u64,
    pub foreign: u64,
    /// Packs like ours that no log names.
    pub unnamed: u64,
    /// What could not be looked at, and why; empty: nothing.
    pub note: String,
}

/// How far a round over all packs has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    pub packs: u64,
    /// Never looked at so.
    pub never: u64,
    /// When the pack whose turn is next was last looked at.
    pub oldest: Option<Wall>,
}

/// Packs that are missing or damaged and not yet given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    pub packs: u64,
    pub bytes: u64,
}

/// Where a round goes on: by time, then by pack.
pub type RoundPlace = (i64, i64);

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

    /// An inventory is over: what it suspects counts from now on, and what it no longer finds does not.
    pub fn end_inventory(&self, run: &Checked) -> Result<()> {
        self.write("end an inventory", |tx| {
            tx.execute(
                "UPDATE suspect SET at = MIN(at, COALESCE((SELECT at FROM defect d WHERE d.name = suspect.name AND d.found = 0 AND d.wrong = suspect.wrong), at))",
                [],
            )?;
            tx.execute("DELETE FROM defect WHERE found = 0", [])?;
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

    /// Packs that were looked at, each with what is wrong with it: None where all is well, which settles what earlier
    /// and weaker looks had found.
    pub fn looked_at(&self, check: Check, at: Wall, packs: &[(i64, Option<Defect>)]) -> Result<()> {
        let column = check.column();
        self.write("note what was looked at", |tx| {
            for (pack, wrong) in packs {
                tx.prepare_cached(&format!("UPDATE seen SET {column} = ? WHERE pack = ?"))?.execute((at.0, pack))?;
                match wrong {
                    None => tx
                        .prepare_cached(
                            "DELETE FROM defect WHERE pack = ? AND found > 0 AND found <= ? AND wrong <= 2",
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
