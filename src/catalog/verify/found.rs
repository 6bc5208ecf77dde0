//! The words for what a look through the vault finds, and for the looks themselves.

use crate::clock::Wall;
use crate::model::{SegmentNo, Sha256, Tier};

/// A way to look at a vault, from the cheapest to the one that proves most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// The listing against the catalog.
    Inventory,
    /// The server's own checksums.
    Checksum,
    /// All bytes.
    Read,
}

impl Check {
    pub const ALL: [Self; 3] = [Self::Inventory, Self::Checksum, Self::Read];

    pub fn word(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::Checksum => "checksum",
            Self::Read => "read",
        }
    }
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|check| check.word() == word)
    }
    pub(super) fn number(self) -> i64 {
        self as i64
    }
    pub(super) fn from_number(n: i64) -> Self {
        match n {
            0 => Self::Inventory,
            1 => Self::Checksum,
            _ => Self::Read,
        }
    }
    /// The column of `seen` that says when a pack was last looked at so.
    pub(super) fn column(self) -> &'static str {
        if self == Self::Read { "read" } else { "summed" }
    }
}

/// What is wrong with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    Missing,
    Size,
    Bytes,
    /// Another ETag than it had, and nothing to tell whether the bytes are others too.
    Etag,
    /// Behind a delete marker.
    Hidden,
    /// Beneath other bytes of the same name.
    Covered,
    /// An object of the log, or a hot pack, that needs a thaw.
    Archived,
    /// A segment this catalog does not know: somebody else writes here.
    Stranger,
}

impl Wrong {
    const ALL: [Self; 8] = [
        Self::Missing,
        Self::Size,
        Self::Bytes,
        Self::Etag,
        Self::Hidden,
        Self::Covered,
        Self::Archived,
        Self::Stranger,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Size => "wrong size",
            Self::Bytes => "other bytes",
            Self::Etag => "another ETag",
            Self::Hidden => "behind a delete marker",
            Self::Covered => "covered by other bytes",
            Self::Archived => "in an archive class",
            Self::Stranger => "written by somebody else",
        }
    }
    pub(super) fn from_number(n: i64) -> Self {
        usize::try_from(n).ok().and_then(|n| Self::ALL.get(n).copied()).unwrap_or(Self::Missing)
    }
    /// The bytes are gone or others: what they held must be sent again. Everything else is an alarm and no loss.
    pub fn is_loss(self) -> bool {
        matches!(self, Self::Missing | Self::Size | Self::Bytes)
    }
}

/// An object that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    pub name: String,
    pub found: Check,
    pub wrong: Wrong,
    /// The stored pack it is; None: an object of the log.
    pub pack: Option<i64>,
    /// As it should be; 0 where nobody knows.
    pub size: u64,
    pub at: Wall,
    pub said: String,
}

/// A stored pack, as an inventory compares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackToSee {
    pub id: i64,
    pub hash: Sha256,
    pub tier: Tier,
    pub size: u64,
    pub etag: Option<String>,
}

/// How deep an inventory saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// What lies on top of other bytes too, or the place keeps no versions.
    Beneath,
    /// What lies on top alone.
    Surface,
}

/// Where the catalog stood when a look began: what was stored then must be there, what came since need not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The newest pack.
    pub pack: i64,
    /// Packs on their way then: bounded by the spool.
    pub spooled: Vec<i64>,
    /// The newest stored segment.
    pub segment: SegmentNo,
}

impl Fence {
    pub fn holds(&self, pack: i64) -> bool {
        pack <= self.pack && self.spooled.binary_search(&pack).is_err()
    }
}

/// A run that came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub check: Check,
    pub begun: Wall,
    pub ended: Wall,
    /// Objects.
    pub looked: u64,
    pub bytes: u64,
    pub wrong: u64,
    /// Frozen, or the server keeps nothing to compare.
    pub skipped: u64,
    pub foreign: u64,
    /// Packs like ours that no log names.
    pub unnamed: u64,
    /// What could not be looked at, and why; empty: nothing.
    pub note: String,
}

/// How far a round over all packs has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    pub packs: u64,
    /// Never looked at so.
    pub never: u64,
    /// When the pack whose turn is next was last looked at.
    pub oldest: Option<Wall>,
}

/// Packs that are missing or damaged and not yet given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    pub packs: u64,
    pub bytes: u64,
}

/// Where a round goes on: by time, then by pack.
pub type RoundPlace = (i64, i64);
