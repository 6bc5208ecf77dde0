//! A vault as a place for objects: created once, read, listed, thawed. There is no way to delete and no way to
//! overwrite (promise 6), so no caller can ask for it.
//!
//! Calls block: each upload worker is a thread of its own, and an edge that lives on the network brings its own
//! runtime. Dying inside `create` leaves either the whole object or none (or, in a folder, a `.tmp-` file that
//! nobody reads); which of the two is settled by the next `create` of the same name.

pub mod abilities;
mod access;
mod body;
pub mod bucket;
pub mod finding;
pub mod folder;
pub mod identity;
#[doc(hidden)]
pub mod memory;
mod proof;
pub mod retry;
pub mod rules;
pub mod s3;
pub mod throttle;

pub use crate::model::Speed;
use access::TIERING;
pub use access::{Access, Thaw, is_archive, is_frozen};
pub use body::is_body_damage;

use crate::clock::Wall;
use crate::error::Result;
use crate::format::Name;
use crate::model::Sha256;
use crate::worker::Stop;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// No object is larger, bytes: a pack is at most 64 MiB and its padding, a segment less. Bounds what a read holds.
pub const MAX_OBJECT: u64 = 256 << 20;

/// Name of an object beneath the vault's prefix: ASCII letters, digits, `_`, `-` and `.`, never beginning with a dot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectName(String);

impl ObjectName {
    pub fn new(name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        (!name.is_empty() && name.len() <= 200 && !name.starts_with('.') && name.bytes().all(plain))
            .then_some(Self(name))
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Every name of the format is one.
impl From<Name> for ObjectName {
    fn from(name: Name) -> Self {
        Self::new(name.to_string()).expect("our names are object names")
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the bytes of a new object come from.
#[derive(Clone, Debug)]
pub enum Body {
    /// A synced file of the spool. A folder vault on the same file system links this very file in.
    File(PathBuf),
    Bytes(Vec<u8>),
}

/// One object to create.
#[derive(Clone, Debug)]
pub struct NewObject {
    pub name: ObjectName,
    pub body: Body,
    pub size: u64,
    /// Of the whole body, computed when it was sealed; the store proves it against what it keeps, so nobody needs
    /// to hash the body once more before.
    pub sha256: Sha256,
}

/// What the vault said when it confirmed an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    Now,
    /// The same bytes were there before: an earlier answer was lost.
    Before,
}

/// What a listing or a look tells of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    pub name: ObjectName,
    pub size: u64,
    /// Hex without quotes; the MD5 of the bytes on many servers, opaque on others.
    pub etag: Option<String>,
    /// Storage class as the server spells it; None where there are none.
    pub class: Option<String>,
    pub sha256: Option<Sha256>,
    pub modified: Option<Wall>,
    /// None: this look cannot tell.
    pub access: Option<Access>,
}

/// Calls made so far by kind: calls are money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    pub put: u64,
    pub get: u64,
    pub head: u64,
    pub list: u64,
    pub thaw: u64,
}

/// What lies on top of an object in a place that keeps versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// Nothing: it is what its name answers with.
    Bare,
    /// A delete marker: the bytes are there, and the name answers "missing". Nobody of ours deletes: an alarm, no loss.
    DeleteMarker,
    /// A later version of other size or ETag. Nobody of ours overwrites: an alarm, no loss.
    OtherBytes,
}

/// One name as an inventory sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its oldest version that is left: objects are created once, so what came first is ours. Where the one on top is
    /// the same, that one.
    pub object: ObjectInfo,
    pub cover: Cover,
}

/// How deep an inventory could look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Every version was seen (or the place keeps none): what is not there is gone.
    Versions,
    /// Only what lies on top: what is missing may lie behind a delete marker. Why, for people.
    Surface(&'static str),
}

/// How an inventory ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inventory {
    pub depth: Depth,
    /// Names and folders that lie there, begin as asked, and are none that any vault gives: only counted.
    pub strange: u64,
}

impl Requests {
    /// Those made after an earlier count.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            put: self.put - before.put,
            get: self.get - before.get,
            head: self.head - before.head,
            list: self.list - before.list,
            thaw: self.thaw - before.thaw,
        }
    }
}

pub trait ObjectStore: Send + Sync {
    /// Creates the object and returns only when the vault confirmed these very bytes (promise 2). Never
    /// replaces: a name that exists with other bytes is Damaged; with the same bytes it is `Before`.
    /// Retry: passing trouble. Operator: refused (rights, missing bucket or folder, no space). Damaged is about
    /// the vault's copy, unless [`is_body_damage`] says that our own body is gone or not what was sealed.
    fn create(&self, object: &NewObject, stop: &Stop) -> Result<Created>;

    /// The whole object or a range of it; at most the length asked for. Behind a delete marker it is found. Damaged when it is missing or shorter
    /// than the range, Operator when it is frozen and needs a thaw first ([`is_frozen`]).
    fn read(&self, name: &ObjectName, range: Option<Range<u64>>, stop: &Stop) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_into(name, range, &mut bytes, stop)?;
        Ok(bytes)
    }

    /// As [`read`](Self::read), into a buffer that goes round: whatever was in it is replaced.
    fn read_into(&self, name: &ObjectName, range: Option<Range<u64>>, into: &mut Vec<u8>, stop: &Stop) -> Result<()>;

    /// None when there is no such object; behind a delete marker it is found.
    fn head(&self, name: &ObjectName) -> Result<Option<ObjectInfo>>;

    /// Every object whose name begins with `prefix`, in name order, page by page; `each` may end it by an error. Tells
    /// of packs whether they can be read, where the server offers that.
    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectInfo) -> Result<()>) -> Result<()>;

    /// As [`list`](Self::list), and behind what lies on top, where the place keeps versions: as many calls as a listing.
    /// Names that no vault gives are not told, but counted.
    fn inventory(&self, prefix: &str, each: &mut dyn FnMut(Held) -> Result<()>) -> Result<Inventory> {
        self.list(prefix, &mut |object| each(Held { object, cover: Cover::Bare }))?;
        Ok(Inventory { depth: Depth::Versions, strange: 0 })
    }

    /// Of an object whose bytes are not what its name says: looks among its versions for the one that is, by the checksum
    /// the place keeps, or where none is kept, by age. True: from now on that one is read, looked at and thawed. False:
    /// there is nothing but what the name answers with.
    fn uncover(&self, name: &ObjectName) -> Result<bool> {
        let _ = name;
        Ok(false)
    }

    /// Asks for a copy that can be read for so many days, in one request; money. Damaged when there is no such object.
    fn thaw(&self, name: &ObjectName, speed: Speed, days: u32) -> Result<Thaw>;

    /// Whether objects here can be frozen at all: false saves every look.
    fn may_freeze(&self) -> bool;

    fn requests(&self) -> Requests;

    /// Bytes of object bodies sent so far, retries included.
    fn sent_bytes(&self) -> u64;

    /// For people: `file:///mnt/usb/vault`, `s3://bucket/prefix`. Holds no secret.
    fn url(&self) -> String;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_name_cannot_climb_or_hide() {
        assert!(ObjectName::new("data_00ff").is_some() && ObjectName::new("meta_rescue_a.py").is_some());
        for bad in ["", ".tmp-x", "a/b", "..", "a b", "ä"] {
            assert_eq!(ObjectName::new(bad), None, "{bad}");
        }
    }
}
