//! What re-reading the roots told: how far a round has come, which files are not what was captured of them, the last run.
//!
//! Nothing here makes a file dirty: a finding never replaces the good version by itself.

use super::{Catalog, NodeId, RootId, tree};
use crate::clock::Wall;
use crate::error::Result;
use crate::model::{Seq, Stamp, TreePath};
use rusqlite::{Connection, OptionalExtension, Row};

/// The node a round looked at last.
const PLACE: &str = "reread";

/// What is wrong with a file whose stamp says that nobody touched it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotten {
    OtherBytes,
    Unreadable,
}

impl Rotten {
    pub fn word(self) -> &'static str {
        match self {
            Self::OtherBytes => "rot",
            Self::Unreadable => "cannot be read",
        }
    }
    pub fn words(self) -> &'static str {
        match self {
            Self::OtherBytes => {
                "the file on this machine differs from what was captured, though its time and size say that nobody \
                 touched it: its disk may be failing; the vault has it as it was"
            }
            Self::Unreadable => "its disk may be failing; the vault has it as it was",
        }
    }
    fn from_number(n: i64) -> Self {
        if n == 0 { Self::OtherBytes } else { Self::Unreadable }
    }
}

/// A file as a re-read meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveFile {
    pub node: NodeId,
    pub root: RootId,
    pub path: TreePath,
    /// Of its latest version.
    pub seq: Seq,
    pub stamp: Stamp,
    pub torn: bool,
    pub dirty: bool,
    /// Stored segments name its latest version.
    pub safe: bool,
}

/// How a look at one file ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    AsCaptured,
    Wrong(Rotten, String),
    /// Nothing was learnt.
    NotCompared,
}

/// A file that is not what was captured of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rot {
    pub path: TreePath,
    /// When the version was captured that it was compared with.
    pub captured: Wall,
    pub what: Rotten,
    /// When it was first found.
    pub at: Wall,
    pub said: String,
}

/// A run that came to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rereading {
    pub begun: Wall,
    pub ended: Wall,
    /// Files.
    pub looked: u64,
    pub bytes: u64,
    pub wrong: u64,
    pub skipped: u64,
    /// What could not be looked at, and why; empty: nothing.
    pub note: String,
}

const FILE: &str = "SELECT n.id, n.root, n.seq, n.size, n.mtime, n.ctime, n.ino, n.torn,
        EXISTS (SELECT 1 FROM dirty d WHERE d.node = n.id),
        EXISTS (SELECT 1 FROM version v JOIN segment s ON s.number = v.segment WHERE v.seq = n.seq AND s.state = 1)
     FROM node n";

fn file(c: &Connection, r: &Row<'_>) -> rusqlite::Result<LiveFile> {
    let node = NodeId(r.get(0)?);
    Ok(LiveFile {
        node,
        root: RootId(r.get(1)?),
        path: tree::path_of(c, node)?,
        seq: Seq(tree::number(r, 2)?),
        stamp: Stamp { size: tree::number(r, 3)?, mtime: r.get(4)?, ctime: r.get(5)?, ino: tree::number(r, 6)? },
        torn: r.get(7)?,
        dirty: r.get(8)?,
        safe: r.get(9)?,
    })
}

/// Findings that still count.
const STANDING: &str = "rot x JOIN node n ON n.id = x.node AND n.seq = x.seq AND n.ctime = x.ctime AND n.shape = 0";

impl Catalog {
    /// Files from after `after` up to `until`, in the order of nodes.
    pub fn files_to_reread(&self, after: NodeId, until: NodeId, most: usize) -> Result<Vec<LiveFile>> {
        self.read("read whose turn it is", |c| {
            let mut s = c.prepare_cached(&format!(
                "{FILE} WHERE n.id > ? AND n.id <= ? AND n.shape = 0 ORDER BY n.id LIMIT ?"
            ))?;
            let mut rows = s.query((after.0, until.0, most as i64))?;
            let mut out = vec![];
            while let Some(r) = rows.next()? {
                out.push(file(c, r)?);
            }
            Ok(out)
        })
    }

    /// Files that were found wrong and may be so still, from after `after` on.
    pub fn rotten_files(&self, after: NodeId, most: usize) -> Result<Vec<LiveFile>> {
        self.read("read what is wrong", |c| {
            let sql =
                format!("{FILE} WHERE n.id > ? AND n.id IN (SELECT x.node FROM {STANDING}) ORDER BY n.id LIMIT ?");
            let mut s = c.prepare_cached(&sql)?;
            let mut rows = s.query((after.0, most as i64))?;
            let mut out = vec![];
            while let Some(r) = rows.next()? {
                out.push(file(c, r)?);
            }
            Ok(out)
        })
    }

    /// Whether a file was found wrong, and may be so still.
    pub fn is_rotten(&self, node: NodeId) -> Result<bool> {
        self.read("look for a finding", |c| {
            c.prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM {STANDING} WHERE x.node = ?)"))?
                .query_row([node.0], |r| r.get(0))
        })
    }

    pub fn reread_place(&self) -> Result<NodeId> {
        Ok(NodeId(self.fact(PLACE)?.unwrap_or(0)))
    }

    /// Files that were looked at, and the node a round goes on after; None where the look was out of turn.
    pub fn reread(&self, place: Option<NodeId>, at: Wall, files: &[(LiveFile, Compared)]) -> Result<()> {
        self.write("note what was read again", |tx| {
            if let Some(place) = place {
                super::set_fact(tx, PLACE, place.0)?;
            }
            for (file, compared) in files {
                match compared {
                    Compared::NotCompared => {}
                    Compared::AsCaptured => {
                        tx.prepare_cached("DELETE FROM rot WHERE node = ?")?.execute([file.node.0])?;
                    }
                    Compared::Wrong(what, said) => {
                        tx.prepare_cached(
                            "INSERT INTO rot (node, seq, ctime, what, at, said) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                             ON CONFLICT (node) DO UPDATE SET what = ?4, said = ?6, seq = ?2, ctime = ?3,
                                at = CASE WHEN seq = ?2 AND ctime = ?3 THEN at ELSE ?5 END",
                        )?
                        .execute((
                            file.node.0,
                            file.seq.0.cast_signed(),
                            file.stamp.ctime,
                            *what as i64,
                            at.0,
                            said,
                        ))?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Findings that no longer count go with it.
    pub fn end_rereading(&self, run: &Rereading) -> Result<()> {
        self.write("end a re-read", |tx| {
            tx.execute(&format!("DELETE FROM rot WHERE node NOT IN (SELECT x.node FROM {STANDING})"), [])?;
            tx.execute(
                "INSERT OR REPLACE INTO rereading (one, begun, ended, looked, bytes, wrong, skipped, note)
                 VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run.begun.0,
                    run.ended.0,
                    run.looked.cast_signed(),
                    run.bytes.cast_signed(),
                    run.wrong.cast_signed(),
                    run.skipped.cast_signed(),
                    &run.note,
                ),
            )
            .map(drop)
        })
    }

    pub fn last_rereading(&self) -> Result<Option<Rereading>> {
        self.read("read how a re-read ended", |c| {
            c.prepare_cached("SELECT begun, ended, looked, bytes, wrong, skipped, note FROM rereading")?
                .query_row([], |r| {
                    Ok(Rereading {
                        begun: Wall(r.get(0)?),
                        ended: Wall(r.get(1)?),
                        looked: tree::number(r, 2)?,
                        bytes: tree::number(r, 3)?,
                        wrong: tree::number(r, 4)?,
                        skipped: tree::number(r, 5)?,
                        note: r.get(6)?,
                    })
                })
                .optional()
        })
    }

    /// Files that are not what was captured of them, the newest finding first; how many in all.
    pub fn rot(&self, most: usize) -> Result<(Vec<Rot>, u64)> {
        self.read("read what is wrong", |c| {
            let mut s = c.prepare_cached(&format!(
                "SELECT x.node, (SELECT captured FROM version v WHERE v.seq = x.seq), x.what, x.at, x.said
                 FROM {STANDING} ORDER BY x.at DESC, x.node LIMIT ?"
            ))?;
            let mut rows = s.query([most as i64])?;
            let mut out = vec![];
            while let Some(r) = rows.next()? {
                out.push(Rot {
                    path: tree::path_of(c, NodeId(r.get(0)?))?,
                    captured: Wall(r.get::<_, Option<i64>>(1)?.unwrap_or_default()),
                    what: Rotten::from_number(r.get(2)?),
                    at: Wall(r.get(3)?),
                    said: r.get(4)?,
                });
            }
            let all =
                c.prepare_cached(&format!("SELECT COUNT(*) FROM {STANDING}"))?.query_row([], |r| tree::number(r, 0))?;
            Ok((out, all))
        })
    }

    /// When a version was captured.
    pub fn captured(&self, seq: Seq) -> Result<Option<Wall>> {
        self.read("read when a version was captured", |c| {
            c.prepare_cached("SELECT captured FROM version WHERE seq = ?")?
                .query_row([seq.0.cast_signed()], |r| r.get(0).map(Wall))
                .optional()
        })
    }

    /// Files of all roots, and their bytes.
    pub fn files_and_bytes(&self) -> Result<(u64, u64)> {
        self.read("count files", |c| {
            c.prepare_cached("SELECT COALESCE(SUM(files), 0), COALESCE(SUM(bytes), 0) FROM root")?
                .query_row([], |r| Ok((tree::number(r, 0)?, tree::number(r, 1)?)))
        })
    }
}
