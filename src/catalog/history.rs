//! Versions and deletions: the commit that turns captured paths into records, and the way from there to safe.
//!
//! A commit is ONE transaction: the pack (when there is one), the places of its chunks, the versions now complete,
//! and the dirty rows they settle. Dying before it leaves the rows dirty and the spool file an orphan; dying after
//! it leaves everything to the uploader.

use super::objects::{self, NewPackRow};
use super::{Catalog, NodeId, NodeShape, RootId, queue, tree};
use crate::clock::Wall;
use crate::error::Result;
use crate::format::segment::entry_to_cbor;
use crate::model::{Entry, HardLink, Seq, Size, Stamp};
use rusqlite::{OptionalExtension, Transaction};
use std::collections::{BTreeSet, HashMap};

/// A stretch of content by the catalog's own pack ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatalogPiece {
    Hole(u64),
    Run { pack: i64, first: u32, count: u32 },
}

/// What a path is, as the catalog keeps it: encoded where it was looked at, since tens of thousands of paths may wait
/// for one pack.
#[derive(Clone, Debug)]
pub struct KeptEntry {
    cbor: Box<[u8]>,
    shape: NodeShape,
    size: Size,
    link: Option<HardLink>,
}

impl KeptEntry {
    pub fn size(&self) -> Size {
        self.size
    }
    pub fn of(entry: &Entry) -> Self {
        Self {
            cbor: entry_to_cbor(entry).into_boxed_slice(),
            shape: NodeShape::of(&entry.shape),
            size: entry.size,
            link: entry.link,
        }
    }
}

/// A content as the catalog keeps it: a CBOR list of numbers; nothing at all for an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptContent(Box<[u8]>);

impl KeptContent {
    pub fn of(pieces: &[CatalogPiece]) -> Self {
        if pieces.is_empty() { Self::default() } else { Self(content_to_bytes(pieces).into_boxed_slice()) }
    }
}

/// A captured path, complete.
#[derive(Clone, Debug)]
pub struct NewVersion {
    pub entry: KeptEntry,
    pub stamp: Stamp,
    /// A folder on which something is mounted.
    pub mount: bool,
    pub content: KeptContent,
    pub torn: bool,
    pub fixed: bool,
    /// The stamp is so young that a change within the same instant could hide: look again at this steady time.
    pub again: Option<i64>,
}

/// How the look at a dirty path ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    Version(Box<NewVersion>),
    /// Gone: believed after ENOENT by handle.
    Gone,
    /// Looked at, and as its latest version has it: only the stamp is new.
    Same {
        stamp: Stamp,
        again: Option<i64>,
    },
    /// Not ours to keep (excluded, a socket, another root's): no record; what was known of it is deleted.
    NotChosen,
}

/// One settled path of a commit.
#[derive(Clone, Debug)]
pub struct Settled {
    pub row: queue::DirtyRow,
    pub captured: Wall,
    pub outcome: Outcome,
}

/// Content as the catalog keeps it: a CBOR list of numbers.
pub(super) fn content_to_bytes(content: &[CatalogPiece]) -> Vec<u8> {
    let mut flat = Vec::with_capacity(content.len() * 3);
    for piece in content {
        match piece {
            CatalogPiece::Hole(n) => flat.extend([0, *n]),
            CatalogPiece::Run { pack, first, count } => {
                flat.extend([pack.cast_unsigned(), u64::from(*first), u64::from(*count)]);
            }
        }
    }
    crate::format::segment::numbers_to_cbor(&flat)
}

/// The pieces of a content as the catalog keeps it: none for an empty one.
pub fn pieces_of(content: &[u8]) -> Result<Vec<CatalogPiece>> {
    if content.is_empty() { Ok(vec![]) } else { content_from_bytes(content) }
}

pub(super) fn content_from_bytes(bytes: &[u8]) -> Result<Vec<CatalogPiece>> {
    let flat = crate::format::segment::numbers_from_cbor(bytes)?;
    let broken = || crate::error::Error::damaged("read a version's content from the catalog");
    let (mut out, mut at) = (Vec::new(), flat.iter());
    while let Some(pack) = at.next() {
        let mut next = || at.next().copied().ok_or_else(broken);
        out.push(if *pack == 0 {
            CatalogPiece::Hole(next()?)
        } else {
            let small = |n: u64| u32::try_from(n).map_err(|_| broken());
            CatalogPiece::Run { pack: pack.cast_signed(), first: small(next()?)?, count: small(next()?)? }
        });
    }
    Ok(out)
}

/// State and rank of packs met in one commit; None: there is no such pack. Most paths of a commit need the same one, and a
/// pack's row is long.
type Packs = HashMap<i64, Option<(i64, i64)>>;

fn state_of(tx: &Transaction<'_>, known: &mut Packs, pack: i64) -> rusqlite::Result<Option<(i64, i64)>> {
    if let Some(state) = known.get(&pack) {
        return Ok(*state);
    }
    let state = tx
        .prepare_cached("SELECT state, rank FROM pack WHERE id = ?")?
        .query_row([pack], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    known.insert(pack, state);
    Ok(state)
}

impl Catalog {
    /// The one transaction of a commit. Paths whose content needs a pack that was lost meanwhile stay dirty.
    pub fn commit(&self, pack: Option<&NewPackRow>, settled: &[Settled]) -> Result<()> {
        self.write("commit captured paths", |tx| {
            if let Some(pack) = pack {
                objects::insert_pack(tx, pack)?;
            }
            let mut packs = HashMap::new();
            for one in settled {
                self.settle(tx, one, &mut packs)?;
            }
            super::set_fact(tx, "seq_floor", self.next_seq.load(std::sync::atomic::Ordering::Relaxed).cast_signed())
        })
    }

    /// Whether the version `seq` says the same of its path: an entry and a content of equal bytes, and not torn.
    pub fn is_same(&self, seq: Seq, version: &NewVersion) -> Result<bool> {
        self.read("compare a path with its latest version", |c| {
            c.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM version WHERE seq = ? AND kind = 0 AND entry = ? AND COALESCE(content, x'') = ?)",
            )?
            .query_row((seq.0.cast_signed(), &version.entry.cbor[..], &version.content.0[..]), |r| r.get(0))
        })
    }

    fn settle(&self, tx: &Transaction<'_>, one: &Settled, packs: &mut Packs) -> rusqlite::Result<()> {
        let again = match &one.outcome {
            Outcome::Version(v) => {
                if !self.record_version(tx, one, v, packs)? {
                    return Ok(());
                }
                v.again
            }
            Outcome::Same { stamp, again } => {
                // Marked anew since it was looked at: a pack it needs may have been lost meanwhile, and then its stamp
                // was taken away so that it is read again.
                tx.prepare_cached(
                    "UPDATE node SET size = ?, mtime = ?, ctime = ?, ino = ? WHERE id = ?5
                     AND NOT EXISTS (SELECT 1 FROM dirty WHERE node = ?5 AND generation != ?6)",
                )?
                .execute((
                    stamp.size.cast_signed(),
                    stamp.mtime,
                    stamp.ctime,
                    stamp.ino.cast_signed(),
                    one.row.node.0,
                    one.row.generation.cast_signed(),
                ))?;
                *again
            }
            Outcome::Gone | Outcome::NotChosen => {
                self.record_deletion(tx, one)?;
                None
            }
        };
        match again {
            None => tx
                .prepare_cached("DELETE FROM dirty WHERE node = ? AND generation = ? AND scope = 0")?
                .execute((one.row.node.0, one.row.generation.cast_signed()))?,
            Some(due) => tx
                .prepare_cached(
                    "UPDATE dirty SET due = ?, file = 0, tries = 0, error = NULL WHERE node = ? AND generation = ?",
                )?
                .execute((due, one.row.node.0, one.row.generation.cast_signed()))?,
        };
        // A hint came while we looked: the row stays, but it is no longer a new file, and no longer failed.
        tx.prepare_cached(
            "UPDATE dirty SET file = 0, tries = 0, error = NULL WHERE node = ? AND (file = 1 OR error IS NOT NULL)",
        )?
        .execute([one.row.node.0])?;
        Ok(())
    }

    /// False when a pack it needs was lost.
    fn record_version(
        &self,
        tx: &Transaction<'_>,
        one: &Settled,
        v: &NewVersion,
        known: &mut Packs,
    ) -> rusqlite::Result<bool> {
        let pieces = pieces_of(&v.content.0).expect("encoded by this process");
        let packs: BTreeSet<i64> = pieces
            .iter()
            .filter_map(|p| if let CatalogPiece::Run { pack, .. } = p { Some(*pack) } else { None })
            .collect();
        let mut waits = Vec::new();
        for pack in packs {
            match state_of(tx, known, pack)? {
                Some((0, rank)) => waits.push((pack, rank)),
                Some((1, _)) => {}
                _ => return Ok(false),
            }
        }
        let (old_shape, old_size) = self.forget_old(tx, one.row.node)?;
        let shape = v.entry.shape;
        if old_shape.is_some_and(|old| old != shape.number()) {
            self.insert_deletion(tx, one)?;
        }
        let seq = self.new_seq();
        tx.prepare_cached(
            "INSERT INTO version (seq, node, root, kind, captured, notice, noticed, shape, size, entry, content, waits) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute((
            seq.0.cast_signed(),
            one.row.node.0,
            one.row.root.0,
            i64::from(v.torn),
            one.captured.0,
            one.row.notice.cast_signed(),
            one.row.noticed.0,
            shape.number(),
            v.entry.size.0.cast_signed(),
            &v.entry.cbor[..],
            (!v.content.0.is_empty()).then_some(&v.content.0[..]),
            waits.len() as i64,
        ))?;
        let mine = one.row.rank.number() as i64;
        for (pack, rank) in waits {
            tx.prepare_cached("INSERT INTO wait (pack, version) VALUES (?, ?)")?
                .execute((pack, seq.0.cast_signed()))?;
            // What a foremost file needs goes as it does, whoever sealed it.
            if rank > mine {
                tx.prepare_cached("UPDATE pack SET rank = ? WHERE id = ?")?.execute((mine, pack))?;
                known.insert(pack, Some((0, mine)));
            }
        }
        tx.prepare_cached("UPDATE node SET root = ?, shape = ?, size = ?, mtime = ?, ctime = ?, ino = ?, mount = ?, seq = ?, torn = ?, fixed = ? WHERE id = ?")?.execute((
            one.row.root.0,
            shape.number(),
            v.stamp.size.cast_signed(),
            v.stamp.mtime,
            v.stamp.ctime,
            v.stamp.ino.cast_signed(),
            v.mount,
            seq.0.cast_signed(),
            v.torn,
            v.fixed,
            one.row.node.0,
        ))?;
        if let Some(HardLink { dev, ino }) = v.entry.link {
            tx.prepare_cached("INSERT OR IGNORE INTO hard_link (dev, ino, node) VALUES (?, ?, ?)")?.execute((
                dev.cast_signed(),
                ino.cast_signed(),
                one.row.node.0,
            ))?;
        }
        let was = old_shape == Some(NodeShape::File.number());
        let is = shape == NodeShape::File;
        let files = i64::from(is) - i64::from(was);
        let bytes = if is { v.stamp.size.cast_signed() } else { 0 } - if was { old_size } else { 0 };
        add_to_root(tx, one.row.root, files, bytes)?;
        Ok(true)
    }

    /// What a node was before: shape and size; its hard link goes.
    #[expect(clippy::unused_self, reason = "reads as part of the commit")]
    fn forget_old(&self, tx: &Transaction<'_>, node: NodeId) -> rusqlite::Result<(Option<i64>, i64)> {
        let old: (Option<i64>, i64) = tx
            .prepare_cached("SELECT shape, size FROM node WHERE id = ?")?
            .query_row([node.0], |r| Ok((r.get(0)?, r.get(1)?)))?;
        if old.0 == Some(NodeShape::File.number()) {
            tx.prepare_cached("DELETE FROM hard_link WHERE node = ?")?.execute([node.0])?;
        }
        Ok(old)
    }

    /// A deletion takes a fresh place in the order of noticing: it is published only when all that was noticed before
    /// (a move's new name among it) is safe or failed (promise 14). What lay beneath becomes dirty and follows.
    fn record_deletion(&self, tx: &Transaction<'_>, one: &Settled) -> rusqlite::Result<()> {
        let (old_shape, old_size) = self.forget_old(tx, one.row.node)?;
        let Some(shape) = old_shape else {
            // It came and went without a version: nothing is left to say of it.
            tx.prepare_cached(
                "DELETE FROM node WHERE id = ?1 AND seq = 0 AND NOT EXISTS (SELECT 1 FROM node WHERE parent = ?1)
                   AND NOT EXISTS (SELECT 1 FROM dirty WHERE node = ?1 AND (generation != ?2 OR scope = 1))",
            )?
            .execute((one.row.node.0, one.row.generation.cast_signed()))?;
            return Ok(());
        };
        self.insert_deletion(tx, one)?;
        if shape == NodeShape::File.number() {
            add_to_root(tx, one.row.root, -1, -old_size)?;
        }
        Ok(())
    }

    fn insert_deletion(&self, tx: &Transaction<'_>, one: &Settled) -> rusqlite::Result<()> {
        let (seq, notice) = (self.new_seq(), self.new_notice());
        tx.prepare_cached(
            "INSERT INTO version (seq, node, root, kind, captured, notice, noticed) VALUES (?, ?, ?, 2, ?, ?, ?)",
        )?
        .execute((
            seq.0.cast_signed(),
            one.row.node.0,
            one.row.root.0,
            one.captured.0,
            notice.cast_signed(),
            one.row.noticed.0,
        ))?;
        tx.prepare_cached("UPDATE node SET shape = NULL, size = 0, mtime = 0, ctime = 0, ino = 0, mount = 0, torn = 0, seq = ? WHERE id = ?")?
            .execute((seq.0.cast_signed(), one.row.node.0))?;
        let generation = self.new_notice();
        tx.prepare_cached(
            "INSERT INTO dirty (node, root, scope, generation, notice, noticed, due, deadline, rank)
             SELECT id, ?2, 0, ?3, ?4, ?5, 0, 0, 3 * COALESCE((SELECT priority FROM root WHERE id = ?2), 1) FROM node WHERE parent = ?1 AND shape IS NOT NULL AND id != ?1
             ON CONFLICT (node) DO UPDATE SET generation = ?3, due = 0",
        )?
        .execute((
            one.row.node.0,
            one.row.root.0,
            generation.cast_signed(),
            one.row.notice.cast_signed(),
            one.row.noticed.0,
        ))?;
        Ok(())
    }
}

fn add_to_root(tx: &Transaction<'_>, root: RootId, files: i64, bytes: i64) -> rusqlite::Result<()> {
    if (files, bytes) != (0, 0) {
        tx.prepare_cached("UPDATE root SET files = files + ?, bytes = bytes + ? WHERE id = ?")?
            .execute((files, bytes, root.0))?;
    }
    Ok(())
}

/// Marks every node whose latest version needs one of `packs` (in order) dirty again: part of losing them.
pub(super) fn dirty_again(tx: &Transaction<'_>, packs: &[i64], notice: u64, at: Wall) -> rusqlite::Result<u64> {
    let mut rows = tx.prepare("SELECT n.id, n.root, v.content, n.size FROM node n JOIN version v ON v.seq = n.seq WHERE n.shape = 0 AND v.content IS NOT NULL")?;
    let mut found = rows.query([])?;
    let mut count = 0;
    while let Some(r) = found.next()? {
        if !needs(&r.get::<_, Vec<u8>>(2)?, packs) {
            continue;
        }
        let node: i64 = r.get(0)?;
        // A stamp that never matches: the path is read again.
        tx.prepare_cached("UPDATE node SET ctime = 0, mtime = 0, ino = 0 WHERE id = ?")?.execute([node])?;
        let mark = queue::Mark::at_once(NodeId(node), RootId(r.get(1)?), queue::Scope::Path, notice, at);
        queue::mark(tx, &mark, notice)?;
        count += 1;
    }
    Ok(count)
}

pub(super) fn needs(content: &[u8], packs: &[i64]) -> bool {
    content_from_bytes(content).map_or(true, |pieces| {
        pieces.iter().any(|p| matches!(p, CatalogPiece::Run { pack, .. } if packs.binary_search(pack).is_ok()))
    })
}

/// Drops the versions that need one of these lost packs and that no segment names: they can never be restored. Their
/// nodes go back to the record before; the paths are dirty and read again.
pub(super) fn drop_unpublished(tx: &Transaction<'_>, packs: &[i64]) -> rusqlite::Result<()> {
    let mut rows = tx
        .prepare("SELECT seq, node, content FROM version WHERE segment IS NULL AND kind < 2 AND content IS NOT NULL")?;
    let mut found = rows.query([])?;
    while let Some(r) = found.next()? {
        if needs(&r.get::<_, Vec<u8>>(2)?, packs) {
            let (seq, node): (i64, i64) = (r.get(0)?, r.get(1)?);
            tx.prepare_cached("DELETE FROM version WHERE seq = ?")?.execute([seq])?;
            tx.prepare_cached("UPDATE node SET seq = COALESCE((SELECT MAX(seq) FROM version WHERE node = ?1), 0) WHERE id = ?1 AND seq = ?2")?
                .execute((node, seq))?;
        }
    }
    Ok(())
}

/// What may be published now. Versions: those whose packs are all stored. Deletions: those before which nothing of
/// their root is still unsafe.
impl Catalog {
    /// In seq order, from after `after` on.
    pub fn ready_versions(&self, after: Seq, most: usize) -> Result<Vec<Seq>> {
        self.read("read what may be published", |c| {
            let mut s = c.prepare_cached(
                "SELECT seq FROM version INDEXED BY version_ready
                 WHERE segment IS NULL AND waits = 0 AND kind < 2 AND seq > ? ORDER BY seq LIMIT ?",
            )?;
            s.query_map((after.0.cast_signed(), most as i64), |r| tree::number(r, 0).map(Seq))?.collect()
        })
    }

    /// In the order of noticing, from after `after` on, root by root.
    pub fn ready_deletions(&self, root: RootId, after: u64, most: usize) -> Result<Vec<(u64, Seq)>> {
        self.read("read what may be published", |c| {
            let bar: i64 = c
                .prepare_cached(
                    "SELECT MIN(COALESCE((SELECT MIN(notice) FROM dirty WHERE root = ?1 AND error IS NULL), 9223372036854775807),
                                COALESCE((SELECT MIN(notice) FROM version WHERE root = ?1 AND segment IS NULL AND kind < 2), 9223372036854775807))",
                )?
                .query_row([root.0], |r| r.get(0))?;
            let mut s = c.prepare_cached(
                "SELECT notice, seq FROM version INDEXED BY version_undeleted
                 WHERE segment IS NULL AND kind = 2 AND root = ? AND notice > ? AND notice < ? ORDER BY notice LIMIT ?",
            )?;
            s.query_map((root.0, after.cast_signed(), bar, most as i64), |r| Ok((tree::number(r, 0)?, Seq(tree::number(r, 1)?))))?.collect()
        })
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
