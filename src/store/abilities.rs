//! What one server can do, learnt from its answers and kept per vault so that it is learnt once.
//!
//! Not every server that speaks S3 keeps AWS's promises, and some drop a header they do not know without a word.
//! So an ability is believed only once it was seen to work; until then, and where it is missing, the next best
//! proof takes its place.

use serde::{Deserialize, Serialize};

/// Losing this record costs a few requests, never safety.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Abilities {
    /// `If-None-Match: *` on PUT refuses a name that exists. Else: look before each PUT.
    pub conditional_create: Ability,
    /// `x-amz-checksum-sha256` on PUT is taken. Else: the ETag, or reading back.
    pub checksum_header: Ability,
    /// The answer to PUT repeats the checksum.
    pub checksum_echo: Ability,
    /// An ETag is the MD5 of the bytes, so that a listing is proof enough.
    pub etag_is_md5: Ability,
    /// A listing tells which frozen objects are thawed. Else: a look at each that is waited for.
    pub thaw_in_list: Ability,
    /// ListObjectVersions is answered. Else: an inventory sees only what lies on top.
    pub list_versions: Ability,
    /// The bucket keeps versions, or did. Else: what is missing is missing, and nobody looks behind it.
    pub keeps_versions: Ability,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ability {
    #[default]
    Unknown,
    Yes,
    No,
}

impl Abilities {
    /// The server refused a PUT in words or a code that mean "I do not know this header". Drops the likeliest one
    /// still in use; false when there is nothing left to drop.
    pub(super) fn refused(&mut self, words: &str) -> bool {
        let words = words.to_ascii_lowercase();
        let checksum_named = words.contains("checksum") || words.contains("x-amz-sdk") || words.contains("sha256");
        let condition_named = words.contains("none-match") || words.contains("condition");
        let first = if checksum_named && !condition_named {
            [&mut self.checksum_header, &mut self.conditional_create]
        } else {
            [&mut self.conditional_create, &mut self.checksum_header]
        };
        for ability in first {
            if *ability == Ability::Unknown {
                *ability = Ability::No;
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_header_is_dropped_once_and_what_works_is_never_dropped() {
        let mut abilities = Abilities::default();
        assert!(
            abilities.refused("NotImplemented: A header you provided implies functionality: x-amz-checksum-sha256")
        );
        assert_eq!((abilities.checksum_header, abilities.conditional_create), (Ability::No, Ability::Unknown));
        assert!(abilities.refused("InvalidArgument"));
        assert_eq!(abilities.conditional_create, Ability::No);
        assert!(!abilities.refused("InvalidArgument"));
        let mut proven =
            Abilities { conditional_create: Ability::Yes, checksum_header: Ability::Yes, ..Abilities::default() };
        assert!(!proven.refused("NotImplemented: If-None-Match"));
    }

    #[test]
    fn a_record_of_an_older_release_is_still_read() {
        let old: Abilities = serde_json::from_str(r#"{"conditional_create":"yes","gone":1}"#).unwrap();
        assert_eq!(old, Abilities { conditional_create: Ability::Yes, ..Abilities::default() });
        assert_eq!(serde_json::from_str::<Abilities>(&serde_json::to_string(&old).unwrap()).unwrap(), old);
    }
}
