//! What is still to be read and sent, root by root and rank by rank: what a forecast pours.

use super::{Catalog, RootId, tree};
use crate::error::Result;
use crate::model::Rank;
use std::collections::BTreeMap;

/// Whether something belongs to the first backup of its root. What comes later is changed, moved or new: it is found again
/// by its chunks more often, and shrinks otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Noticed by the walk that first went through all of the root, or before it ended.
    First,
    Later,
}

/// Of each root that was walked whole, the notice of the walk that first did.
#[derive(Clone, Debug, Default)]
pub struct FirstWalks(BTreeMap<RootId, u64>);

impl FirstWalks {
    pub fn origin(&self, root: RootId, notice: u64) -> Origin {
        let is_later = self.0.get(&root).is_some_and(|first| notice > *first);
        if is_later { Origin::Later } else { Origin::First }
    }
}

/// What of one root waits at one rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// None: packs of which nobody knows for whom they were opened.
    pub root: Option<RootId>,
    pub rank: Rank,
    pub origin: Origin,
    /// Files owed a look, failed ones aside, and their bytes as they were seen.
    pub files: u64,
    pub unread: u64,
    /// Sealed bytes in the spool.
    pub sealed: u64,
}

impl Catalog {
    /// Counted from all rows that wait: what it costs grows with them.
    pub fn ahead(&self) -> Result<Vec<Ahead>> {
        self.read("count what is ahead", |c| {
            let mut s = c.prepare_cached(
                "SELECT root, rank, later, SUM(files), SUM(bytes), SUM(sealed) FROM (
                   SELECT d.root, d.rank, COALESCE(d.notice > r.first_walk, 0) AS later, (d.file = 1 OR n.shape = 0) AS files,
                     CASE WHEN d.file = 1 THEN d.bytes WHEN n.shape = 0 THEN n.size ELSE 0 END AS bytes, 0 AS sealed
                   FROM dirty d JOIN node n ON n.id = d.node LEFT JOIN root r ON r.id = d.root
                   WHERE d.error IS NULL AND d.scope = 0
                   UNION ALL
                   SELECT root, rank, 0, 0, 0, size FROM pack INDEXED BY pack_turn WHERE state = 0
                 ) GROUP BY root, rank, later ORDER BY rank, root, later",
            )?;
            s.query_map([], |r| {
                Ok(Ahead {
                    root: Some(r.get(0)?).filter(|id| *id != 0).map(RootId),
                    rank: Rank::from_number(r.get(1)?),
                    origin: if r.get(2)? { Origin::Later } else { Origin::First },
                    files: r.get::<_, Option<i64>>(3)?.unwrap_or(0).cast_unsigned(),
                    unread: tree::number(r, 4)?,
                    sealed: tree::number(r, 5)?,
                })
            })?
            .collect()
        })
    }

    pub fn first_walks(&self) -> Result<FirstWalks> {
        self.read("read the roots' first walks", |c| {
            c.prepare_cached("SELECT id, first_walk FROM root WHERE first_walk IS NOT NULL")?
                .query_map([], |r| Ok((RootId(r.get(0)?), tree::number(r, 1)?)))?
                .collect::<rusqlite::Result<_>>()
                .map(FirstWalks)
        })
    }
}
