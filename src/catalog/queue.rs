//! Dirty rows: paths owed a look. Marked by hints and walks, taken by capture, removed only in the transaction that
//! commits what was captured, or put back with the reason.

use super::{Catalog, NodeId, RootId, tree};
use crate::clock::Wall;
use crate::error::Result;
use crate::model::{Priority, Rank, TreePath};
use rusqlite::{OptionalExtension, Row, Transaction};

/// What is owed a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The path itself.
    Path,
    /// All beneath it, by a walk.
    Tree,
    /// Nothing: it is only on the way to something, and gets a node.
    Way,
}

/// A path to make dirty, by its name: see [`Catalog::mark_paths`].
#[derive(Clone, Debug)]
pub struct PathMark {
    pub path: TreePath,
    pub root: RootId,
    pub scope: Scope,
    pub priority: Priority,
    pub due: i64,
    pub deadline: i64,
}

/// A path to make dirty. `new`: parent and name, when its node has no row yet.
#[derive(Clone, Debug)]
pub struct Mark {
    pub node: NodeId,
    pub new: Option<(NodeId, Vec<u8>)>,
    pub root: RootId,
    pub scope: Scope,
    /// Place in the order of noticing: a fresh one for a hint, the walk's for what a walk finds.
    pub notice: u64,
    pub noticed: Wall,
    /// Steady milliseconds of this run: look no earlier; and no later, however restless it is.
    pub due: i64,
    pub deadline: i64,
    /// Size seen, for a file without a version.
    pub new_file: Option<u64>,
    /// None: as its root.
    pub priority: Option<Priority>,
    /// Size seen; None: as the catalog has it.
    pub size: Option<u64>,
    pub pending: Pending,
}

/// What becomes of a row that waits for a look already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// It is owed another: whoever looks now may have looked too early.
    Anew,
    /// That look is still to come, and is enough.
    Enough,
}

impl Mark {
    /// Of a node that has a row: to be looked at without waiting for it to rest.
    pub fn at_once(node: NodeId, root: RootId, scope: Scope, notice: u64, noticed: Wall) -> Self {
        Self {
            node,
            new: None,
            root,
            scope,
            notice,
            noticed,
            due: 0,
            deadline: 0,
            new_file: None,
            priority: None,
            size: None,
            pending: Pending::Anew,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirtyRow {
    pub node: NodeId,
    pub root: RootId,
    pub scope: Scope,
    pub generation: u64,
    pub notice: u64,
    pub noticed: Wall,
    pub tries: u32,
    pub rank: Rank,
}

/// A path that could not be captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub path: TreePath,
    pub root: RootId,
    pub error: String,
    pub since: Wall,
}

/// What waits in the queue and may be looked at now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    pub rows: u64,
    pub bytes: u64,
    pub oldest: Option<Wall>,
}

pub(super) fn row(r: &Row<'_>) -> rusqlite::Result<DirtyRow> {
    Ok(DirtyRow {
        node: NodeId(r.get(0)?),
        root: RootId(r.get(1)?),
        scope: if r.get::<_, i64>(2)? == 1 { Scope::Tree } else { Scope::Path },
        generation: tree::number(r, 3)?,
        notice: tree::number(r, 4)?,
        noticed: Wall(r.get(5)?),
        tries: r.get(6)?,
        rank: Rank::from_number(r.get(7)?),
    })
}
pub(super) const COLUMNS: &str = "node, root, scope, generation, notice, noticed, tries, rank";

/// Said with the mark, else of the root; as large as was seen, else as the catalog has it: a hint knows no size, and
/// takes none away that a walk saw.
fn rank_of(tx: &Transaction<'_>, m: &Mark) -> rusqlite::Result<Rank> {
    if let (Some(priority), Some(size)) = (m.priority, m.size) {
        return Ok(Rank::of(priority, size));
    }
    let kept = tx
        .prepare_cached(
            "SELECT r.priority, CASE n.shape WHEN 0 THEN n.size ELSE 0 END, d.rank
             FROM node n LEFT JOIN root r ON r.id = ?2 LEFT JOIN dirty d ON d.node = n.id WHERE n.id = ?1",
        )?
        .query_row((m.node.0, m.root.0), |r| {
            Ok((r.get::<_, Option<i64>>(0)?, tree::number(r, 1)?, r.get::<_, Option<i64>>(2)?))
        })
        .optional()?;
    let (root, size, before) = kept.unwrap_or_default();
    let rank = Rank::of(m.priority.unwrap_or(Priority::from_number(root.unwrap_or(1))), m.size.unwrap_or(size));
    let seen = before.filter(|_| m.size.is_none()).map_or(rank.band, |before| Rank::from_number(before).band);
    Ok(Rank { band: rank.band.max(seen), ..rank })
}

pub(super) fn mark(tx: &Transaction<'_>, m: &Mark, generation: u64) -> rusqlite::Result<()> {
    if let Some((parent, name)) = &m.new {
        tx.prepare_cached("INSERT INTO node (id, parent, name, root) VALUES (?, ?, ?, ?)")?
            .execute((m.node.0, parent.0, name, m.root.0))?;
    }
    if m.scope == Scope::Way {
        return Ok(());
    }
    if m.pending == Pending::Enough
        && tx
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM dirty WHERE node = ?)")?
            .query_row([m.node.0], |r| r.get::<_, bool>(0))?
    {
        return Ok(());
    }
    let rank = rank_of(tx, m)?;
    tx.prepare_cached(
        "INSERT INTO dirty (node, root, scope, generation, notice, noticed, due, deadline, file, bytes, rank)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 WHERE EXISTS (SELECT 1 FROM node WHERE id = ?1)
         ON CONFLICT (node) DO UPDATE SET root = ?2, scope = MAX(scope, ?3), generation = ?4, notice = MIN(notice, ?5),
           due = MIN(?7, CASE deadline WHEN 0 THEN ?8 ELSE deadline END), file = ?9, bytes = ?10, rank = ?11",
    )?
    .execute((
        m.node.0,
        m.root.0,
        i64::from(m.scope == Scope::Tree),
        generation.cast_signed(),
        m.notice.cast_signed(),
        m.noticed.0,
        m.due,
        m.deadline,
        m.new_file.is_some(),
        m.new_file.unwrap_or(0).cast_signed(),
        rank.number() as i64,
    ))?;
    Ok(())
}

impl Catalog {
    /// Marks all in one transaction. A path that is dirty already stays noticed when it was; its quiet period
    /// begins anew, but its deadline stands.
    pub fn mark(&self, marks: &[Mark]) -> Result<()> {
        if marks.is_empty() {
            return Ok(());
        }
        let generation = self.new_notice();
        self.write("mark dirty paths", |tx| marks.iter().try_for_each(|m| mark(tx, m, generation)))
    }

    /// Marks paths by name, each with a fresh place in the order of noticing; nodes are made where they are missing, in
    /// the same transaction, so that no tidying in between loses one.
    pub fn mark_paths(&self, paths: &[PathMark], noticed: Wall) -> Result<()> {
        if paths.is_empty() {
            return Ok(());
        }
        let generation = self.new_notice();
        self.write("mark dirty paths", |tx| {
            paths.iter().try_for_each(|p| {
                let node = self.ensure_in(tx, &p.path, p.root)?;
                let one = Mark {
                    due: p.due,
                    deadline: p.deadline,
                    priority: Some(p.priority),
                    ..Mark::at_once(node, p.root, p.scope, self.new_notice(), noticed)
                };
                mark(tx, &one, generation)
            })
        })
    }

    /// A tree was walked: what is left is a look at its top, unless a hint for the tree came since (false). `root`: all of
    /// this one was.
    pub fn walked(&self, row: &DirtyRow, root: Option<RootId>) -> Result<bool> {
        self.write("finish a walk", |tx| {
            if let Some(root) = root {
                tx.prepare_cached("UPDATE root SET first_walk = ? WHERE id = ? AND first_walk IS NULL")?
                    .execute((row.notice.cast_signed(), root.0))?;
            }
            let done = tx.execute(
                "UPDATE dirty SET scope = 0, due = 0 WHERE node = ? AND generation = ? AND scope = 1",
                (row.node.0, row.generation.cast_signed()),
            )?;
            Ok(done == 1)
        })
    }

    pub fn dirty_row(&self, node: NodeId) -> Result<Option<DirtyRow>> {
        self.read("read the queue", |c| {
            c.prepare_cached(&format!("SELECT {COLUMNS} FROM dirty WHERE node = ?"))?
                .query_row([node.0], row)
                .optional()
        })
    }

    /// Trees that wait for a walk.
    pub fn due_trees(&self, now: i64) -> Result<Vec<DirtyRow>> {
        self.read("read the queue", |c| {
            let mut s = c.prepare_cached(&format!("SELECT {COLUMNS} FROM dirty INDEXED BY dirty_tree WHERE scope = 1 AND due <= ? ORDER BY notice LIMIT 1000"))?;
            s.query_map([now], row)?.collect()
        })
    }

    /// What may be looked at now (no more than 20,000 rows are counted), and when the next row comes due (steady
    /// milliseconds), if any waits. What of it has which rank: [`Catalog::ranks_due`].
    pub fn queue(&self, now: i64) -> Result<(Due, Option<i64>)> {
        self.read("count the queue", |c| {
            let due = c
                .prepare_cached(
                    "SELECT COUNT(*), COALESCE(SUM(bytes), 0), MIN(noticed) FROM (SELECT bytes, noticed FROM dirty WHERE due <= ? AND scope = 0 LIMIT 20000)",
                )?
                .query_row([now], |r| {
                    Ok(Due {
                        rows: tree::number(r, 0)?,
                        bytes: tree::number(r, 1)?,
                        oldest: r.get::<_, Option<i64>>(2)?.map(Wall),
                    })
                })?;
            let next = c.prepare_cached("SELECT MIN(due) FROM dirty WHERE due > ?")?.query_row([now], |r| r.get(0))?;
            Ok((due, next))
        })
    }

    /// Roots with any dirty row, failed ones left aside.
    pub fn dirty_roots(&self) -> Result<Vec<RootId>> {
        self.read("look at the queue", |c| {
            let mut s = c.prepare_cached(
                "SELECT id FROM root WHERE EXISTS (SELECT 1 FROM dirty WHERE dirty.root = root.id AND error IS NULL)",
            )?;
            s.query_map([], |r| r.get(0).map(RootId))?.collect()
        })
    }

    /// The path could not be captured: it stays dirty, is looked at again at `due`, and says why.
    pub fn put_back(&self, node: NodeId, due: i64, error: Option<&str>) -> Result<()> {
        self.write("put a path back", |tx| {
            tx.prepare_cached("UPDATE dirty SET due = ?, tries = tries + 1, error = COALESCE(?, error) WHERE node = ?")?
                .execute((due, error, node.0))
                .map(drop)
        })
    }

    /// Makes every waiting row due now: one pass does not wait for quiet.
    pub fn hurry(&self) -> Result<()> {
        self.write("hurry", |tx| tx.execute("UPDATE dirty SET due = 0 WHERE due > 0", []).map(drop))
    }

    /// Failed paths, oldest first.
    pub fn failed(&self, most: usize) -> Result<Vec<Failed>> {
        self.read("read failed paths", |c| {
            let mut s = c.prepare_cached(
                "SELECT node, root, error, noticed FROM dirty WHERE error IS NOT NULL ORDER BY noticed LIMIT ?",
            )?;
            let rows: Vec<(i64, i64, String, i64)> = s
                .query_map([most as i64], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?
                .collect::<rusqlite::Result<_>>()?;
            rows.into_iter()
                .map(|(node, root, error, since)| {
                    Ok(Failed { path: tree::path_of(c, NodeId(node))?, root: RootId(root), error, since: Wall(since) })
                })
                .collect()
        })
    }
}
