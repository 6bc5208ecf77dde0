//! A recorded content as its chunks and holes in file order. Holds one pack's table at a time.

use crate::catalog::{Catalog, CatalogPiece, pieces_of};
use crate::error::Result;
use crate::format::pack::Table;
use crate::model::{ChunkId, Seq};

/// What was recorded of the next bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    Zeros(u64),
    Chunk {
        id: ChunkId,
        len: u32,
    },
    End,
    /// No record tells what lies here.
    Unknown,
}

pub(super) struct Layout<'a> {
    catalog: &'a Catalog,
    pieces: std::vec::IntoIter<CatalogPiece>,
    /// Of the run that is being told: pack, next chunk, chunks left.
    run: (i64, u32, u32),
    table: Option<(i64, Table)>,
}

impl<'a> Layout<'a> {
    pub(super) fn of(catalog: &'a Catalog, seq: Seq) -> Result<Self> {
        let pieces = pieces_of(&catalog.content_bytes(seq)?)?;
        Ok(Self { catalog, pieces: pieces.into_iter(), run: (0, 0, 0), table: None })
    }

    pub(super) fn next(&mut self) -> Result<Recorded> {
        while self.run.2 == 0 {
            match self.pieces.next() {
                None => return Ok(Recorded::End),
                Some(CatalogPiece::Hole(n)) => return Ok(Recorded::Zeros(n)),
                Some(CatalogPiece::Run { pack, first, count }) => self.run = (pack, first, count),
            }
        }
        let (pack, number, left) = self.run;
        self.run = (pack, number.saturating_add(1), left - 1);
        if self.table.as_ref().is_none_or(|(held, _)| *held != pack) {
            let Some((record, _)) = self.catalog.pack_record(pack)? else { return Ok(Recorded::Unknown) };
            self.table = Some((pack, record.table));
        }
        let chunk = self.table.as_ref().and_then(|(_, table)| {
            let at = usize::try_from(number).ok()?;
            Some(Recorded::Chunk { id: *table.ids.get(at)?, len: *table.lens.get(at)? })
        });
        Ok(chunk.unwrap_or(Recorded::Unknown))
    }
}
