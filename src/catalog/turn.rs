//! Whose turn it is: the dirty rows in the order in which they are captured, and what waits of each rank.
//!
//! Within a rank the newest comes first, and what one walk found comes in the order in which it was found: folder by
//! folder, in the order of inodes.

use super::queue::{COLUMNS, row};
use super::{Catalog, DirtyRow, Due, NodeId, NodeRow, RootId, tree};
use crate::clock::Wall;
use crate::error::Result;
use crate::model::{Priority, Rank, TreePath};
use rusqlite::Connection;

/// Rows passed over in one look, because they are taken already: what bounds its time.
const PASSED: usize = 16_384;
/// Rows looked at together when ranks are given anew.
const PAGE: usize = 2000;
/// Rows counted at most.
const COUNTED: i64 = 20_000;

/// A place in the order of one rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    newness: i64,
    node: i64,
}

impl Place {
    /// Before all rows.
    pub const TOP: Self = Self { newness: i64::MIN, node: 0 };

    /// Of a row.
    pub fn of(row: &DirtyRow) -> Self {
        Self { newness: -row.notice.cast_signed(), node: row.node.0 }
    }

    /// Before all that were noticed so.
    pub fn of_notice(notice: u64) -> Self {
        Self { newness: -notice.cast_signed(), node: 0 }
    }
}

/// Rows of one rank.
#[derive(Debug, Default)]
pub struct Page {
    pub rows: Vec<(DirtyRow, NodeRow)>,
    /// Where to go on; None: there is no more.
    pub next: Option<Place>,
}

/// What of a root waits, of one priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingAt {
    /// None: packs of which nobody knows for whom they were opened.
    pub root: Option<RootId>,
    pub priority: Priority,
    /// Paths owed a look, failed ones aside, and their sizes as they were seen, before dedup and compression.
    pub dirty: u64,
    pub dirty_bytes: u64,
    /// Sealed bytes in the spool. A pack counts whole for the root whose file opened it.
    pub spooled_bytes: u64,
}

impl Catalog {
    /// Paths (not trees) of one rank that may be looked at now, after one place and up to another (that one not
    /// included). Rows `taken` are passed over.
    pub fn turn(
        &self,
        rank: Rank,
        now: i64,
        after: Place,
        until: Option<Place>,
        most: usize,
        taken: &dyn Fn(NodeId) -> bool,
    ) -> Result<Page> {
        let until = until.map_or(i64::MAX, |p| p.newness);
        self.read("read the queue", |c| {
            let mut s = c.prepare_cached(&format!(
                "SELECT {COLUMNS}, newness FROM dirty INDEXED BY dirty_turn
                 WHERE scope = 0 AND rank = ?1 AND (newness, node) > (?2, ?3) AND newness < ?4 AND due <= ?5
                 ORDER BY newness, node"
            ))?;
            let rows = s.query((rank.number() as i64, after.newness, after.node, until, now))?;
            page(c, rows, most, taken)
        })
    }

    /// The same from the other end: what waits longest, of one rank.
    pub fn waited_longest(
        &self,
        rank: Rank,
        now: i64,
        most: usize,
        taken: &dyn Fn(NodeId) -> bool,
    ) -> Result<Vec<(DirtyRow, NodeRow)>> {
        self.read("read the queue", |c| {
            let mut s = c.prepare_cached(&format!(
                "SELECT {COLUMNS}, newness FROM dirty INDEXED BY dirty_turn WHERE scope = 0 AND rank = ?1 AND due <= ?2
                 ORDER BY newness DESC, node DESC"
            ))?;
            let rows = s.query((rank.number() as i64, now))?;
            page(c, rows, most, taken).map(|page| page.rows)
        })
    }

    /// What may be looked at now, rank by rank, the foremost first; no more than 20,000 rows are counted.
    pub fn ranks_due(&self, now: i64) -> Result<Vec<(Rank, Due)>> {
        self.read("count the queue", |c| {
            let mut s = c.prepare_cached(
                "SELECT rank, COUNT(*), SUM(bytes), MIN(noticed) FROM
                   (SELECT rank, bytes, noticed FROM dirty INDEXED BY dirty_turn WHERE scope = 0 AND rank >= 0 AND due <= ?
                    ORDER BY rank LIMIT ?) GROUP BY rank ORDER BY rank",
            )?;
            s.query_map((now, COUNTED), |r| {
                let due = Due {
                    rows: tree::number(r, 1)?,
                    bytes: tree::number(r, 2)?,
                    oldest: r.get::<_, Option<i64>>(3)?.map(Wall),
                };
                Ok((Rank::from_number(r.get(0)?), due))
            })?
            .collect()
        })
    }

    /// The same of one rank.
    pub fn rank_due(&self, rank: Rank, now: i64) -> Result<Due> {
        self.read("count the queue", |c| {
            c.prepare_cached(
                "SELECT COUNT(*), COALESCE(SUM(bytes), 0), MIN(noticed) FROM
                   (SELECT bytes, noticed FROM dirty INDEXED BY dirty_turn WHERE scope = 0 AND rank = ? AND due <= ? LIMIT ?)",
            )?
            .query_row((rank.number() as i64, now, COUNTED), |r| {
                Ok(Due {
                    rows: tree::number(r, 0)?,
                    bytes: tree::number(r, 1)?,
                    oldest: r.get::<_, Option<i64>>(2)?.map(Wall),
                })
            })
        })
    }

    /// A look showed that paths are larger than their rows said: each waits at its true rank now.
    pub fn rank_anew(&self, rows: &[(NodeId, Rank, u64)]) -> Result<()> {
        self.write("rank paths anew", |tx| {
            let mut s = tx.prepare_cached(
                "UPDATE dirty SET rank = ?2,
                   file = (SELECT n.shape IS NULL FROM node n WHERE n.id = ?1),
                   bytes = (SELECT CASE WHEN n.shape IS NULL THEN ?3 ELSE 0 END FROM node n WHERE n.id = ?1)
                 WHERE node = ?1 AND EXISTS (SELECT 1 FROM node WHERE id = ?1)",
            )?;
            rows.iter().try_for_each(|(node, rank, size)| {
                s.execute((node.0, rank.number() as i64, size.cast_signed())).map(drop)
            })
        })
    }

    /// What is said of whole roots now. Where a word of it or of the rules behind it changed (`told` is not what was told
    /// last), every waiting row is ranked anew: `priority_of` says how a path goes, if it belongs to a root.
    pub fn settle_order(
        &self,
        roots: &[(RootId, Priority)],
        told: &str,
        priority_of: &dyn Fn(&TreePath) -> Option<Priority>,
    ) -> Result<()> {
        if self.fact::<String>("order")?.as_deref() == Some(told) {
            return Ok(());
        }
        self.write("settle the order", |tx| {
            for (root, priority) in roots {
                tx.execute("UPDATE root SET priority = ? WHERE id = ?", (*priority as i64, root.0))?;
            }
            let mut after = 0;
            loop {
                let rows: Vec<(i64, i64)> = tx
                    .prepare_cached("SELECT node, rank FROM dirty WHERE node > ? ORDER BY node LIMIT ?")?
                    .query_map((after, PAGE as i64), |r| Ok((r.get(0)?, r.get(1)?)))?
                    .collect::<rusqlite::Result<_>>()?;
                let Some((last, _)) = rows.last() else { break };
                after = *last;
                for (node, rank) in rows {
                    let before = Rank::from_number(rank);
                    let path = tree::path_of(tx, NodeId(node))?;
                    if let Some(priority) = priority_of(&path).filter(|p| *p != before.priority) {
                        tx.prepare_cached("UPDATE dirty SET rank = ? WHERE node = ?")?
                            .execute((Rank { priority, ..before }.number() as i64, node))?;
                    }
                }
            }
            super::set_fact(tx, "order", told)
        })
    }

    /// What waits, root by root and priority by priority: counted from all rows, so not for every second of the day.
    pub fn waiting_by_root(&self) -> Result<Vec<WaitingAt>> {
        self.read("count what waits", |c| {
            let mut s = c.prepare_cached(
                "SELECT root, priority, SUM(dirty), SUM(bytes), SUM(spooled) FROM (
                   SELECT d.root, d.rank / 3 AS priority, 1 AS dirty,
                     CASE WHEN d.file = 1 THEN d.bytes WHEN n.shape = 0 THEN n.size ELSE 0 END AS bytes, 0 AS spooled
                   FROM dirty d JOIN node n ON n.id = d.node WHERE d.error IS NULL AND d.scope = 0
                   UNION ALL
                   SELECT root, rank / 3, 0, 0, size FROM pack INDEXED BY pack_turn WHERE state = 0
                 ) GROUP BY root, priority ORDER BY root, priority",
            )?;
            s.query_map([], |r| {
                Ok(WaitingAt {
                    root: Some(r.get(0)?).filter(|id| *id != 0).map(RootId),
                    priority: Priority::from_number(r.get(1)?),
                    dirty: tree::number(r, 2)?,
                    dirty_bytes: tree::number(r, 3)?,
                    spooled_bytes: tree::number(r, 4)?,
                })
            })?
            .collect()
        })
    }
}

fn page(
    c: &Connection,
    mut rows: rusqlite::Rows<'_>,
    most: usize,
    taken: &dyn Fn(NodeId) -> bool,
) -> rusqlite::Result<Page> {
    let (mut page, mut passed) = (Page::default(), 0);
    while let Some(r) = rows.next()? {
        let node = NodeId(r.get(0)?);
        if taken(node) {
            passed += 1;
        } else {
            let one = row(r)?;
            let node = tree::node(c, one.node)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            page.rows.push((one, node));
        }
        if page.rows.len() >= most || passed >= PASSED {
            page.next = Some(Place { newness: r.get(8)?, node: node.0 });
            break;
        }
    }
    Ok(page)
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
