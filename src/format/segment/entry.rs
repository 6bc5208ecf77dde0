//! An entry as CBOR: the same map in a version record of the log and in the catalog's rows, so that what is rebuilt
//! from a vault is what was there before.

use crate::error::{Error, Result};
use crate::format::wire::{Bytes, VersionMap};
use crate::model::{Device, Entry, FileTime, HardLink, Shape, Size};

pub(super) fn entry_to_map(entry: &Entry) -> VersionMap {
    let bytes = |b: &Vec<u8>| Bytes::from(b.clone());
    let (shape, target, device) = match &entry.shape {
        Shape::File => (0, None, None),
        Shape::Dir => (1, None, None),
        Shape::Symlink(target) => (2, Some(bytes(target)), None),
        Shape::Fifo => (3, None, None),
        Shape::CharDevice(d) => (4, None, Some(d)),
        Shape::BlockDevice(d) => (5, None, Some(d)),
    };
    VersionMap {
        shape: Some(shape),
        mode: Some(entry.mode),
        uid: Some(entry.uid),
        gid: Some(entry.gid),
        user: entry.user.as_ref().map(bytes),
        group: entry.group.as_ref().map(bytes),
        mtime: Some(entry.mtime.secs),
        mtime_nanos: Some(entry.mtime.nanos),
        birth: entry.birth.map(|b| b.secs),
        birth_nanos: entry.birth.map(|b| b.nanos),
        size: (entry.shape == Shape::File).then_some(entry.size.0),
        target,
        xattrs: (!entry.xattrs.is_empty())
            .then(|| entry.xattrs.iter().flat_map(|(n, v)| [bytes(n), bytes(v)]).collect()),
        major: device.map(|d| d.major),
        minor: device.map(|d| d.minor),
        link_dev: entry.link.map(|l| l.dev),
        link_ino: entry.link.map(|l| l.ino),
        ..VersionMap::default()
    }
}

pub(super) fn entry_from_map(m: VersionMap) -> Result<Entry> {
    let wrong = |what: &str| Error::damaged(format!("read a version: {what}"));
    let device = Device { major: m.major.unwrap_or_default(), minor: m.minor.unwrap_or_default() };
    let shape = match m.shape {
        Some(0) => Shape::File,
        Some(1) => Shape::Dir,
        Some(2) => Shape::Symlink(m.target.ok_or_else(|| wrong("a symlink without a target"))?.into()),
        Some(3) => Shape::Fifo,
        Some(4) => Shape::CharDevice(device),
        Some(5) => Shape::BlockDevice(device),
        _ => return Err(wrong("unknown shape")),
    };
    let time = |secs: i64, nanos: Option<u32>| {
        let nanos = nanos.unwrap_or_default();
        if nanos < 1_000_000_000 {
            Ok(FileTime { secs, nanos })
        } else {
            Err(wrong("a time of a billion nanoseconds and more"))
        }
    };
    let mut pairs = m.xattrs.unwrap_or_default().into_iter().map(Vec::from);
    let mut xattrs = vec![];
    while let Some(name) = pairs.next() {
        xattrs.push((name, pairs.next().ok_or_else(|| wrong("an attribute without a value"))?));
    }
    Ok(Entry {
        shape,
        mode: m.mode.unwrap_or(0o600) & 0o7777,
        uid: m.uid.unwrap_or_default(),
        gid: m.gid.unwrap_or_default(),
        user: m.user.map(Vec::from),
        group: m.group.map(Vec::from),
        mtime: time(m.mtime.unwrap_or_default(), m.mtime_nanos)?,
        birth: m.birth.map(|b| time(b, m.birth_nanos)).transpose()?,
        size: Size(m.size.unwrap_or_default()),
        xattrs,
        link: m.link_dev.zip(m.link_ino).map(|(dev, ino)| HardLink { dev, ino }),
    })
}

/// An entry as the catalog keeps it: the same CBOR as in the log, without path and content.
pub fn entry_to_cbor(entry: &Entry) -> Vec<u8> {
    minicbor::to_vec(entry_to_map(entry)).expect("encodes into memory")
}

pub fn entry_from_cbor(bytes: &[u8]) -> Result<Entry> {
    entry_from_map(minicbor::decode(bytes).map_err(|e| Error::damaged("read an entry").because(e))?)
}

/// A list of numbers, as contents are kept.
pub fn numbers_to_cbor(numbers: &[u64]) -> Vec<u8> {
    minicbor::to_vec(numbers).expect("encodes into memory")
}

pub fn numbers_from_cbor(bytes: &[u8]) -> Result<Vec<u64>> {
    minicbor::decode(bytes).map_err(|e| Error::damaged("read a list of numbers").because(e))
}
