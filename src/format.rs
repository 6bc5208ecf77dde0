//! What stored bytes look like: names, headers, limits. docs/format.md is the other half of this folder; a change
//! here edits that page in the same commit.
//!
//! Nothing here reads a file or a vault: bytes in, values out, and the reverse. Every size is checked before
//! anything is allocated by it.

pub mod key_file;
pub mod log;
pub mod pack;
pub mod segment;
pub mod vault;
mod wire;

use crate::error::{Error, Kind, Result};
use crate::model::{SegmentNo, Sha256, Tier, VaultId};
use crate::seal::{Entropy, HeaderBytes, random};

pub const MAGIC: [u8; 8] = *b"PANICRM\n";
/// The newest format this release reads and the one it writes.
pub const VERSION: u16 = 1;
pub const KEY_EPOCH: u32 = 1;
pub const HEADER: usize = 48;

/// Largest sealed segment or merge, and the largest map within.
pub const MAX_SEGMENT: u64 = 16 << 20;
pub const MAX_SEGMENT_MAP: usize = 64 << 20;
/// Largest pack, largest sum of a block's chunks, most chunks of a pack.
pub const MAX_PACK: u64 = 80 << 20;
pub const MAX_BLOCK: u64 = 8 << 20;
pub const MAX_CHUNKS: usize = 1 << 20;
/// Largest `meta_vault` and `meta_key_`.
pub const MAX_SMALL: u64 = 64 << 10;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Vault,
    Key,
    Pack,
    Segment,
    Merge,
}

impl ObjectKind {
    fn number(self) -> u8 {
        match self {
            Self::Vault => 1,
            Self::Key => 2,
            Self::Pack => 3,
            Self::Segment => 4,
            Self::Merge => 5,
        }
    }
}

/// The first 48 bytes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: ObjectKind,
    pub vault: VaultId,
    pub random: [u8; 16],
}

impl Header {
    pub fn new(kind: ObjectKind, vault: VaultId, entropy: &dyn Entropy) -> Self {
        Self { kind, vault, random: random(entropy) }
    }

    pub fn to_bytes(self) -> HeaderBytes {
        let mut out = [0; HEADER];
        out[..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[10] = self.kind.number();
        out[12..16].copy_from_slice(&KEY_EPOCH.to_le_bytes());
        out[16..32].copy_from_slice(&self.vault.0);
        out[32..48].copy_from_slice(&self.random);
        out
    }

    /// The header and what follows it. Damaged: not ours, cut, of another kind or vault. Operator: a newer format.
    pub fn split(object: &[u8], kind: ObjectKind, vault: Option<VaultId>) -> Result<(Self, &[u8])> {
        let (head, rest) =
            object.split_at_checked(HEADER).ok_or_else(|| Error::damaged("read an object: shorter than its header"))?;
        if head[..8] != MAGIC {
            return Err(Error::damaged("read an object: it does not begin as a panicroom object does"));
        }
        let version = u16::from_le_bytes([head[8], head[9]]);
        if version > VERSION {
            return Err(Error::new(
                Kind::Operator,
                format!("read an object of format version {version}: this release knows versions up to {VERSION}"),
            )
            .remedy("use a newer release of panicroom"));
        }
        if head[10] != kind.number() {
            return Err(Error::damaged(format!("read an object: it is of kind {}, not {}", head[10], kind.number())));
        }
        let header = Self {
            kind,
            vault: VaultId::from_slice(&head[16..32]).expect("16 bytes"),
            random: head[32..48].try_into().expect("16 bytes"),
        };
        if header.to_bytes() != *head {
            return Err(Error::damaged("read an object: its header has an unknown key epoch or was changed"));
        }
        match vault {
            Some(expected) if expected != header.vault => {
                Err(Error::damaged(format!("read an object: it belongs to vault {}, not {expected}", header.vault)))
            }
            _ => Ok((header, rest)),
        }
    }
}

/// What the name of an object says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    Vault,
    Key(Sha256),
    Pack(Tier, Sha256),
    Segment(SegmentNo, Sha256),
    Merge(SegmentNo, SegmentNo, Sha256),
    /// A plain file that explains the vault; its hash.
    Rescue(Sha256),
}

/// Every object that must stay readable without a thaw begins with this.
pub const META_PREFIX: &str = "meta_";
/// Names of packs of a tier begin so.
pub fn pack_prefix(tier: Tier) -> &'static str {
    match tier {
        Tier::Cold => "data_",
        Tier::Hot => "hot_",
    }
}
pub const LOG_PREFIX: &str = "meta_log_";
pub const KEY_PREFIX: &str = "meta_key_";
pub const RESCUE_PREFIX: &str = "meta_rescue_";
pub const VAULT_NAME: &str = "meta_vault";

impl Name {
    /// The SHA-256 of the object's bytes, which all names but the vault's carry.
    pub fn sum(self) -> Option<Sha256> {
        match self {
            Self::Vault => None,
            Self::Key(sum)
            | Self::Pack(_, sum)
            | Self::Segment(_, sum)
            | Self::Merge(_, _, sum)
            | Self::Rescue(sum) => Some(sum),
        }
    }

    /// None for foreign objects.
    pub fn parse(text: &str) -> Option<Self> {
        if text == VAULT_NAME {
            return Some(Self::Vault);
        }
        if let Some(hash) = text.strip_prefix("data_") {
            return Sha256::from_hex(hash).map(|h| Self::Pack(Tier::Cold, h));
        }
        if let Some(hash) = text.strip_prefix("hot_") {
            return Sha256::from_hex(hash).map(|h| Self::Pack(Tier::Hot, h));
        }
        if let Some(hash) = text.strip_prefix(KEY_PREFIX) {
            return Sha256::from_hex(hash).map(Self::Key);
        }
        if let Some(rest) = text.strip_prefix(RESCUE_PREFIX) {
            return Sha256::from_hex(rest.split_once('_')?.0).map(Self::Rescue);
        }
        let (numbers, hash) = text.strip_prefix(LOG_PREFIX)?.split_once('_')?;
        let hash = Sha256::from_hex(hash)?;
        let number = |s: &str| {
            let plain = s.len() == 12 && s.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| s.parse().ok()).flatten().filter(|n| *n > 0).map(SegmentNo)
        };
        match numbers.split_once('-') {
            None => Some(Self::Segment(number(numbers)?, hash)),
            Some((from, to)) => {
                let (from, to) = (number(from)?, number(to)?);
                (from <= to).then_some(Self::Merge(from, to, hash))
            }
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Vault => f.write_str(VAULT_NAME),
            Self::Key(h) => write!(f, "{KEY_PREFIX}{h}"),
            Self::Pack(Tier::Cold, h) => write!(f, "data_{h}"),
            Self::Pack(Tier::Hot, h) => write!(f, "hot_{h}"),
            Self::Segment(n, h) => write!(f, "{LOG_PREFIX}{:012}_{h}", n.0),
            Self::Merge(a, b, h) => write!(f, "{LOG_PREFIX}{:012}-{:012}_{h}", a.0, b.0),
            Self::Rescue(h) => write!(f, "{RESCUE_PREFIX}{h}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::SystemEntropy;

    #[test]
    fn names_read_back_and_foreign_ones_are_not_ours() {
        let h = Sha256([0xcd; 32]);
        for name in [
            Name::Vault,
            Name::Key(h),
            Name::Pack(Tier::Cold, h),
            Name::Pack(Tier::Hot, h),
            Name::Segment(SegmentNo(7), h),
            Name::Merge(SegmentNo(1), SegmentNo(64), h),
        ] {
            assert_eq!(Name::parse(&name.to_string()), Some(name));
        }
        assert_eq!(Name::parse(&format!("meta_rescue_{h}_format.md")), Some(Name::Rescue(h)));
        for foreign in [
            "",
            "data_",
            "data_xyz",
            "meta_log_1_x",
            ".tmp-1",
            "photo.jpg",
            &format!("meta_log_000000000000_{h}"),
            &format!("meta_log_000000000002-000000000001_{h}"),
        ] {
            assert_eq!(Name::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_header_says_what_is_wrong_with_an_object() {
        let vault = VaultId([1; 16]);
        let bytes = Header::new(ObjectKind::Pack, vault, &SystemEntropy).to_bytes();
        assert!(Header::split(&bytes, ObjectKind::Pack, Some(vault)).is_ok());
        assert_eq!(Header::split(&bytes[..47], ObjectKind::Pack, None).unwrap_err().kind(), Kind::Damaged);
        assert_eq!(Header::split(&bytes, ObjectKind::Segment, None).unwrap_err().kind(), Kind::Damaged);
        assert!(
            Header::split(&bytes, ObjectKind::Pack, Some(VaultId([2; 16])))
                .unwrap_err()
                .to_string()
                .contains("belongs to vault")
        );
        let mut newer = bytes;
        newer[8] = 2;
        let e = Header::split(&newer, ObjectKind::Pack, None).unwrap_err();
        assert_eq!(e.kind(), Kind::Operator);
        assert!(e.to_string().contains("newer release"));
        for at in [0, 11, 12] {
            let mut changed = bytes;
            changed[at] ^= 1;
            assert_eq!(Header::split(&changed, ObjectKind::Pack, None).unwrap_err().kind(), Kind::Damaged);
        }
    }
}
