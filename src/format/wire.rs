//! The CBOR maps of docs/format.md as structs: integer keys, byte strings, nothing else. Turned into the words of
//! `model` by the modules beside this one, which also check every bound.

use minicbor::{Decode, Encode};

/// A byte string of any length.
pub type Bytes = minicbor::bytes::ByteVec;

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct VaultMap {
    #[n(1)]
    pub check: Bytes,
    #[n(2)]
    pub label: Bytes,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct LabelMap {
    #[n(1)]
    pub created: i64,
    #[n(2)]
    pub host: Bytes,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct KeyMap {
    #[n(1)]
    pub salt: Bytes,
    #[n(2)]
    pub operations: u32,
    #[n(3)]
    pub memory: u64,
    #[n(4)]
    pub wrapped: Bytes,
}

/// A pack's table (keys 2, 6, 7, 8) and the log's record of a pack (all keys).
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct PackMap {
    #[n(1)]
    pub hash: Option<Bytes>,
    #[n(2)]
    pub tier: u8,
    #[n(3)]
    pub random: Option<Bytes>,
    #[n(4)]
    pub key_box: Option<Bytes>,
    #[n(5)]
    pub size: Option<u64>,
    #[n(6)]
    pub blocks: Vec<u64>,
    #[n(7)]
    pub ids: Bytes,
    #[n(8)]
    pub lens: Vec<u32>,
}

#[derive(Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct VersionMap {
    #[n(1)]
    pub path: Option<Bytes>,
    #[n(2)]
    pub seq: u64,
    #[n(3)]
    pub captured: Option<i64>,
    #[n(4)]
    pub shape: Option<u8>,
    #[n(5)]
    pub mode: Option<u32>,
    #[n(6)]
    pub uid: Option<u32>,
    #[n(7)]
    pub gid: Option<u32>,
    #[n(8)]
    pub user: Option<Bytes>,
    #[n(9)]
    pub group: Option<Bytes>,
    #[n(10)]
    pub mtime: Option<i64>,
    #[n(11)]
    pub mtime_nanos: Option<u32>,
    #[n(12)]
    pub birth: Option<i64>,
    #[n(13)]
    pub birth_nanos: Option<u32>,
    #[n(14)]
    pub size: Option<u64>,
    #[n(15)]
    pub content: Option<Vec<u64>>,
    #[n(16)]
    pub target: Option<Bytes>,
    #[n(17)]
    pub xattrs: Option<Vec<Bytes>>,
    #[n(18)]
    pub major: Option<u32>,
    #[n(19)]
    pub minor: Option<u32>,
    #[n(20)]
    pub link_dev: Option<u64>,
    #[n(21)]
    pub link_ino: Option<u64>,
    #[n(22)]
    pub torn: Option<bool>,
    #[n(23)]
    pub part: Option<u32>,
    #[n(24)]
    pub more: Option<bool>,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct DeletionMap {
    #[n(1)]
    pub path: Bytes,
    #[n(2)]
    pub seq: u64,
    #[n(3)]
    pub noticed: i64,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct LostMap {
    #[n(1)]
    pub hash: Bytes,
    #[n(2)]
    pub seq: u64,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct TakeoverMap {
    #[n(1)]
    pub writer: Bytes,
    #[n(2)]
    pub before: Option<Bytes>,
    #[n(3)]
    pub at: i64,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct StatusMap {
    #[n(1)]
    pub at: i64,
    #[n(2)]
    pub lag: u64,
    #[n(3)]
    pub files: u64,
    #[n(4)]
    pub bytes: u64,
    #[n(5)]
    pub safe_files: u64,
    #[n(6)]
    pub safe_bytes: u64,
    #[n(7)]
    pub dirty: u64,
    #[n(8)]
    pub failed: u64,
    #[n(9)]
    pub torn: u64,
}

#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct DrillMap {
    #[n(1)]
    pub id: Bytes,
    #[n(2)]
    pub at: i64,
    #[n(3)]
    pub proof: u8,
    #[n(4)]
    pub verdict: u8,
    #[n(5)]
    pub files: u64,
    #[n(6)]
    pub live: u64,
    #[n(7)]
    pub failed: u64,
    #[n(8)]
    pub bytes: u64,
    #[n(9)]
    pub sound: Bytes,
    #[n(10)]
    pub damaged: Option<Bytes>,
    #[n(11)]
    pub cost: Option<u64>,
    #[n(12)]
    pub currency: Option<Bytes>,
}
