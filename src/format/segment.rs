//! Segments and merges of the log (docs/format.md section 5). Here are their words: the records, what heads a segment,
//! and the bounds; beside it, one file writes them and one reads them back.
//!
//! A segment is sealed once and never again; a merge only repeats what segments say. Bytes in, values out, and the
//! reverse: dying here does nothing.

mod entry;
mod read;
mod receipt;
mod write;

pub use entry::{entry_from_cbor, entry_to_cbor, numbers_from_cbor, numbers_to_cbor};
pub use read::Opened;
pub use receipt::{RECEIPT_PACKS, Receipt};
pub use write::Builder;

use super::pack::PackRecord;
use crate::clock::Wall;
use crate::model::{Content, SegmentNo, Seq, Sha256, TreePath, Version, WriterId};

/// A builder takes no more records above this many bytes of them: with one record of at most ~3 MiB on top, even
/// what does not compress stays below [`MAX_SEGMENT`].
const FULL: usize = 5 << 20;
/// Most pieces of one part of a version.
pub const PART: usize = 50_000;
/// A writer closes a pack at this many chunks, so that its record stays small beside [`FULL`].
pub const PACK_CHUNKS: usize = 65_536;

/// One record of the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    Pack(PackRecord),
    /// The only or the first part of a version; `more` when parts follow.
    Version {
        version: Version,
        more: bool,
    },
    /// A further part: content only.
    Part {
        path: TreePath,
        seq: Seq,
        part: u32,
        content: Content,
        more: bool,
    },
    Deletion {
        path: TreePath,
        seq: Seq,
        noticed: Wall,
    },
    Lost {
        hash: Sha256,
        seq: Seq,
    },
    Takeover {
        writer: WriterId,
        before: Option<WriterId>,
        at: Wall,
    },
    Status(Heartbeat),
    Drill(Receipt),
    /// Written by a later release.
    Unknown(u64),
}

/// What a status record tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    pub at: Wall,
    pub lag_s: u64,
    pub files: u64,
    pub bytes: u64,
    pub safe_files: u64,
    pub safe_bytes: u64,
    pub dirty: u64,
    pub failed: u64,
    pub torn: u64,
}

/// What names a segment besides its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHead {
    pub number: SegmentNo,
    pub writer: WriterId,
    pub before: Option<Sha256>,
    pub written: Wall,
}

/// Sealed bytes and their hash.
#[derive(Clone, Debug)]
pub struct SealedObject {
    pub bytes: Vec<u8>,
    pub hash: Sha256,
}

#[cfg(test)]
mod tests;
