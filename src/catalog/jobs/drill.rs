//! A drill as a job: the packs and files it tries, and what became of each. The restore of the files is the job's own
//! rows; here is what is said of them afterwards.

use super::super::{objects, set_fact};
use super::{Cursor, JobFile, signed};
use crate::catalog::DrillPack;
use crate::error::{Error, Result};
use crate::model::{Seq, Sha256, Tier, TreePath};
use rusqlite::{OptionalExtension, Row};

/// A file a drill tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriedFile {
    pub id: i64,
    pub path: TreePath,
    pub seq: Seq,
    pub size: u64,
}

/// A pack a drill tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriedPack {
    pub pack: i64,
    pub hash: Sha256,
    pub tier: Tier,
    pub size: u64,
    pub state: PackState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackState {
    Unknown = 0,
    Sound = 1,
    Damaged = 2,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// Every chunk was proved by its recorded id.
    AsRecorded = 1,
    /// That, and it is as the file that lies on the machine.
    AsLive = 2,
    /// It did not come back, or is not as the live file.
    Failed = 3,
    /// Nothing is known against it.
    Untried = 4,
}

/// Files or packs of a drill, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TriedSums {
    pub as_recorded: u64,
    pub as_live: u64,
    pub failed: u64,
    pub untried: u64,
    /// Of those that came back.
    pub bytes: u64,
}

fn file_row(r: &Row<'_>) -> rusqlite::Result<(i64, Vec<u8>, i64, i64)> {
    Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))
}

fn path_of(bytes: Vec<u8>) -> Result<TreePath> {
    TreePath::from_bytes(bytes).ok_or_else(|| Error::damaged("read a path of the drill's job file"))
}

impl JobFile {
    /// What is to be tried, as one transaction.
    pub fn add_tried(&self, packs: &[DrillPack], files: &[(TreePath, Seq, u64)]) -> Result<()> {
        self.write("plan a drill", |tx| {
            tx.execute("DELETE FROM drill_pack", [])?;
            tx.execute("DELETE FROM drill_file", [])?;
            let mut pack = tx.prepare_cached("INSERT INTO drill_pack (pack, hash, tier, size) VALUES (?, ?, ?, ?)")?;
            for one in packs {
                pack.execute((one.id, &one.hash.0[..], objects::tier_number(one.tier), signed(one.size)))?;
            }
            let mut file = tx.prepare_cached("INSERT INTO drill_file (path, seq, size) VALUES (?, ?, ?)")?;
            files.iter().try_for_each(|(path, seq, size)| {
                file.execute((path.as_bytes(), signed(seq.0), signed(*size))).map(drop)
            })
        })
    }

    /// Every pack it tries; as many as one receipt can name.
    pub fn tried_packs(&self) -> Result<Vec<TriedPack>> {
        type Found = (i64, Vec<u8>, i64, i64, i64);
        let found: Vec<Found> = self.read("read the packs of a drill", |c| {
            c.prepare_cached("SELECT pack, hash, tier, size, state FROM drill_pack ORDER BY pack")?
                .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)))?
                .collect()
        })?;
        found
            .into_iter()
            .map(|(pack, hash, tier, size, state)| {
                Ok(TriedPack {
                    pack,
                    hash: Sha256::from_slice(&hash).ok_or_else(|| Error::damaged("read a pack of the drill"))?,
                    tier: objects::tier(tier),
                    size: size.cast_unsigned(),
                    state: match state {
                        0 => PackState::Unknown,
                        1 => PackState::Sound,
                        _ => PackState::Damaged,
                    },
                })
            })
            .collect()
    }

    /// What is known of a pack now, and that everything before the cursor is done.
    pub fn pack_tried(&self, pack: i64, state: PackState, reason: Option<&str>, cursor: Cursor) -> Result<()> {
        self.write("note a pack of a drill", |tx| {
            tx.prepare_cached("UPDATE drill_pack SET state = ?, reason = ? WHERE pack = ?")?.execute((
                state as i64,
                reason,
                pack,
            ))?;
            set_fact(tx, "round", cursor.round)?;
            set_fact(tx, "pack", cursor.pack)?;
            set_fact(tx, "chunk", cursor.chunk)
        })
    }

    /// Packs found damaged, by id: those a restore replaced by copies of their chunks elsewhere.
    pub fn packs_replaced(&self) -> Result<Vec<Sha256>> {
        let found: Vec<Vec<u8>> = self.read("read what a restore took from elsewhere", |c| {
            c.prepare_cached("SELECT hash FROM pack WHERE id IN (SELECT origin FROM piece WHERE round > 0)")?
                .query_map([], |r| r.get(0))?
                .collect()
        })?;
        Ok(found.iter().filter_map(|hash| Sha256::from_slice(hash)).collect())
    }

    /// Files that were not compared yet, the first of them.
    pub fn files_left(&self, most: usize) -> Result<Vec<TriedFile>> {
        let found: Vec<(i64, Vec<u8>, i64, i64)> = self.read("read the files of a drill", |c| {
            c.prepare_cached("SELECT id, path, seq, size FROM drill_file WHERE state = 0 ORDER BY id LIMIT ?")?
                .query_map([i64::try_from(most).unwrap_or(i64::MAX)], file_row)?
                .collect()
        })?;
        found
            .into_iter()
            .map(|(id, path, seq, size)| {
                Ok(TriedFile { id, path: path_of(path)?, seq: Seq(seq.cast_unsigned()), size: size.cast_unsigned() })
            })
            .collect()
    }

    /// What became of files, as one transaction.
    pub fn files_tried(&self, became: &[(i64, FileState, Option<String>)]) -> Result<()> {
        self.write("note files of a drill", |tx| {
            let mut s = tx.prepare_cached("UPDATE drill_file SET state = ?, reason = ? WHERE id = ?")?;
            became.iter().try_for_each(|(id, state, reason)| s.execute((*state as i64, reason, id)).map(drop))
        })
    }

    /// Why a path of the restore failed, where it did.
    pub fn failure_of(&self, path: &TreePath) -> Result<Option<String>> {
        self.read("read a failure", |c| {
            c.prepare_cached("SELECT reason FROM failure WHERE path = ?")?
                .query_row([path.as_bytes()], |r| r.get(0))
                .optional()
        })
    }

    pub fn files_summed(&self) -> Result<TriedSums> {
        self.sums("SELECT state, COUNT(*), SUM(size) FROM drill_file WHERE state > 0 GROUP BY state")
    }
    /// A pack that is sound counts as "as recorded", one not read as "untried".
    pub fn packs_summed(&self) -> Result<TriedSums> {
        self.sums(
            "SELECT CASE state WHEN 0 THEN 4 WHEN 1 THEN 1 ELSE 3 END, COUNT(*), SUM(size) FROM drill_pack GROUP BY state",
        )
    }

    fn sums(&self, query: &str) -> Result<TriedSums> {
        self.read("sum up a drill", |c| {
            let mut s = c.prepare_cached(query)?;
            let mut rows = s.query([])?;
            let mut sums = TriedSums::default();
            while let Some(r) = rows.next()? {
                let (state, count, bytes): (i64, i64, i64) = (r.get(0)?, r.get(1)?, r.get(2)?);
                let count = count.cast_unsigned();
                match state {
                    1 => sums.as_recorded = count,
                    2 => sums.as_live = count,
                    3 => sums.failed = count,
                    _ => sums.untried = count,
                }
                if state < 3 {
                    sums.bytes += bytes.cast_unsigned();
                }
            }
            Ok(sums)
        })
    }

    /// What is not as it should be, or was not tried, with the reason: paths, or names of packs.
    pub fn wrong(&self, most: usize) -> Result<Vec<(String, FileState, String)>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let files: Vec<(Vec<u8>, i64, String)> = self.read("read what a drill found", |c| {
            c.prepare_cached(
                "SELECT path, state, COALESCE(reason, '') FROM drill_file WHERE state > 2 ORDER BY id LIMIT ?",
            )?
            .query_map([most], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
            .collect()
        })?;
        let packs: Vec<(Vec<u8>, i64, String)> = self.read("read what a drill found", |c| {
            c.prepare_cached(
                "SELECT hash, tier, COALESCE(reason, '') FROM drill_pack WHERE state = 2 ORDER BY pack LIMIT ?",
            )?
            .query_map([most], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
            .collect()
        })?;
        let mut out = Vec::new();
        for (path, state, reason) in files {
            let state = if state == 3 { FileState::Failed } else { FileState::Untried };
            out.push((path_of(path)?.to_string(), state, reason));
        }
        for (hash, tier, reason) in packs {
            let hash = Sha256::from_slice(&hash).ok_or_else(|| Error::damaged("read a pack of the drill"))?;
            let name = crate::format::Name::Pack(objects::tier(tier), hash).to_string();
            out.push((name, FileState::Failed, reason));
        }
        Ok(out)
    }
}
