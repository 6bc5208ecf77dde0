//! The job of one restore: its own SQLite file, made by the plan and worked off by the fetch.
//!
//! `synchronous=NORMAL`: a commit may be lost in a power cut, but never torn, and never one before another that is
//! kept. That is right here because a row says "done" only after the restored files were synced: a lost row costs
//! fetching a batch again, and a row that is there is true. Only that a run was begun is synced before anything of it.
//!
//! Dying here: the plan is not there before its last fact (`plan`) is; a fetch goes on from its last batch.

mod drill;
mod thaw;
mod work;

pub use drill::{FileState, PackState, TriedFile, TriedPack, TriedSums};
pub use thaw::{AskedBefore, Enough, NewInRound, NewThaw, ThawHistory, ThawRow, ThawState, ThawSum, Wave};

use super::{add_to_fact, connect, objects, set_fact};
use crate::error::{Error, Kind, Result};
use crate::format::pack::PackRecord;
use crate::format::segment::entry_to_cbor;
use crate::model::{Entry, HardLink, Sha256, Tier, TreePath, VaultId};
use crate::worker::Faults;
use rusqlite::types::{FromSql, ToSql};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};
use rusqlite_migration::{M, Migrations};
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

const MIGRATIONS: &[M<'static>] = &[
    M::up(include_str!("../../migrations/restore/0001_init.sql")),
    M::up(include_str!("../../migrations/restore/0002_thaw.sql")),
    M::up(include_str!("../../migrations/restore/0003_drill.sql")),
];

#[derive(Debug)]
pub struct JobFile {
    path: PathBuf,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

/// One row the plan makes. Ids are unique within the job and name a thing's part on the disk.
#[derive(Clone, Debug)]
pub enum NewItem {
    /// A file that is one chunk.
    Small {
        id: i64,
        path: TreePath,
        entry: Box<Entry>,
        pack: i64,
        chunk: u32,
    },
    /// Any other file.
    File {
        id: i64,
        path: TreePath,
        entry: Box<Entry>,
        runs: Vec<Run>,
    },
    /// Another name of a file that is restored as `first`.
    Link {
        id: i64,
        path: TreePath,
        entry: Box<Entry>,
        first: TreePath,
    },
    /// A symlink, FIFO or device.
    Other {
        id: i64,
        path: TreePath,
        entry: Box<Entry>,
    },
    Folder {
        id: i64,
        path: TreePath,
        entry: Box<Entry>,
    },
}

/// A run of chunks and where in the file it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub pack: i64,
    pub first: u32,
    pub count: u32,
    pub offset: u64,
}

/// Everything of the job before this is on the disk or failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    pub round: u32,
    pub pack: i64,
    /// Chunk of that pack.
    pub chunk: u32,
}

#[derive(Clone, Debug)]
pub struct JobPack {
    pub id: i64,
    pub hash: Sha256,
    pub tier: Tier,
    pub record: Option<PackRecord>,
}

/// A pack as the plan finds it.
#[derive(Clone, Debug)]
pub struct NewPack {
    pub pack: JobPack,
    /// None where nothing is ever frozen.
    pub thaw: Option<NewThaw>,
}

/// What a piece belongs to.
#[derive(Clone, Debug)]
pub enum Whose {
    /// It is the whole file.
    Small {
        id: i64,
        path: TreePath,
        entry: Box<Entry>,
    },
    Part(FileRow),
}

#[derive(Clone, Debug)]
pub struct PieceRow {
    pub first: u32,
    pub count: u32,
    pub offset: u64,
    pub origin: i64,
    pub whose: Whose,
}

#[derive(Clone, Debug)]
pub struct FileRow {
    pub id: i64,
    pub path: TreePath,
    pub entry: Entry,
    /// No chunk of it is on the disk yet.
    pub untouched: bool,
}

#[derive(Clone, Debug)]
pub struct ThingRow {
    pub id: i64,
    pub path: TreePath,
    pub entry: Entry,
    pub first: Option<TreePath>,
}

/// What comes after the files, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThingKind {
    Link = 0,
    Other = 1,
    Folder = 2,
}

/// A piece to be fetched from another pack in the next round.
#[derive(Clone, Debug)]
pub struct Repair {
    pub round: u32,
    pub run: Run,
    pub origin: i64,
    pub file: i64,
    /// Path and entry of a file of one chunk.
    pub small: Option<(TreePath, Box<Entry>)>,
}

/// What one batch came to; written in one transaction, after the sync.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub cursor: Cursor,
    /// Chunks now on the disk, by file.
    pub written: HashMap<i64, u64>,
    /// Path and reason; the file's row where it has one.
    pub failed: Vec<(Option<i64>, TreePath, String)>,
    pub repairs: Vec<Repair>,
    /// Counters by name, added to.
    pub counts: Vec<(&'static str, u64)>,
}

fn trouble(doing: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |e| {
        let error = |kind| Error::new(kind, format!("{doing} in the restore's job file"));
        match e.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => {
                error(Kind::Operator).remedy("free space on the disk that holds it, then resume the restore")
            }
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                error(Kind::Operator).remedy("start the restore again: what is restored is not fetched twice")
            }
            Some(
                rusqlite::ErrorCode::ReadOnly
                | rusqlite::ErrorCode::CannotOpen
                | rusqlite::ErrorCode::PermissionDenied
                | rusqlite::ErrorCode::SystemIoFailure,
            ) => error(Kind::Operator).remedy("check the disk and folder that hold it"),
            _ => error(Kind::Retry),
        }
        .because(e)
    }
}

/// SQLite's integers are signed: the bits are kept.
fn signed(n: u64) -> i64 {
    n.cast_signed()
}

impl JobFile {
    /// Opens a job, or makes it where there is none.
    pub fn open(path: &Path) -> Result<Self> {
        let open = || {
            let c = connect(path, OpenFlags::default())?;
            c.pragma_update(None, "synchronous", "normal").map_err(trouble("set up"))?;
            Ok::<_, Error>(c)
        };
        let mut writer = open()?;
        let found: i64 = writer.query_row("PRAGMA user_version", [], |r| r.get(0)).map_err(trouble("read"))?;
        if usize::try_from(found).is_ok_and(|n| n > MIGRATIONS.len()) {
            return Err(Error::operator(format!("open the job {}: a newer release made it", path.display()))
                .remedy("resume it with that release, or start the restore again"));
        }
        Migrations::from_slice(MIGRATIONS)
            .to_latest(&mut writer)
            .map_err(|e| Error::operator(format!("open the job {}", path.display())).because(e))?;
        Ok(Self { path: path.to_owned(), writer: Mutex::new(writer), reader: Mutex::new(open()?) })
    }

    /// A run begins; how many there were before. The one commit that is synced: whoever comes after a power cut must know
    /// that files stand at the target whose contents may never have reached the disk.
    pub fn begin_run(&self) -> Result<u64> {
        let before = self.count("runs")?;
        self.synchronous("full")?;
        let begun = self.write("begin a run", |tx| add_to_fact(tx, "runs", 1));
        self.synchronous("normal")?;
        begun.map(|()| before)
    }

    fn synchronous(&self, how: &str) -> Result<()> {
        self.writer.lock().expect("job lock").pragma_update(None, "synchronous", how).map_err(trouble("set up"))
    }

    /// Removes a job that is over, or not worth keeping. Dying between: what is left of a job without its file is cleared
    /// away by whoever makes one of that name.
    pub fn remove(path: &Path, faults: &Faults) -> Result<()> {
        for suffix in ["", "-wal", "-shm"] {
            faults.at("job.remove")?;
            let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
        }
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write<T>(&self, doing: &'static str, act: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T> {
        let mut writer = self.writer.lock().expect("job lock");
        let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(trouble(doing))?;
        let value = act(&tx).map_err(trouble(doing))?;
        tx.commit().map_err(trouble(doing))?;
        Ok(value)
    }

    fn read<T>(&self, doing: &'static str, act: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        // Whoever wrote last still has the pages; the other connection would read them anew after every write.
        if let Ok(writer) = self.writer.try_lock() {
            return act(&writer).map_err(trouble(doing));
        }
        act(&self.reader.lock().expect("job lock")).map_err(trouble(doing))
    }

    pub fn fact<T: FromSql>(&self, name: &str) -> Result<Option<T>> {
        self.read("read a fact", |c| {
            c.prepare_cached("SELECT value FROM fact WHERE name = ?")?.query_row([name], |r| r.get(0)).optional()
        })
    }
    pub fn set_fact(&self, name: &str, value: impl ToSql) -> Result<()> {
        self.write("keep a fact", |tx| set_fact(tx, name, value))
    }
    /// What every run of the job must know before there is a plan: vault, target, and whether to overwrite (1).
    pub fn begin(&self, vault: VaultId, target: &Path, clobber: i64) -> Result<()> {
        self.write("begin", |tx| {
            set_fact(tx, "vault", &vault.0[..])?;
            set_fact(tx, "target", target.as_os_str().as_bytes())?;
            set_fact(tx, "clobber", clobber)?;
            set_fact(tx, "begun", 1)
        })
    }
    /// Where the target of the restore is.
    pub fn target(&self) -> Result<Option<PathBuf>> {
        Ok(self.fact::<Vec<u8>>("target")?.map(|b| PathBuf::from(OsString::from_vec(b))))
    }
    /// A counter, 0 where nothing was counted.
    pub fn count(&self, name: &str) -> Result<u64> {
        Ok(self.fact::<i64>(name)?.unwrap_or_default().cast_unsigned())
    }

    /// The path under which the file (link, content) is restored first; it is `path` when nobody was before.
    pub fn first_name(&self, link: HardLink, content: Sha256, path: &TreePath) -> Result<Option<TreePath>> {
        let known: Option<Vec<u8>> = self.write("note a hard link", |tx| {
            let key = (signed(link.dev), signed(link.ino), &content.0[..]);
            let known = tx
                .prepare_cached("SELECT path FROM first_name WHERE dev = ? AND ino = ? AND content = ?")?
                .query_row(key, |r| r.get(0))
                .optional()?;
            if known.is_none() {
                tx.prepare_cached("INSERT INTO first_name (dev, ino, content, path) VALUES (?, ?, ?, ?)")?
                    .execute((key.0, key.1, key.2, path.as_bytes()))?;
            }
            Ok(known)
        })?;
        Ok(known.and_then(TreePath::from_bytes))
    }

    pub fn add(&self, items: &[NewItem]) -> Result<()> {
        self.write("plan", |tx| items.iter().try_for_each(|item| add(tx, item)))
    }

    pub fn add_packs(&self, packs: &[NewPack]) -> Result<()> {
        self.write("plan", |tx| {
            let mut row =
                tx.prepare_cached("INSERT OR REPLACE INTO pack (id, hash, tier, record) VALUES (?, ?, ?, ?)")?;
            for NewPack { pack, thaw } in packs {
                let record = pack.record.as_ref().map(PackRecord::to_cbor);
                row.execute((pack.id, &pack.hash.0[..], objects::tier_number(pack.tier), record))?;
                thaw.iter().try_for_each(|thaw| thaw.add(tx, pack.id))?;
            }
            Ok(())
        })
    }
}

fn add(tx: &Transaction<'_>, item: &NewItem) -> rusqlite::Result<()> {
    const PIECE: &str = "INSERT INTO piece (round, pack, first, file, offset, count, origin, path, entry) VALUES (0, ?1, ?2, ?3, ?4, ?5, ?1, ?6, ?7)";
    let thing = |kind: ThingKind, id: i64, path: &TreePath, entry: &Entry, first: Option<&TreePath>| {
        tx.prepare_cached("INSERT INTO thing (kind, id, path, entry, first) VALUES (?, ?, ?, ?, ?)")?
            .execute((kind as i64, id, path.as_bytes(), entry_to_cbor(entry), first.map(TreePath::as_bytes)))
            .map(drop)
    };
    match item {
        NewItem::Small { id, path, entry, pack, chunk } => {
            tx.prepare_cached(PIECE)?.execute((pack, chunk, id, 0, 1, path.as_bytes(), entry_to_cbor(entry))).map(drop)
        }
        NewItem::File { id, path, entry, runs } => {
            let chunks: i64 = runs.iter().map(|r| i64::from(r.count)).sum();
            tx.prepare_cached("INSERT INTO file (id, path, entry, chunks, owed) VALUES (?1, ?2, ?3, ?4, ?4)")?
                .execute((id, path.as_bytes(), entry_to_cbor(entry), chunks))?;
            let (no_path, no_entry): (Option<&[u8]>, Option<&[u8]>) = (None, None);
            runs.iter().try_for_each(|r| {
                tx.prepare_cached(PIECE)?
                    .execute((r.pack, r.first, id, signed(r.offset), r.count, no_path, no_entry))
                    .map(drop)
            })
        }
        NewItem::Link { id, path, entry, first } => thing(ThingKind::Link, *id, path, entry, Some(first)),
        NewItem::Other { id, path, entry } => thing(ThingKind::Other, *id, path, entry, None),
        NewItem::Folder { id, path, entry } => thing(ThingKind::Folder, *id, path, entry, None),
    }
}
