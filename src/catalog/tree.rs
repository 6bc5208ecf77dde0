//! Nodes: every path ever seen, as a tree of names, with the stamp of its latest version.

use super::{Catalog, RootId};
use crate::error::Result;
use crate::model::{Seq, Shape, Stamp, TreePath};
use rusqlite::{Connection, OptionalExtension, Row};
use std::sync::atomic::Ordering;

/// Identity of a path within one catalog; [`NodeId::TOP`] is `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub i64);

impl NodeId {
    /// `/` itself: it has no row.
    pub const TOP: Self = Self(0);
}

/// What a node's latest version is, as far as the queue cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeShape {
    File,
    Dir,
    Other,
}

impl NodeShape {
    pub fn of(shape: &Shape) -> Self {
        match shape {
            Shape::File => Self::File,
            Shape::Dir => Self::Dir,
            _ => Self::Other,
        }
    }
    pub(super) fn number(self) -> i64 {
        match self {
            Self::File => 0,
            Self::Dir => 1,
            Self::Other => 2,
        }
    }
    fn from_number(n: i64) -> Self {
        match n {
            0 => Self::File,
            1 => Self::Dir,
            _ => Self::Other,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    pub id: NodeId,
    pub parent: NodeId,
    pub name: Vec<u8>,
    pub root: RootId,
    /// None: no version, or deleted.
    pub shape: Option<NodeShape>,
    pub stamp: Stamp,
    /// Something was mounted on this folder when it was captured.
    pub mount: bool,
    pub seq: Seq,
    pub torn: bool,
    pub fixed: bool,
    /// Whether a dirty row waits for it.
    pub dirty: bool,
}

const COLUMNS: &str = "n.id, n.parent, n.name, n.root, n.shape, n.size, n.mtime, n.ctime, n.ino, n.mount, n.seq, n.torn, n.fixed, d.node IS NOT NULL";
const FROM: &str = "FROM node n LEFT JOIN dirty d ON d.node = n.id";

fn row(r: &Row<'_>) -> rusqlite::Result<NodeRow> {
    Ok(NodeRow {
        id: NodeId(r.get(0)?),
        parent: NodeId(r.get(1)?),
        name: r.get(2)?,
        root: RootId(r.get(3)?),
        shape: r.get::<_, Option<i64>>(4)?.map(NodeShape::from_number),
        stamp: Stamp { size: number(r, 5)?, mtime: r.get(6)?, ctime: r.get(7)?, ino: number(r, 8)? },
        mount: r.get(9)?,
        seq: Seq(number(r, 10)?),
        torn: r.get(11)?,
        fixed: r.get(12)?,
        dirty: r.get(13)?,
    })
}

/// SQLite's integers are signed: the bits are kept.
pub(super) fn number(r: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(r.get::<_, i64>(at)?.cast_unsigned())
}

pub(super) fn path_of(c: &Connection, node: NodeId) -> rusqlite::Result<TreePath> {
    let mut statement = c.prepare_cached("SELECT parent, name FROM node WHERE id = ?")?;
    let (mut names, mut at) = (Vec::new(), node);
    while at != NodeId::TOP {
        let (parent, name): (i64, Vec<u8>) = statement.query_row([at.0], |r| Ok((r.get(0)?, r.get(1)?)))?;
        names.push(name);
        at = NodeId(parent);
    }
    let path = names.iter().rev().try_fold(TreePath::root(), |path, name| path.join(name));
    path.ok_or(rusqlite::Error::InvalidQuery)
}

pub(super) fn find(c: &Connection, path: &TreePath) -> rusqlite::Result<Option<NodeId>> {
    let mut statement = c.prepare_cached("SELECT id FROM node WHERE parent = ? AND name = ?")?;
    let mut at = NodeId::TOP;
    for name in path.components() {
        match statement.query_row((at.0, name), |r| r.get(0)).optional()? {
            Some(id) => at = NodeId(id),
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

pub(super) fn node(c: &Connection, id: NodeId) -> rusqlite::Result<Option<NodeRow>> {
    c.prepare_cached(&format!("SELECT {COLUMNS} {FROM} WHERE n.id = ?"))?.query_row([id.0], row).optional()
}

impl Catalog {
    /// An id for a node whose row is written later, in one transaction with what it is for.
    pub fn new_node_id(&self) -> NodeId {
        NodeId(self.next_node.fetch_add(1, Ordering::Relaxed))
    }

    pub fn path_of(&self, node: NodeId) -> Result<TreePath> {
        self.read("find a path", |c| path_of(c, node))
    }

    pub fn find(&self, path: &TreePath) -> Result<Option<NodeId>> {
        self.read("find a path", |c| find(c, path))
    }

    pub fn node(&self, id: NodeId) -> Result<Option<NodeRow>> {
        self.read("read a node", |c| node(c, id))
    }

    /// Nodes of these names in one folder; absent ones are left out. Names in any order.
    pub fn children_named<'n>(&self, parent: NodeId, names: impl Iterator<Item = &'n [u8]>) -> Result<Vec<NodeRow>> {
        self.read("read a folder", |c| {
            let mut statement =
                c.prepare_cached(&format!("SELECT {COLUMNS} {FROM} WHERE n.parent = ? AND n.name = ?"))?;
            let mut out = Vec::new();
            for name in names {
                out.extend(statement.query_row((parent.0, name), row).optional()?);
            }
            Ok(out)
        })
    }

    /// The first `most` nodes in a folder, in name order.
    pub fn children(&self, parent: NodeId, most: usize) -> Result<Vec<NodeRow>> {
        self.read("read a folder", |c| {
            let mut s =
                c.prepare_cached(&format!("SELECT {COLUMNS} {FROM} WHERE n.parent = ? ORDER BY n.name LIMIT ?"))?;
            s.query_map((parent.0, most as i64), row)?.collect()
        })
    }

    /// Ids of a folder's nodes that have a version: 8 bytes each, whatever the folder's size.
    pub fn living_children(&self, parent: NodeId) -> Result<Vec<NodeId>> {
        self.read("read a folder", |c| {
            let mut s = c.prepare_cached("SELECT id FROM node WHERE parent = ? AND shape IS NOT NULL")?;
            s.query_map([parent.0], |r| r.get(0).map(NodeId))?.collect()
        })
    }

    /// Nodes along `path`, made where they are missing; the last one belongs to `root`.
    pub fn ensure(&self, path: &TreePath, root: RootId) -> Result<NodeId> {
        if let Some(found) = self.find(path)? {
            return Ok(found);
        }
        self.write("make a path known", |tx| self.ensure_in(tx, path, root))
    }

    pub(super) fn ensure_in(&self, tx: &Connection, path: &TreePath, root: RootId) -> rusqlite::Result<NodeId> {
        let (mut at, mut made) = (NodeId::TOP, false);
        for name in path.components() {
            let found = tx
                .prepare_cached("SELECT id FROM node WHERE parent = ? AND name = ?")?
                .query_row((at.0, name), |r| r.get(0))
                .optional()?;
            made = found.is_none();
            at = if let Some(id) = found {
                NodeId(id)
            } else {
                let id = self.new_node_id();
                tx.prepare_cached("INSERT INTO node (id, parent, name) VALUES (?, ?, ?)")?
                    .execute((id.0, at.0, name))?;
                id
            };
        }
        if made {
            tx.execute("UPDATE node SET root = ? WHERE id = ?", (root.0, at.0))?;
        }
        Ok(at)
    }

    /// Other names of the file (dev, ino), as the latest versions had it.
    pub fn names_of_file(&self, dev: u64, ino: u64) -> Result<Vec<NodeId>> {
        self.read("find hard links", |c| {
            let mut s = c.prepare_cached("SELECT node FROM hard_link WHERE dev = ? AND ino = ?")?;
            s.query_map((dev.cast_signed(), ino.cast_signed()), |r| r.get(0).map(NodeId))?.collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_by_the_names_they_were_made_with() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&dir.path().join("c.db")).unwrap();
        let path = TreePath::from_bytes(b"/a/\xff\xfe/c".to_vec()).unwrap();
        let id = catalog.ensure(&path, RootId(1)).unwrap();
        assert_eq!(catalog.ensure(&path, RootId(1)).unwrap(), id);
        assert_eq!(catalog.path_of(id).unwrap(), path);
        assert_eq!(catalog.find(&path.parent().unwrap()).unwrap(), Some(catalog.node(id).unwrap().unwrap().parent));
        assert_eq!(catalog.find(&TreePath::from_bytes("/a/x").unwrap()).unwrap(), None);
        assert_eq!(catalog.find(&TreePath::root()).unwrap(), Some(NodeId::TOP));
    }
}
