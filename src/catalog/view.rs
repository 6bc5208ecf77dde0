//! The state of the vault as of now or of a time: which version of each path counts (docs/format.md section 6).
//!
//! Only versions whose packs are all stored are seen: what cannot be restored is not listed as if it could.

use super::history::pieces_of;
use super::{Catalog, CatalogPiece, NodeId, tree};
use crate::clock::Wall;
use crate::error::{Error, Result};
use crate::format::segment::entry_from_cbor;
use crate::model::{Entry, Seq};
use rusqlite::{CachedStatement, Connection, OptionalExtension};

/// Of which moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Now,
    /// Among the records captured at or before this time.
    At(Wall),
}

/// One record of a path's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRow {
    pub seq: Seq,
    pub captured: Wall,
    pub state: State,
    pub safe: bool,
}

/// A record as the log takes it, and where its path hangs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    pub seq: Seq,
    pub parent: NodeId,
    pub name: Vec<u8>,
    pub captured: Wall,
    pub state: State,
    pub content: Vec<CatalogPiece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Version { entry: Box<Entry>, torn: bool },
    Deleted,
}

/// A path's state: the version that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    pub node: NodeId,
    pub seq: Seq,
    pub captured: Wall,
    pub entry: Entry,
    pub torn: bool,
}

/// A name in a folder and what it is, as a restore or a listing walks the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    pub node: NodeId,
    pub name: Vec<u8>,
    pub state: ChildState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildState {
    /// No record at that time: what lies beneath may still be there.
    Unrecorded,
    /// Deleted, and so is all beneath.
    Absent,
    Present {
        seq: Seq,
        captured: Wall,
        torn: bool,
        entry: Box<Entry>,
        /// The content as the catalog keeps it: equal bytes are equal contents. See [`Catalog::content`].
        content: Vec<u8>,
    },
}

fn bound(when: When) -> i64 {
    match when {
        When::Now => i64::MAX,
        When::At(t) => t.0,
    }
}

/// Seq of the version that counts: the newest untorn one since the last deletion, else the newest torn one.
/// `Some(None)`: deleted; None: no record at all.
#[expect(clippy::option_option, reason = "absent, deleted and present are three answers")]
fn counting(c: &Connection, node: NodeId, when: When) -> rusqlite::Result<Option<Option<i64>>> {
    let mut s = c.prepare_cached(
        "SELECT seq, kind FROM version WHERE node = ? AND captured <= ? AND waits = 0 ORDER BY seq DESC",
    )?;
    let mut rows = s.query((node.0, bound(when)))?;
    let (mut torn, mut any) = (None, false);
    while let Some(r) = rows.next()? {
        any = true;
        match r.get::<_, i64>(1)? {
            0 => return Ok(Some(Some(r.get(0)?))),
            1 => torn = torn.or(Some(r.get(0)?)),
            _ => break,
        }
    }
    Ok(any.then_some(torn))
}

enum Counting {
    Unrecorded,
    Absent,
    Row { seq: i64, captured: i64, torn: bool, entry: Vec<u8>, content: Vec<u8> },
}

/// As [`counting`], with the row itself. `s` gives seq, kind, captured, entry and content, newest first.
fn counting_row(s: &mut CachedStatement<'_>, node: NodeId, when: When) -> rusqlite::Result<Counting> {
    let mut rows = s.query((node.0, bound(when)))?;
    let mut best = Counting::Unrecorded;
    while let Some(r) = rows.next()? {
        let kind: i64 = r.get(1)?;
        if kind == 2 {
            return Ok(if matches!(best, Counting::Row { .. }) { best } else { Counting::Absent });
        }
        if kind == 1 && matches!(best, Counting::Row { .. }) {
            continue;
        }
        best = Counting::Row {
            seq: r.get(0)?,
            captured: r.get(2)?,
            torn: kind == 1,
            entry: r.get(3)?,
            content: r.get::<_, Option<Vec<u8>>>(4)?.unwrap_or_default(),
        };
        if kind == 0 {
            break;
        }
    }
    Ok(best)
}

impl Catalog {
    /// The state of one path; None: absent or unknown. Whether a folder above hides it is the caller's walk to see.
    pub fn present(&self, node: NodeId, when: When) -> Result<Option<Present>> {
        let found: Option<(i64, i64, i64, Vec<u8>)> = self.read("read a path's state", |c| {
            let Some(Some(seq)) = counting(c, node, when)? else { return Ok(None) };
            c.prepare_cached("SELECT seq, captured, kind, entry FROM version WHERE seq = ?")?
                .query_row([seq], |r| Ok(Some((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))))
        })?;
        found
            .map(|(seq, captured, kind, entry)| {
                Ok(Present {
                    node,
                    seq: Seq(seq.cast_unsigned()),
                    captured: Wall(captured),
                    entry: entry_from_cbor(&entry)?,
                    torn: kind == 1,
                })
            })
            .transpose()
    }

    /// Whether a path has no record at all at that time: what lies beneath it may still be there.
    pub fn is_unrecorded(&self, node: NodeId, when: When) -> Result<bool> {
        self.read("read a path's state", |c| Ok(counting(c, node, when)?.is_none()))
    }

    /// When the newest record of a path was captured; None: it has none.
    pub fn last_word(&self, node: NodeId, when: When) -> Result<Option<Wall>> {
        self.read("read a path's state", |c| {
            c.prepare_cached(
                "SELECT captured FROM version WHERE node = ? AND captured <= ? AND waits = 0 ORDER BY seq DESC LIMIT 1",
            )?
            .query_row((node.0, bound(when)), |r| r.get(0).map(Wall))
            .optional()
        })
    }

    /// Ids and names in a folder that have any record, in name order, page by page.
    pub fn names(&self, parent: NodeId, after: &[u8], most: usize) -> Result<Vec<(NodeId, Vec<u8>)>> {
        self.read("read a folder", |c| {
            let mut s =
                c.prepare_cached("SELECT id, name FROM node WHERE parent = ? AND name > ? ORDER BY name LIMIT ?")?;
            s.query_map((parent.0, after, i64::try_from(most).unwrap_or(i64::MAX)), |r| {
                Ok((NodeId(r.get(0)?), r.get(1)?))
            })?
            .collect()
        })
    }

    /// One page of a folder in name order, each name with its state: one look for all of them. Ends with a page
    /// shorter than `most`.
    pub fn children_at(&self, parent: NodeId, after: &[u8], most: usize, when: When) -> Result<Vec<Child>> {
        let rows = self.read("walk a folder", |c| {
            let mut names = c.prepare_cached(
                "SELECT id, name FROM node WHERE parent = ? AND id != 0 AND name > ? ORDER BY name LIMIT ?",
            )?;
            let mut records = c.prepare_cached(
                "SELECT seq, kind, captured, entry, content FROM version WHERE node = ? AND captured <= ? AND waits = 0 ORDER BY seq DESC",
            )?;
            let mut found = names.query((parent.0, after, i64::try_from(most).unwrap_or(i64::MAX)))?;
            let mut out = Vec::new();
            while let Some(r) = found.next()? {
                let (node, name) = (NodeId(r.get(0)?), r.get::<_, Vec<u8>>(1)?);
                out.push((node, name, counting_row(&mut records, node, when)?));
            }
            Ok(out)
        })?;
        rows.into_iter()
            .map(|(node, name, row)| {
                let state = match row {
                    Counting::Unrecorded => ChildState::Unrecorded,
                    Counting::Absent => ChildState::Absent,
                    Counting::Row { seq, captured, torn, entry, content } => ChildState::Present {
                        seq: Seq(seq.cast_unsigned()),
                        captured: Wall(captured),
                        torn,
                        entry: Box::new(entry_from_cbor(&entry)?),
                        content,
                    },
                };
                Ok(Child { node, name, state })
            })
            .collect()
    }

    /// One name of a folder, as [`children_at`](Self::children_at); None when no record was ever about it.
    pub fn child_at(&self, parent: NodeId, name: &[u8], when: When) -> Result<Option<Child>> {
        let Some(node) = self.read("find a name", |c| {
            c.prepare_cached("SELECT id FROM node WHERE parent = ? AND name = ?")?
                .query_row((parent.0, name), |r| r.get(0).map(NodeId))
                .optional()
        })?
        else {
            return Ok(None);
        };
        let state = match self.present(node, when)? {
            Some(p) => ChildState::Present {
                seq: p.seq,
                captured: p.captured,
                torn: p.torn,
                entry: Box::new(p.entry),
                content: self.content_bytes(p.seq)?,
            },
            None if self.is_unrecorded(node, when)? => ChildState::Unrecorded,
            None => ChildState::Absent,
        };
        Ok(Some(Child { node, name: name.to_vec(), state }))
    }

    /// Content as [`ChildState::Present`] carries it.
    pub fn content_bytes(&self, seq: Seq) -> Result<Vec<u8>> {
        let bytes: Option<Vec<u8>> = self.read("read a version's content", |c| {
            c.prepare_cached("SELECT content FROM version WHERE seq = ?")?
                .query_row([seq.0.cast_signed()], |r| r.get(0))
        })?;
        Ok(bytes.unwrap_or_default())
    }

    /// Every record of a path, newest first.
    pub fn history(&self, node: NodeId) -> Result<Vec<RecordRow>> {
        type Row = (u64, i64, i64, Option<Vec<u8>>, bool);
        let rows: Vec<Row> = self.read("read a path's history", |c| {
            let mut s = c.prepare_cached(
                "SELECT seq, captured, kind, entry, segment IS NOT NULL AND segment NOT IN (SELECT number FROM segment WHERE state = 0) FROM version WHERE node = ? ORDER BY seq DESC",
            )?;
            s.query_map([node.0], |r| Ok((tree::number(r, 0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)))?.collect()
        })?;
        rows.into_iter()
            .map(|(seq, captured, kind, entry, safe)| {
                Ok(RecordRow { seq: Seq(seq), captured: Wall(captured), state: state(kind, entry)?, safe })
            })
            .collect()
    }

    /// Records as the log takes them, in the order asked for. Damaged when one is missing.
    pub fn log_rows(&self, seqs: &[Seq]) -> Result<Vec<LogRow>> {
        type Row = (i64, Vec<u8>, i64, i64, Option<Vec<u8>>, Option<Vec<u8>>);
        let rows: Vec<Option<Row>> = self.read("read records to publish", |c| {
            let mut s = c.prepare_cached(
                "SELECT n.parent, n.name, v.captured, v.kind, v.entry, v.content
                 FROM version v JOIN node n ON n.id = v.node WHERE v.seq = ?",
            )?;
            seqs.iter()
                .map(|seq| {
                    s.query_row([seq.0.cast_signed()], |r| {
                        Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?))
                    })
                    .optional()
                })
                .collect()
        })?;
        seqs.iter()
            .zip(rows)
            .map(|(seq, row)| {
                let (parent, name, captured, kind, entry, content) =
                    row.ok_or_else(|| Error::damaged(format!("read record {} from the catalog: it is gone", seq.0)))?;
                Ok(LogRow {
                    seq: *seq,
                    parent: NodeId(parent),
                    name,
                    captured: Wall(captured),
                    state: state(kind, entry)?,
                    content: pieces_of(&content.unwrap_or_default())?,
                })
            })
            .collect()
    }
}

fn state(kind: i64, entry: Option<Vec<u8>>) -> Result<State> {
    Ok(match entry {
        Some(entry) if kind < 2 => State::Version { entry: Box::new(entry_from_cbor(&entry)?), torn: kind == 1 },
        _ => State::Deleted,
    })
}
