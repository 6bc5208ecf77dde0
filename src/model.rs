//! The words of the house as types: ids, sizes, rates, times, and what a path is. No behaviour beyond what a
//! word means; no edge, no policy.

pub mod drill;
pub mod entry;
pub mod hours;
pub mod link;
pub mod order;
pub mod path;
pub mod quantity;
pub mod speed;
pub mod window;

pub use drill::{Proof, Verdict};
pub use entry::{Content, Device, Entry, FileTime, HardLink, Piece, Shape, Stamp, Version};
pub use hours::Hours;
pub use link::{LinkChoice, LinkRule, Network};
pub use order::{Band, OrderRule, Priority, Rank};
pub use path::TreePath;
pub use quantity::{Rate, Size};
pub use speed::Speed;
pub use window::{Allowed, Window};

use std::fmt;

/// Lower-case hex of any id.
fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
}

/// Bytes of a hex string; None unless it is exactly `N` bytes of lower-case hex.
fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut out = [0; N];
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(out)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            pub const LEN: usize = $len;
            pub fn from_hex(text: &str) -> Option<Self> {
                parse_hex(text).map(Self)
            }
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }
    };
}

id!(
    /// Names one vault for ever; random, made by `init`.
    VaultId, 16);
id!(
    /// Names one incarnation of a catalog that writes to a vault; random, made by `init`, `rebuild` and takeover.
    WriterId, 16);
id!(
    /// BLAKE3-256 of a chunk's bytes, keyed with the vault's `chunk` key.
    ChunkId, 32);
id!(
    /// SHA-256 of a sealed object's bytes: its name, its upload checksum and its proof in one.
    Sha256, 32);

/// Orders every record of a vault's log; only grows, never a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// Number of a segment of the log, from 1, without gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentNo(pub u64);

impl SegmentNo {
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Where a pack lies: cold packs may need a thaw, hot ones never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    Cold,
    Hot,
}

impl Tier {
    /// Whether something kept here serves a root that asks for `wanted`.
    pub fn serves(self, wanted: Tier) -> bool {
        self >= wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_what_they_print_and_nothing_else() {
        let id = VaultId([0xab; 16]);
        assert_eq!(VaultId::from_hex(&id.to_string()), Some(id));
        assert_eq!(VaultId::from_hex(&"AB".repeat(16)), None);
        assert_eq!(VaultId::from_hex("ab"), None);
    }

    #[test]
    fn a_hot_place_serves_a_cold_root_but_not_the_other_way_round() {
        assert!(Tier::Hot.serves(Tier::Cold) && Tier::Hot.serves(Tier::Hot) && Tier::Cold.serves(Tier::Cold));
        assert!(!Tier::Cold.serves(Tier::Hot));
    }
}
