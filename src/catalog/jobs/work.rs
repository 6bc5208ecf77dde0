//! Working a job off: what to fetch next, what is on the disk, what failed, what comes last.

use super::super::{add_to_fact, objects, set_fact, tree};
use super::{Batch, Cursor, FileRow, JobFile, JobPack, PieceRow, Repair, ThingKind, ThingRow, Whose, signed};
use crate::error::{Error, Result};
use crate::format::pack::PackRecord;
use crate::format::segment::{entry_from_cbor, entry_to_cbor};
use crate::model::{Sha256, TreePath};
use rusqlite::{OptionalExtension, Row, Transaction};

impl JobFile {
    /// The next pack with pieces of a round, from `from` on.
    pub fn pack_from(&self, round: u32, from: i64) -> Result<Option<i64>> {
        self.read("look for the next pack", |c| {
            c.prepare_cached("SELECT pack FROM piece WHERE round = ? AND pack >= ? ORDER BY pack LIMIT 1")?
                .query_row((round, from), |r| r.get(0))
                .optional()
        })
    }

    pub fn pack(&self, id: i64) -> Result<Option<JobPack>> {
        type Found = (Vec<u8>, i64, Option<Vec<u8>>);
        let found: Option<Found> = self.read("read a pack", |c| {
            c.prepare_cached("SELECT hash, tier, record FROM pack WHERE id = ?")?
                .query_row([id], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
                .optional()
        })?;
        found
            .map(|(hash, tier, record)| {
                Ok(JobPack {
                    id,
                    hash: Sha256::from_slice(&hash).ok_or_else(|| Error::damaged("read a pack of the job"))?,
                    tier: objects::tier(tier),
                    record: record.map(|r| PackRecord::from_cbor(&r)).transpose()?,
                })
            })
            .transpose()
    }

    /// First chunk and count of each run of a pack in round 0, in order of the first.
    pub fn runs_of(&self, pack: i64, each: &mut dyn FnMut(u32, u32)) -> Result<()> {
        self.read("read a pack's runs", |c| {
            let mut s =
                c.prepare_cached("SELECT first, count FROM piece WHERE round = 0 AND pack = ? ORDER BY first")?;
            let mut rows = s.query([pack])?;
            while let Some(r) = rows.next()? {
                each(r.get(0)?, r.get(1)?);
            }
            Ok(())
        })
    }

    /// A page of the pieces of a pack that are not failed, in order of (first chunk, file, offset), after `after`.
    pub fn pieces(&self, round: u32, pack: i64, after: (i64, i64, i64), most: usize) -> Result<Vec<PieceRow>> {
        type Found = (u32, u32, u64, i64, i64, Vec<u8>, Vec<u8>, Option<bool>);
        let found: Vec<Found> = self.read("read pieces", |c| {
            let mut s = c.prepare_cached(
                "SELECT p.first, p.count, p.offset, p.origin, p.file, COALESCE(p.path, f.path), COALESCE(p.entry, f.entry), f.owed = f.chunks
                 FROM piece p LEFT JOIN file f ON f.id = p.file
                 WHERE p.round = ?1 AND p.pack = ?2 AND (p.first, p.file, p.offset) > (?3, ?4, ?5) AND COALESCE(f.state, 0) = 0
                 ORDER BY p.first, p.file, p.offset LIMIT ?6",
            )?;
            s.query_map((round, pack, after.0, after.1, after.2, page(most)), |r| {
                Ok((r.get(0)?, r.get(1)?, tree::number(r, 2)?, r.get(3)?, r.get(4)?, r.get(5)?, r.get(6)?, r.get(7)?))
            })?
            .collect()
        })?;
        found
            .into_iter()
            .map(|(first, count, offset, origin, id, path, entry, untouched)| {
                let (path, entry) = (path_of(path)?, entry_from_cbor(&entry)?);
                let whose = match untouched {
                    None => Whose::Small { id, path, entry: Box::new(entry) },
                    Some(untouched) => Whose::Part(FileRow { id, path, entry, untouched }),
                };
                Ok(PieceRow { first, count, offset, origin, whose })
            })
            .collect()
    }

    /// One batch, as one transaction, after a sync; how many paths failed in it that had not before.
    pub fn settle(&self, batch: &Batch) -> Result<u64> {
        self.write("note a batch", |tx| {
            synced(tx)?;
            let mut owed = tx.prepare_cached("UPDATE file SET owed = owed - ? WHERE id = ?")?;
            batch.written.iter().try_for_each(|(id, n)| owed.execute((signed(*n), id)).map(drop))?;
            let failed = fail_all(tx, batch)?;
            batch.repairs.iter().try_for_each(|r| repair(tx, r))?;
            batch.counts.iter().try_for_each(|(name, by)| add_to_fact(tx, name, *by))?;
            set_fact(tx, "round", batch.cursor.round)?;
            set_fact(tx, "pack", batch.cursor.pack)?;
            set_fact(tx, "chunk", batch.cursor.chunk)?;
            Ok(failed)
        })
    }

    pub fn cursor(&self) -> Result<Cursor> {
        Ok(Cursor {
            round: self.fact("round")?.unwrap_or_default(),
            pack: self.fact("pack")?.unwrap_or_default(),
            chunk: self.fact("chunk")?.unwrap_or_default(),
        })
    }

    /// Files all of whose chunks are on the disk, and which have no name yet.
    pub fn whole_files(&self, most: usize) -> Result<Vec<FileRow>> {
        let found: Vec<(i64, Vec<u8>, Vec<u8>, bool)> = self.read("read whole files", |c| {
            let mut s = c.prepare_cached(
                "SELECT id, path, entry, chunks = 0 FROM file INDEXED BY file_whole WHERE owed = 0 AND state = 0 LIMIT ?",
            )?;
            s.query_map([page(most)], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?.collect()
        })?;
        found
            .into_iter()
            .map(|(id, path, entry, untouched)| {
                Ok(FileRow { id, path: path_of(path)?, entry: entry_from_cbor(&entry)?, untouched })
            })
            .collect()
    }

    /// Files that have their names now; what is named counts as done with the next note after a sync. `kept`: files
    /// whose name was taken.
    pub fn named(&self, named: &[i64], kept: &[i64], batch: &Batch) -> Result<()> {
        self.write("note named files", |tx| {
            let mut s = tx.prepare_cached("UPDATE file SET state = ? WHERE id = ?")?;
            named.iter().try_for_each(|id| s.execute((3, id)).map(drop))?;
            kept.iter().try_for_each(|id| s.execute((1, id)).map(drop))?;
            fail_all(tx, batch)?;
            batch.counts.iter().try_for_each(|(name, by)| add_to_fact(tx, name, *by))
        })
    }

    /// Files that are named, page by page by id, and not known to be on the disk under that name.
    pub fn named_files(&self, after: i64, most: usize) -> Result<Vec<FileRow>> {
        self.files_in(3, after, most)
    }

    /// These lost their names in a power cut: they are to be named again.
    pub fn name_again(&self, ids: &[i64]) -> Result<()> {
        self.write("note lost names", |tx| {
            let mut s = tx.prepare_cached("UPDATE file SET state = 0 WHERE id = ?")?;
            ids.iter().try_for_each(|id| s.execute([id]).map(drop))
        })
    }

    /// Failed files, page by page by id: their parts are cleared at the end.
    pub fn failed_files(&self, after: i64, most: usize) -> Result<Vec<FileRow>> {
        self.files_in(2, after, most)
    }

    fn files_in(&self, state: i64, after: i64, most: usize) -> Result<Vec<FileRow>> {
        let found: Vec<(i64, Vec<u8>, Vec<u8>)> = self.read("read files", |c| {
            let mut s =
                c.prepare_cached("SELECT id, path, entry FROM file WHERE state = ? AND id > ? ORDER BY id LIMIT ?")?;
            s.query_map((state, after, page(most)), |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?.collect()
        })?;
        found
            .into_iter()
            .map(|(id, path, entry)| {
                Ok(FileRow { id, path: path_of(path)?, entry: entry_from_cbor(&entry)?, untouched: false })
            })
            .collect()
    }

    /// Things of a kind that are not done, page by page: links and others by growing id; folders by falling id,
    /// the deepest first. `after`: the last id of the page before.
    pub fn things(&self, kind: ThingKind, after: Option<i64>, most: usize) -> Result<Vec<ThingRow>> {
        type Found = (i64, Vec<u8>, Vec<u8>, Option<Vec<u8>>);
        let found: Vec<Found> = self.read("read what comes last", |c| {
            let row = |r: &Row<'_>| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?));
            let (sql, after) = match kind {
                ThingKind::Folder => (
                    "SELECT id, path, entry, first FROM thing WHERE kind = ? AND id < ? AND done = 0 ORDER BY id DESC LIMIT ?",
                    after.unwrap_or(i64::MAX),
                ),
                _ => (
                    "SELECT id, path, entry, first FROM thing WHERE kind = ? AND id > ? AND done = 0 ORDER BY id LIMIT ?",
                    after.unwrap_or(-1),
                ),
            };
            c.prepare_cached(sql)?.query_map((kind as i64, after, page(most)), row)?.collect()
        })?;
        found
            .into_iter()
            .map(|(id, path, entry, first)| {
                Ok(ThingRow {
                    id,
                    path: path_of(path)?,
                    entry: entry_from_cbor(&entry)?,
                    first: first.map(path_of).transpose()?,
                })
            })
            .collect()
    }

    /// After a sync: these are placed, and files named before it are done.
    pub fn things_done(&self, kind: ThingKind, ids: &[i64], batch: &Batch) -> Result<()> {
        self.write("note what is placed", |tx| {
            synced(tx)?;
            let mut s = tx.prepare_cached("UPDATE thing SET done = 1 WHERE kind = ? AND id = ?")?;
            ids.iter().try_for_each(|id| s.execute((kind as i64, id)).map(drop))?;
            fail_all(tx, batch)?;
            batch.counts.iter().try_for_each(|(name, by)| add_to_fact(tx, name, *by))
        })
    }

    /// After the last sync: all of it is done.
    pub fn end(&self, batch: &Batch) -> Result<()> {
        self.write("note the end", |tx| {
            synced(tx)?;
            fail_all(tx, batch)?;
            batch.counts.iter().try_for_each(|(name, by)| add_to_fact(tx, name, *by))?;
            set_fact(tx, "finished", 1)
        })
    }

    pub fn add_failures(&self, failed: &[(TreePath, String)]) -> Result<()> {
        self.write("note failures", |tx| {
            failed.iter().try_for_each(|(path, reason)| fail(tx, None, path, reason).map(drop))
        })
    }

    pub fn failures(&self) -> Result<u64> {
        self.read("count failures", |c| c.query_row("SELECT COUNT(*) FROM failure", [], |r| tree::number(r, 0)))
    }

    /// Failed paths in byte order with their reasons, page by page.
    pub fn failures_after(&self, after: Option<&TreePath>, most: usize) -> Result<Vec<(TreePath, String)>> {
        let found: Vec<(Vec<u8>, String)> = self.read("read failures", |c| {
            let mut s = c.prepare_cached("SELECT path, reason FROM failure WHERE path > ? ORDER BY path LIMIT ?")?;
            let after = after.map_or(&b""[..], TreePath::as_bytes);
            s.query_map((after, page(most)), |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
        })?;
        found.into_iter().map(|(path, reason)| Ok((path_of(path)?, reason))).collect()
    }
}

fn path_of(bytes: Vec<u8>) -> Result<TreePath> {
    TreePath::from_bytes(bytes).ok_or_else(|| Error::damaged("read a path of the restore's job file"))
}

/// The target was synced: files named before are done.
fn synced(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let done = tx.prepare_cached("UPDATE file SET state = 1 WHERE state = 3")?.execute([])?;
    if done > 0 { add_to_fact(tx, "done", done as u64) } else { Ok(()) }
}

fn repair(tx: &Transaction<'_>, r: &Repair) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR IGNORE INTO piece (round, pack, first, file, offset, count, origin, path, entry) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?
        .execute((
            r.round,
            r.run.pack,
            r.run.first,
            r.file,
            signed(r.run.offset),
            r.run.count,
            r.origin,
            r.small.as_ref().map(|s| s.0.as_bytes()),
            r.small.as_ref().map(|s| entry_to_cbor(&s.1)),
        ))
        .map(drop)
}

fn fail_all(tx: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<u64> {
    batch.failed.iter().try_fold(0, |n, (id, path, reason)| Ok(n + fail(tx, *id, path, reason)?))
}

/// A bound on rows as SQLite takes it.
fn page(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

/// 1 when it had not failed before.
fn fail(tx: &Transaction<'_>, file: Option<i64>, path: &TreePath, reason: &str) -> rusqlite::Result<u64> {
    if let Some(id) = file {
        tx.prepare_cached("UPDATE file SET state = 2 WHERE id = ?")?.execute([id])?;
    }
    tx.prepare_cached("INSERT OR IGNORE INTO failure (path, reason) VALUES (?, ?)")?
        .execute((path.as_bytes(), reason))
        .map(|rows| rows as u64)
}
