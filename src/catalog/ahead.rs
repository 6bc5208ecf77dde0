//! What is still to be read and sent, root by root and rank by rank: what a forecast pours.

use super::{Catalog, RootId, tree};
use crate::error::Result;
use crate::model::Rank;

/// What of one root waits at one rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// None: packs of which nobody knows for whom they were opened.
    pub root: Option<RootId>,
    pub rank: Rank,
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
                "SELECT root, rank, SUM(files), SUM(bytes), SUM(sealed) FROM (
                   SELECT d.root, d.rank, (d.file = 1 OR n.shape = 0) AS files,
                     CASE WHEN d.file = 1 THEN d.bytes WHEN n.shape = 0 THEN n.size ELSE 0 END AS bytes, 0 AS sealed
                   FROM dirty d JOIN node n ON n.id = d.node WHERE d.error IS NULL AND d.scope = 0
                   UNION ALL
                   SELECT root, rank, 0, 0, size FROM pack WHERE state = 0
                 ) GROUP BY root, rank ORDER BY rank, root",
            )?;
            s.query_map([], |r| {
                Ok(Ahead {
                    root: Some(r.get(0)?).filter(|id| *id != 0).map(RootId),
                    rank: Rank::from_number(r.get(1)?),
                    files: r.get::<_, Option<i64>>(2)?.unwrap_or(0).cast_unsigned(),
                    unread: tree::number(r, 3)?,
                    sealed: tree::number(r, 4)?,
                })
            })?
            .collect()
        })
    }
}
