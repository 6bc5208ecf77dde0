//! What a vault is expected to give back, as `expected.json` of a golden vault tells it: one list of paths a state.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Path in hex (names need not be UTF-8) to what is there.
pub type Tree = BTreeMap<String, Expected>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The path for people.
    pub name: String,
    /// file, folder, symlink, fifo, char or block.
    pub shape: String,
    /// Octal.
    pub mode: String,
    pub uid: u32,
    pub gid: u32,
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    pub size: u64,
    /// Of the contents; empty unless a file.
    pub sha256: String,
    /// Hex; empty unless a symlink.
    pub target: String,
    /// The same text for all names of one file; empty for files with one name.
    pub link: String,
    pub torn: bool,
    /// Name and value in hex.
    pub xattrs: Vec<(String, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct States {
    pub now: Tree,
    /// A moment, milliseconds since 1970, and the state then.
    pub before: (i64, Tree),
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, b| text + &format!("{b:02x}"))
}
