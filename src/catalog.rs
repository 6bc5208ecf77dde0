//! The catalog of one vault: SQLite, a view of the vault's log plus the local queue.
//!
//! One connection writes, behind a lock; readers have their own. Every transaction is synced before it returns
//! (`synchronous=FULL`), so what a caller was told is true after a power cut. Ids are given out in memory and
//! written with their rows: one process owns a catalog, which the lock on the state folder sees to.
//!
//! Dying here: a transaction is whole or absent. A file that fails SQLite's own check is never guessed at: the
//! caller moves it aside and rebuilds it from the vault. A file written by a later release is refused.

mod ahead;
mod counts;
mod drills;
mod history;
mod import;
pub mod jobs;
mod loss;
mod objects;
mod queue;
mod reread;
mod sums;
mod tree;
mod turn;
mod verify;
mod view;

pub use ahead::{Ahead, FirstWalks, Origin};
pub use counts::{RootCounts, VaultCounts};
pub use drills::{DrillFile, DrillId, DrillPack, Drilled};
pub use history::{CatalogPiece, KeptContent, KeptEntry, NewVersion, Outcome, Settled, pieces_of};
pub use import::{Importer, Part};
pub use loss::{ACKNOWLEDGED, Again, Casualty, Judged, LossSums, Word};
pub use objects::{Known, NewPackRow, SegmentRow, SpooledObject};
pub use queue::{DirtyRow, Due, Failed, Mark, PathMark, Pending, Scope};
pub use reread::{Compared, LiveFile, Rereading, Rot, Rotten};
pub use sums::{GROWTH_DAYS, RootSums, VaultSums};
pub use tree::{NodeId, NodeRow, NodeShape};
pub use turn::{Page, Place, WaitingAt};
pub use verify::{Check, Checked, Coverage, Defect, Fence, PackToSee, RoundPlace, Sight, Waiting, Wrong};
pub use view::{Child, ChildState, LogRow, Present, RecordRow, State, When};

use crate::error::{Doing, Error, Kind, Result};
use crate::model::{Seq, TreePath, VaultId, WriterId};
use rusqlite::types::{FromSql, ToSql};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};
use rusqlite_migration::{M, Migrations};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Earlier SQLite could corrupt a WAL database (the WAL-reset bug fixed in 3.51.3).
const OLDEST_SQLITE: i32 = 3_051_003;
/// Connections kept for the next reader; each keeps its cache of pages.
const IDLE_READERS: usize = 3;
const MIGRATIONS: &[M<'static>] = &[
    M::up(include_str!("../migrations/0001_init.sql")),
    M::up(include_str!("../migrations/0002_verify.sql")),
    M::up(include_str!("../migrations/0003_drill.sql")),
    M::up(include_str!("../migrations/0004_reread.sql")),
    M::up(include_str!("../migrations/0005_segment_etag.sql")),
    M::up(include_str!("../migrations/0006_order.sql")),
    M::up(include_str!("../migrations/0007_first_walk.sql")),
];

/// Identity of a root within one catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RootId(pub i64);

#[derive(Debug)]
pub struct Catalog {
    path: PathBuf,
    /// Dropped before the writer, whose closing then tidies up.
    readers: Mutex<Vec<Connection>>,
    writer: Mutex<Connection>,
    next_node: AtomicI64,
    next_pack: AtomicI64,
    next_seq: AtomicU64,
    next_notice: AtomicU64,
}

fn sql(doing: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |e| {
        let code = e.sqlite_error_code();
        let error = |kind| Error::new(kind, format!("{doing} in the catalog"));
        match code {
            Some(rusqlite::ErrorCode::DiskFull) => {
                error(Kind::Operator).remedy("free space on the disk that holds the state folder")
            }
            Some(
                rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::PermissionDenied,
            ) => error(Kind::Operator).remedy("make the state folder writable for the daemon"),
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                error(Kind::Damaged).remedy("it is moved aside and rebuilt from the vault at the next start")
            }
            Some(rusqlite::ErrorCode::SystemIoFailure) => {
                error(Kind::Operator).remedy("check the disk that holds the state folder")
            }
            _ => error(Kind::Retry),
        }
        .because(e)
    }
}

impl Catalog {
    /// Opens or makes the catalog. Damaged: the file is not a sound database. Operator: a newer release wrote it,
    /// or it cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(Error::operator(format!(
                "start SQLite {}: too old to be trusted with a catalog",
                rusqlite::version()
            )));
        }
        let mut writer = connect(path, OpenFlags::default())?;
        let known = Migrations::from_slice(MIGRATIONS);
        let found: i64 = writer.query_row("PRAGMA user_version", [], |r| r.get(0)).map_err(sql("read the version"))?;
        if usize::try_from(found).is_ok_and(|n| n > MIGRATIONS.len()) {
            return Err(Error::operator(format!(
                "open the catalog {}: a newer release of panicroom wrote it",
                path.display()
            ))
            .remedy("install that release again, or remove this file and run 'panicroom rebuild'"));
        }
        known
            .to_latest(&mut writer)
            .doing(Kind::Retry, || format!("bring the catalog {} up to date", path.display()))?;
        if !closed_well(&writer)? {
            let verdict: String = writer.query_row("PRAGMA quick_check(1)", [], |r| r.get(0)).map_err(sql("check"))?;
            if verdict != "ok" {
                return Err(Error::damaged(format!("open the catalog {}: {verdict}", path.display())));
            }
        }
        let top = |table: &str, column: &str| {
            writer
                .query_row(&format!("SELECT COALESCE(MAX({column}), 0) + 1 FROM {table}"), [], |r| r.get::<_, i64>(0))
                .map_err(sql("read the counters"))
        };
        let next = |n: i64| u64::try_from(n).unwrap_or(1);
        let (node, pack, seq, notice) =
            (top("node", "id")?, top("pack", "id")?, top("version", "seq")?, top("dirty", "MAX(notice, generation)")?);
        let lost = top("lost", "seq")?;
        let versions = top("version", "notice")?.max(top("loss", "notice")?);
        let catalog = Self {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
            next_node: AtomicI64::new(node),
            next_pack: AtomicI64::new(pack),
            next_seq: AtomicU64::new(next(seq.max(lost))),
            next_notice: AtomicU64::new(next(notice.max(versions))),
        };
        let floor = next(catalog.fact::<i64>("seq_floor")?.unwrap_or(1));
        catalog.next_seq.fetch_max(floor, Ordering::Relaxed);
        catalog.write("begin a run", |tx| {
            tx.execute("DELETE FROM fact WHERE name = 'closed'", [])?;
            tx.execute("UPDATE dirty SET due = 0, deadline = 0 WHERE due > 0 OR deadline > 0", []).map(drop)
        })?;
        Ok(catalog)
    }

    /// Opens a catalog only to look, beside a daemon that may be at work on it: nothing is written, ever.
    pub fn look(path: &Path) -> Result<Self> {
        let writer = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        let found: i64 = writer.query_row("PRAGMA user_version", [], |r| r.get(0)).map_err(sql("read the version"))?;
        if usize::try_from(found) != Ok(MIGRATIONS.len()) {
            return Err(Error::operator(format!("look into the catalog {}: it is of another release", path.display()))
                .remedy("start this release's daemon once, or use '--vault URL'"));
        }
        Ok(Self {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
            next_node: AtomicI64::new(0),
            next_pack: AtomicI64::new(0),
            next_seq: AtomicU64::new(0),
            next_notice: AtomicU64::new(0),
        })
    }

    /// Says that this run ended in order: the next start need not check the whole file.
    ///
    /// All of it lies in the one file then: readers are let go and the write-ahead log is emptied into it, so that
    /// the file may be renamed once this value is dropped.
    pub fn close(&self) -> Result<()> {
        self.set_fact("closed", 1)?;
        self.readers.lock().expect("reader lock").clear();
        let writer = self.writer.lock().expect("catalog lock");
        writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(sql("empty the write-ahead log"))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One transaction, synced when this returns Ok.
    pub(crate) fn write<T>(
        &self,
        doing: &'static str,
        act: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let mut writer = self.writer.lock().expect("catalog lock");
        let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql(doing))?;
        let value = act(&tx).map_err(sql(doing))?;
        tx.commit().map_err(sql(doing))?;
        Ok(value)
    }

    /// A consistent look.
    pub(crate) fn read<T>(
        &self,
        doing: &'static str,
        act: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let idle = self.readers.lock().expect("reader lock").pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?,
        };
        let value = {
            let tx = reader.transaction().map_err(sql(doing))?;
            act(&tx).map_err(sql(doing))
        };
        let mut idle = self.readers.lock().expect("reader lock");
        if idle.len() < IDLE_READERS {
            idle.push(reader);
        }
        value
    }

    pub fn fact<T: FromSql>(&self, name: &str) -> Result<Option<T>> {
        self.read("read a fact", |c| {
            c.prepare_cached("SELECT value FROM fact WHERE name = ?")?.query_row([name], |r| r.get(0)).optional()
        })
    }
    pub fn set_fact(&self, name: &str, value: impl ToSql) -> Result<()> {
        self.write("keep a fact", |tx| set_fact(tx, name, value))
    }
    pub fn clear_fact(&self, name: &str) -> Result<()> {
        self.write("clear a fact", |tx| tx.execute("DELETE FROM fact WHERE name = ?", [name]).map(drop))
    }

    /// Vault and writer this catalog belongs to; None in a new file.
    pub fn identity(&self) -> Result<Option<(VaultId, WriterId)>> {
        let id = self.fact::<Vec<u8>>("vault")?.and_then(|b| VaultId::from_slice(&b));
        let writer = self.fact::<Vec<u8>>("writer")?.and_then(|b| WriterId::from_slice(&b));
        Ok(id.zip(writer))
    }
    pub fn set_identity(&self, vault: VaultId, writer: WriterId) -> Result<()> {
        self.write("keep the identity", |tx| {
            set_fact(tx, "vault", &vault.0[..])?;
            set_fact(tx, "writer", &writer.0[..])
        })
    }

    pub fn new_seq(&self) -> Seq {
        Seq(self.next_seq.fetch_add(1, Ordering::Relaxed))
    }
    /// A fresh place in the order of noticing.
    pub fn new_notice(&self) -> u64 {
        self.next_notice.fetch_add(1, Ordering::Relaxed)
    }
    pub fn new_pack_id(&self) -> i64 {
        self.next_pack.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes the roots known; gives each its id. Roots no longer configured keep their history.
    pub fn roots(&self, paths: &[TreePath]) -> Result<HashMap<TreePath, RootId>> {
        self.write("make the roots known", |tx| {
            let mut out = HashMap::new();
            for path in paths {
                tx.execute("INSERT OR IGNORE INTO root (path) VALUES (?)", [path.as_bytes()])?;
                let id = tx.query_row("SELECT id FROM root WHERE path = ?", [path.as_bytes()], |r| r.get(0))?;
                out.insert(path.clone(), RootId(id));
            }
            Ok(out)
        })
    }

    /// Adds to a counter that only grows, such as the bytes ever sent.
    pub fn add_to_fact(&self, name: &str, by: u64) -> Result<()> {
        self.write("count", |tx| add_to_fact(tx, name, by))
    }

    pub fn note(&self, at: crate::clock::Wall, level: Level, text: &str) -> Result<()> {
        self.write("note an event", |tx| {
            tx.execute("INSERT INTO event (at, level, text) VALUES (?, ?, ?)", (at.0, level as i64, text))?;
            tx.execute("DELETE FROM event WHERE id <= (SELECT MAX(id) FROM event) - 200", []).map(drop)
        })
    }
    /// The newest events, newest first.
    pub fn events(&self, most: usize) -> Result<Vec<(crate::clock::Wall, Level, String)>> {
        self.read("read the events", |c| {
            let mut s = c.prepare_cached("SELECT at, level, text FROM event ORDER BY id DESC LIMIT ?")?;
            s.query_map([most as i64], |r| {
                Ok((crate::clock::Wall(r.get(0)?), Level::from_number(r.get(1)?), r.get(2)?))
            })?
            .collect()
        })
    }
}

/// Whether the last run ended in order.
fn closed_well(c: &Connection) -> Result<bool> {
    let found = c.query_row("SELECT value FROM fact WHERE name = 'closed'", [], |r| r.get::<_, i64>(0)).optional();
    Ok(found.map_err(sql("read how the last run ended"))?.is_some())
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Good = 0,
    Note = 1,
    Warning = 2,
    Alarm = 3,
}

impl Level {
    fn from_number(n: i64) -> Self {
        match n {
            0 => Self::Good,
            1 => Self::Note,
            2 => Self::Warning,
            _ => Self::Alarm,
        }
    }
}

fn set_fact(tx: &Transaction<'_>, name: &str, value: impl ToSql) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO fact (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2")?
        .execute((name, value))
        .map(drop)
}

fn add_to_fact(tx: &Transaction<'_>, name: &str, by: u64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO fact (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?2",
    )?
    .execute((name, i64::try_from(by).unwrap_or(i64::MAX)))
    .map(drop)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, flags).map_err(sql("open a connection"))?;
    let read_only = flags.contains(OpenFlags::SQLITE_OPEN_READ_ONLY);
    (|| {
        connection.busy_timeout(std::time::Duration::from_secs(30))?;
        if !read_only {
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
            connection.pragma_update(None, "wal_autocheckpoint", 4000)?;
            connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        }
        connection.pragma_update(None, "cache_size", if read_only { -2048 } else { -8192 })?;
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(())
    })()
    .map_err(sql("set up a connection"))?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_of_a_newer_release_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        drop(Catalog::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let e = Catalog::open(&path).unwrap_err();
        assert_eq!(e.kind(), Kind::Operator);
        assert!(e.to_string().contains("newer release"), "{e}");
    }

    #[test]
    fn a_broken_file_is_damaged_not_guessed_at() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        std::fs::write(&path, b"this is no database, but it is long enough to look like one at first sight......")
            .unwrap();
        assert_eq!(Catalog::open(&path).unwrap_err().kind(), Kind::Damaged);
    }

    #[test]
    fn a_catalog_of_an_older_release_is_brought_up_to_date_with_all_that_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        let mut old = Connection::open(&path).unwrap();
        Migrations::from_slice(&MIGRATIONS[..1]).to_latest(&mut old).unwrap();
        old.execute_batch(
            "INSERT INTO pack (id, hash, tier, size, state, segment, record) VALUES
               (1, x'01', 0, 10, 1, 1, x'aa'), (2, x'02', 0, 10, 0, NULL, x'aa'), (3, x'03', 0, 10, 2, 1, x'aa');
             INSERT INTO segment (number, hash, size, state, written) VALUES (1, x'00', 9, 1, 5);",
        )
        .unwrap();
        drop(old);
        assert!(Catalog::look(&path).unwrap_err().to_string().contains("another release"), "a look changes nothing");
        let catalog = Catalog::open(&path).unwrap();
        assert_eq!(catalog.coverage(Check::Read).unwrap(), Coverage { packs: 1, never: 1, oldest: None });
        assert_eq!(catalog.loss_sums().unwrap().healing, 1, "what was lost before is judged");
        catalog.pack_stored(2, crate::clock::Wall(9)).unwrap();
        assert_eq!(catalog.coverage(Check::Read).unwrap().packs, 2);
        catalog.pack_lost(1, crate::clock::Wall(9)).unwrap();
        assert_eq!(catalog.coverage(Check::Read).unwrap().packs, 1);
        assert!(Catalog::look(&path).is_ok());
    }

    #[test]
    fn counters_continue_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        let catalog = Catalog::open(&path).unwrap();
        catalog.set_fact("seq_floor", 40).unwrap();
        catalog.add_to_fact("sent", 7).unwrap();
        catalog.add_to_fact("sent", 8).unwrap();
        drop(catalog);
        let catalog = Catalog::open(&path).unwrap();
        assert_eq!(catalog.new_seq(), Seq(40));
        assert_eq!(catalog.fact::<i64>("sent").unwrap(), Some(15));
    }
}
