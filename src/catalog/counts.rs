//! Figures for the status: what is there, what is safe, what is not. Counted from the rows each time, so that no
//! running total can say "safe" of what is not (promise 3).

use super::{Catalog, RootId, tree};
use crate::clock::Wall;
use crate::error::Result;
use rusqlite::Connection;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RootCounts {
    /// Chosen by the filters, failed ones included.
    pub files: u64,
    pub bytes: u64,
    pub safe_files: u64,
    pub safe_bytes: u64,
    pub dirty: u64,
    pub failed: u64,
    /// Trees among the dirty that wait for a walk, or are walked now; failed ones aside.
    pub trees: u64,
    pub torn: u64,
    /// When the oldest change that is not yet safe was noticed; failed paths aside.
    pub oldest: Option<Wall>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VaultCounts {
    pub stored_objects: u64,
    pub stored_bytes: u64,
    pub queued_files: u64,
    /// Seen sizes of what waits to be read, before dedup and compression.
    pub queued_bytes: u64,
    pub spool_objects: u64,
    pub spool_bytes: u64,
    pub last_segment: Option<Wall>,
}

/// One row with two numbers.
fn pair(c: &Connection, sql: &str, root: RootId) -> rusqlite::Result<(u64, u64)> {
    c.prepare_cached(sql)?.query_row([root.0], |r| Ok((tree::number(r, 0)?, tree::number(r, 1)?)))
}

impl Catalog {
    pub fn root_counts(&self, root: RootId) -> Result<RootCounts> {
        self.read("count a root", |c| {
            let total = pair(c, "SELECT COALESCE(MAX(files), 0), COALESCE(MAX(bytes), 0) FROM root WHERE id = ?", root)?;
            let new = pair(c, "SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM dirty WHERE root = ? AND file = 1", root)?;
            let owed = pair(c, "SELECT COUNT(*), COALESCE(SUM(n.size), 0) FROM dirty d JOIN node n ON n.id = d.node WHERE d.root = ? AND d.file = 0 AND n.shape = 0", root)?;
            let waiting = pair(
                c,
                "SELECT COUNT(*), COALESCE(SUM(n.size), 0) FROM version v JOIN node n ON n.id = v.node AND n.seq = v.seq
                 WHERE v.root = ? AND n.shape = 0 AND NOT EXISTS (SELECT 1 FROM dirty WHERE node = n.id)
                   AND (v.segment IS NULL OR v.segment IN (SELECT number FROM segment WHERE state = 0))",
                root,
            )?;
            let torn = pair(c, "SELECT COUNT(*), COALESCE(SUM(n.size), 0) FROM node n WHERE n.root = ? AND n.torn = 1 AND NOT EXISTS (SELECT 1 FROM dirty WHERE node = n.id)", root)?;
            let dirty = pair(c, "SELECT COUNT(*), COUNT(error) FROM dirty WHERE root = ?", root)?;
            let trees = c
                .prepare_cached("SELECT COUNT(*) FROM dirty INDEXED BY dirty_tree WHERE scope = 1 AND root = ? AND error IS NULL")?
                .query_row([root.0], |r| tree::number(r, 0))?;
            let oldest = c
                .prepare_cached(
                    "SELECT MIN(x) FROM (
                       SELECT MIN(noticed) AS x FROM dirty WHERE root = ?1 AND error IS NULL
                       UNION ALL SELECT MIN(noticed) FROM version WHERE root = ?1 AND segment IS NULL AND kind < 2
                       UNION ALL SELECT MIN(noticed) FROM version WHERE root = ?1 AND segment IS NULL AND kind = 2
                       UNION ALL SELECT MIN(noticed) FROM version WHERE root = ?1 AND segment IN (SELECT number FROM segment WHERE state = 0))",
                )?
                .query_row([root.0], |r| r.get::<_, Option<i64>>(0))?;
            let risk = pair(c, "SELECT COALESCE(MAX(files), 0), COALESCE(MAX(bytes), 0) FROM risk WHERE root = ?", root)?;
            let unsafe_files = owed.0 + waiting.0 + torn.0 + risk.0;
            let unsafe_bytes = owed.1 + waiting.1 + torn.1 + risk.1;
            Ok(RootCounts {
                files: total.0 + new.0,
                bytes: total.1 + new.1,
                safe_files: total.0.saturating_sub(unsafe_files),
                safe_bytes: total.1.saturating_sub(unsafe_bytes),
                dirty: dirty.0,
                failed: dirty.1,
                trees,
                torn: torn.0,
                oldest: oldest.map(Wall),
            })
        })
    }

    pub fn vault_counts(&self) -> Result<VaultCounts> {
        self.read("count the vault", |c| {
            let two =
                |sql: &str| c.prepare_cached(sql)?.query_row([], |r| Ok((tree::number(r, 0)?, tree::number(r, 1)?)));
            let packs = two("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM pack WHERE state = 1")?;
            let segments = two("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM segment WHERE state = 1")?;
            let queued = two("SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM dirty WHERE scope = 0")?;
            let packs_waiting = two("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM pack WHERE state = 0")?;
            let segments_waiting = two("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM segment WHERE state = 0")?;
            let last = c
                .prepare_cached("SELECT MAX(written) FROM segment WHERE state = 1")?
                .query_row([], |r| r.get::<_, Option<i64>>(0))?;
            Ok(VaultCounts {
                stored_objects: packs.0 + segments.0,
                stored_bytes: packs.1 + segments.1,
                queued_files: queued.0,
                queued_bytes: queued.1,
                spool_objects: packs_waiting.0 + segments_waiting.0,
                spool_bytes: packs_waiting.1 + segments_waiting.1,
                last_segment: last.map(Wall),
            })
        })
    }

    /// Whether nothing waits to be read, sent or named: failed paths and what nobody chose aside.
    pub fn is_all_safe(&self) -> Result<bool> {
        self.read("look for what is not safe", |c| {
            c.prepare_cached(
                "SELECT NOT EXISTS (SELECT 1 FROM dirty WHERE error IS NULL)
                    AND NOT EXISTS (SELECT 1 FROM version WHERE segment IS NULL)
                    AND NOT EXISTS (SELECT 1 FROM pack WHERE state = 0)
                    AND NOT EXISTS (SELECT 1 FROM segment WHERE state = 0)
                    AND EXISTS (SELECT 1 FROM segment)",
            )?
            .query_row([], |r| r.get(0))
        })
    }

    /// Recounts what commits keep running totals of: at every start.
    pub fn recount(&self) -> Result<()> {
        self.write("recount the roots", |tx| {
            tx.execute(
                "UPDATE root SET files = (SELECT COUNT(*) FROM node WHERE node.root = root.id AND shape = 0),
                                 bytes = (SELECT COALESCE(SUM(size), 0) FROM node WHERE node.root = root.id AND shape = 0)",
                [],
            )
            .map(drop)
        })
    }

    /// A value that changes whenever another connection wrote: to count only when something happened.
    pub fn changes(&self) -> Result<i64> {
        self.writer
            .lock()
            .expect("catalog lock")
            .query_row("SELECT total_changes()", [], |r| r.get(0))
            .map_err(super::sql("look for changes"))
    }
}
