//! Cold storage in words: whether an object can be read now, and what a request to thaw it came to.
//!
//! A read of a frozen object is an error of its own, [`is_frozen`], so that a restore whose copy expired half way can
//! ask again instead of ending.

use super::ObjectName;
use crate::clock::Wall;
use crate::error::Error;

/// Whether an object can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its class needs no thaw.
    Warm,
    /// In an archive class, and nobody has asked for it.
    Frozen,
    /// Asked for; not there yet.
    Thawing,
    /// A temporary copy can be read. `until`: when it goes, where the server tells.
    Thawed { until: Option<Wall> },
}

/// What a request to thaw came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thaw {
    /// Readable now: warm, or thawed before, and then its copy stays for the days that were asked.
    Ready,
    /// Asked for by this very request.
    Asked,
    /// Asked for before.
    Underway,
    /// The class, or the server at this moment, does not offer this speed; nothing was asked.
    NotAtThisSpeed,
}

/// Storage classes that need a thaw, as S3 spells them.
const ARCHIVES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

/// Moves objects into archives by itself, where the bucket says so, and does not say in listings which.
pub(super) const TIERING: &str = "INTELLIGENT_TIERING";

/// Whether objects of this class need a thaw.
pub fn is_archive(class: &str) -> bool {
    ARCHIVES.contains(&class)
}

#[derive(Debug, thiserror::Error)]
#[error("it is frozen")]
struct Frozen;

/// The error of a read that found the object frozen.
pub(super) fn frozen(name: &ObjectName) -> Error {
    Error::operator(format!("read {name}"))
        .because(Frozen)
        .remedy("ask for a thaw first: panicroom restore does, and says what it costs")
}

/// Whether a read failed because the object is frozen, or is frozen again.
pub fn is_frozen(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<Frozen>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_object_is_told_from_every_other_refusal() {
        let name = ObjectName::new("data_1").unwrap();
        assert!(is_frozen(&frozen(&name)) && is_frozen(&frozen(&name).during("restore")));
        assert!(!is_frozen(&Error::operator("read data_1")));
    }

    #[test]
    fn only_archive_classes_need_a_thaw() {
        assert!(is_archive("GLACIER") && !is_archive("GLACIER_IR") && !is_archive("STANDARD"));
    }
}
