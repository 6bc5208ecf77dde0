//! Records of the log back into rows: how a catalog is rebuilt from its vault. One transaction a segment.

use super::history::content_to_bytes;
use super::objects::{NewPackRow, SegmentRow, insert_pack_as, insert_segment};
use super::{Catalog, CatalogPiece, NodeId, NodeShape, RootId};
use crate::clock::Wall;
use crate::error::Result;
use crate::format::pack::PackRecord;
use crate::format::segment::{Receipt, entry_to_cbor};
use crate::model::{Content, Piece, Rank, Seq, Sha256, TreePath, Version};
use rusqlite::{OptionalExtension, Transaction};
use std::collections::HashMap;

/// Takes the records of one segment. What it remembers is bounded by what one segment can name.
#[derive(Debug)]
pub struct Importer<'a> {
    catalog: &'a Catalog,
    tx: &'a Transaction<'a>,
    segment: u64,
    folders: HashMap<TreePath, NodeId>,
    packs: HashMap<Sha256, i64>,
    /// Where to look for a free seq next.
    free: i64,
}

/// How a part of a split version fitted what was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Added,
    /// The version itself is not there: its first part was never read.
    Orphan,
}

impl Catalog {
    /// Hands an importer to `act`; all of it is one transaction. `row`: None when the number is known already.
    pub fn import(
        &self,
        segment: u64,
        row: Option<&SegmentRow>,
        act: impl FnOnce(&mut Importer<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut failed = None;
        let done = self.write("rebuild from a segment", |tx| {
            if let Some(row) = row {
                tx.execute("DELETE FROM segment WHERE number = ?", [row.number.0.cast_signed()])?;
                insert_segment(tx, row, 1)?;
            }
            let mut importer =
                Importer { catalog: self, tx, segment, folders: HashMap::new(), packs: HashMap::new(), free: 0 };
            act(&mut importer).map_err(|e| {
                failed = Some(e);
                rusqlite::Error::QueryReturnedNoRows
            })
        });
        match failed {
            Some(e) => Err(e),
            None => done,
        }
    }

    /// A segment whose records were read from a merge: known, so that the log goes on after it.
    pub fn import_row(&self, row: &SegmentRow) -> Result<()> {
        self.write("note a segment of the log", |tx| {
            tx.execute("DELETE FROM segment WHERE number = ?", [row.number.0.cast_signed()])?;
            insert_segment(tx, row, 1)
        })
    }

    /// Takes the record of a pack no segment told of, as the pack itself tells it; the next publication names it.
    pub fn adopt_pack(&self, record: PackRecord) -> Result<()> {
        self.write("take up a pack the log lost", |tx| insert_or_complete(self, tx, record, None))
    }

    /// After the last segment: which version each node is at, losses applied, roots and counters set. Every path gets
    /// a stamp that never matches: the first walk looks at all of them, and dedup saves the uplink.
    pub fn finish_import(&self, roots: &[TreePath]) -> Result<()> {
        let ids = self.roots(roots)?;
        self.write("finish a rebuild", |tx| {
            tx.execute_batch(
                "UPDATE node SET seq = COALESCE((SELECT MAX(seq) FROM version WHERE version.node = node.id), 0);
                 UPDATE node SET (shape, size, torn) = (SELECT shape, size, kind = 1 FROM version WHERE version.seq = node.seq) WHERE seq > 0;",
            )?;
            for (path, id) in &ids {
                let Some(top) = super::tree::find(tx, path)? else { continue };
                tx.execute(
                    "WITH RECURSIVE beneath(id) AS (VALUES (?1) UNION ALL SELECT node.id FROM node JOIN beneath ON node.parent = beneath.id AND node.id != ?1)
                     UPDATE node SET root = ?2 WHERE id IN beneath",
                    (top.0, id.0),
                )?;
            }
            tx.execute("UPDATE version SET root = (SELECT root FROM node WHERE node.id = version.node)", [])?;
            let top: i64 = tx.query_row("SELECT MAX(COALESCE((SELECT MAX(seq) FROM version), 0), COALESCE((SELECT value FROM fact WHERE name = 'seq_floor'), 0))", [], |r| r.get(0))?;
            self.next_seq.fetch_max(top.cast_unsigned() + 1, std::sync::atomic::Ordering::Relaxed);
            super::set_fact(tx, "seq_floor", top + 1)
        })?;
        self.recount()
    }
}

impl Importer<'_> {
    pub fn pack(&mut self, record: PackRecord) -> Result<()> {
        self.sql(|me| insert_or_complete(me.catalog, me.tx, record, Some(me.segment)))
    }

    /// The seq under which it is kept. That is its own, unless another record has it: two writers met, and both are
    /// kept in the order they were read. None when this very version is there already.
    pub fn version(&mut self, version: &Version) -> Result<Option<Seq>> {
        let entry = entry_to_cbor(&version.entry);
        self.sql(|me| {
            let node = me.node(&version.path)?;
            let kind = i64::from(version.torn);
            let Some(seq) = me.free_seq(version.seq, node, kind, version.captured)? else { return Ok(None) };
            let content = me.content(&version.content)?;
            me.tx
                .prepare_cached("INSERT INTO version (seq, node, root, kind, captured, notice, noticed, shape, size, entry, content, segment) VALUES (?, ?, 0, ?, ?, 0, ?, ?, ?, ?, ?, ?)")?
                .execute((
                    seq,
                    node.0,
                    kind,
                    version.captured.0,
                    version.captured.0,
                    NodeShape::of(&version.entry.shape).number(),
                    version.entry.size.0.cast_signed(),
                    &entry,
                    (!content.is_empty()).then(|| content_to_bytes(&content)),
                    me.segment.cast_signed(),
                ))?;
            Ok(Some(Seq(seq.cast_unsigned())))
        })
    }

    /// None: the very record is there.
    fn free_seq(&mut self, seq: Seq, node: NodeId, kind: i64, captured: Wall) -> rusqlite::Result<Option<i64>> {
        let mut look = self.tx.prepare_cached("SELECT node, kind, captured FROM version WHERE seq = ?")?;
        let mut at = seq.0.cast_signed();
        while let Some(there) = look.query_row([at], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).optional()? {
            if there == (node.0, kind, captured.0) {
                return Ok(None);
            }
            at = (at + 1).max(self.free);
        }
        if at != seq.0.cast_signed() {
            self.free = at + 1;
        }
        Ok(Some(at))
    }

    /// A further part of a version's content.
    pub fn part(&mut self, seq: Seq, content: &Content) -> Result<Part> {
        self.sql(|me| {
            let bytes: Option<Option<Vec<u8>>> = me
                .tx
                .query_row("SELECT content FROM version WHERE seq = ?", [seq.0.cast_signed()], |r| r.get(0))
                .optional()?;
            let Some(bytes) = bytes else { return Ok(Part::Orphan) };
            let mut all = bytes.map_or_else(Vec::new, |b| super::history::content_from_bytes(&b).unwrap_or_default());
            all.extend(me.content(content)?);
            me.tx.execute(
                "UPDATE version SET content = ? WHERE seq = ?",
                (content_to_bytes(&all), seq.0.cast_signed()),
            )?;
            Ok(Part::Added)
        })
    }

    /// Parts of a version are missing: it does not exist.
    pub fn drop_version(&mut self, seq: Seq) -> Result<()> {
        self.sql(|me| me.tx.execute("DELETE FROM version WHERE seq = ?", [seq.0.cast_signed()]).map(drop))
    }

    /// As [`version`](Self::version).
    pub fn deletion(&mut self, path: &TreePath, seq: Seq, noticed: Wall) -> Result<Option<Seq>> {
        self.sql(|me| {
            let node = me.node(path)?;
            let Some(seq) = me.free_seq(seq, node, 2, noticed)? else { return Ok(None) };
            me.tx
                .prepare_cached("INSERT INTO version (seq, node, root, kind, captured, notice, noticed, segment) VALUES (?, ?, 0, 2, ?, 0, ?, ?)")?
                .execute((seq, node.0, noticed.0, noticed.0, me.segment.cast_signed()))?;
            Ok(Some(Seq(seq.cast_unsigned())))
        })
    }

    pub fn lost(&mut self, hash: Sha256, seq: Seq) -> Result<()> {
        self.sql(|me| {
            me.tx.execute("UPDATE pack SET state = 2 WHERE hash = ?", [&hash.0[..]])?;
            me.tx.execute("DELETE FROM place WHERE pack IN (SELECT id FROM pack WHERE hash = ?)", [&hash.0[..]])?;
            super::loss::imported(me.tx, hash, seq)?;
            me.tx
                .execute(
                    "INSERT INTO fact (name, value) VALUES ('seq_floor', ?1) ON CONFLICT (name) DO UPDATE SET value = MAX(value, ?1)",
                    [seq.0.cast_signed() + 1],
                )
                .map(drop)
        })
    }

    /// What the log tells of a drill; said twice, it counts once.
    pub fn drill(&mut self, receipt: &Receipt) -> Result<()> {
        self.sql(|me| super::drills::insert(me.tx, receipt, Some(me.segment)))
    }

    fn sql<T>(&mut self, act: impl FnOnce(&mut Self) -> rusqlite::Result<T>) -> Result<T> {
        act(self).map_err(super::sql("rebuild"))
    }

    /// The node of a path, made with all above it where missing. Neighbours share a folder: it is found once.
    fn node(&mut self, path: &TreePath) -> rusqlite::Result<NodeId> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else { return Ok(NodeId::TOP) };
        let above = if let Some(known) = self.folders.get(&parent) {
            *known
        } else {
            let mut at = NodeId::TOP;
            for name in parent.components() {
                at = self.child(at, name)?;
            }
            self.folders.insert(parent, at);
            at
        };
        self.child(above, name)
    }

    fn child(&self, parent: NodeId, name: &[u8]) -> rusqlite::Result<NodeId> {
        let found = self
            .tx
            .prepare_cached("SELECT id FROM node WHERE parent = ? AND name = ?")?
            .query_row((parent.0, name), |r| r.get(0).map(NodeId))
            .optional()?;
        if let Some(id) = found {
            return Ok(id);
        }
        let id = self.catalog.new_node_id();
        self.tx
            .prepare_cached("INSERT INTO node (id, parent, name) VALUES (?, ?, ?)")?
            .execute((id.0, parent.0, name))?;
        Ok(id)
    }

    /// Content by this catalog's pack ids. A pack without a record here gets a row in state lost, so that the version
    /// is there, and says what it misses, when it is asked for.
    fn content(&mut self, content: &Content) -> rusqlite::Result<Vec<CatalogPiece>> {
        let mut out = Vec::with_capacity(content.len());
        for piece in content {
            out.push(match piece {
                Piece::Hole(n) => CatalogPiece::Hole(*n),
                Piece::Run { pack, first, count } => {
                    CatalogPiece::Run { pack: self.pack_id(*pack)?, first: *first, count: *count }
                }
            });
        }
        Ok(out)
    }

    fn pack_id(&mut self, hash: Sha256) -> rusqlite::Result<i64> {
        if let Some(id) = self.packs.get(&hash) {
            return Ok(*id);
        }
        let known = self
            .tx
            .prepare_cached("SELECT id FROM pack WHERE hash = ?")?
            .query_row([&hash.0[..]], |r| r.get(0))
            .optional()?;
        let id = if let Some(id) = known {
            id
        } else {
            let id = self.catalog.new_pack_id();
            self.tx.execute(
                "INSERT INTO pack (id, hash, tier, size, state, segment, record) VALUES (?, ?, 0, 0, 2, NULL, X'')",
                (id, &hash.0[..]),
            )?;
            id
        };
        self.packs.insert(hash, id);
        Ok(id)
    }
}

/// A pack's row; one that stood in for a record never read keeps its id, which versions already name.
fn insert_or_complete(
    catalog: &Catalog,
    tx: &Transaction<'_>,
    record: PackRecord,
    segment: Option<u64>,
) -> rusqlite::Result<()> {
    let known: Option<(i64, bool)> = tx
        .prepare_cached("SELECT id, LENGTH(record) > 0 FROM pack WHERE hash = ?")?
        .query_row([&record.hash.0[..]], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let id = match known {
        Some((_, true)) => return Ok(()),
        Some((id, false)) => {
            tx.execute("DELETE FROM pack WHERE id = ?", [id])?;
            id
        }
        None => catalog.new_pack_id(),
    };
    insert_pack_as(tx, &NewPackRow { id, record, rank: Rank::default(), root: RootId(0) }, 1, segment)
}
