//! Folders left out wherever they lie beneath a root, because their makers keep there what is not the user's
//! or what is there twice. A line of the user that matches comes first, and `default_excludes = false` turns
//! them off.

/// Whether the shipped list stands behind the user's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultExcludes {
    #[default]
    On,
    Off,
}

/// A folder name of the shipped list. A last `*` stands for any rest; case counts.
#[derive(Debug, PartialEq, Eq)]
pub struct DefaultExclude {
    pub name: &'static str,
    /// Why it is left out, for people.
    pub reason: &'static str,
}

const fn leave_out(name: &'static str, reason: &'static str) -> DefaultExclude {
    DefaultExclude { name, reason }
}

const SYNOLOGY_INDEX: &str = "Synology: thumbnails and indexes, made anew from the files";
const QNAP_INDEX: &str = "QNAP: thumbnails and indexes, made anew from the files";
const BIN: &str = "what was thrown away";
const SNAPSHOTS: &str = "snapshots: every file again, once per snapshot";
const MAC_INDEX: &str = "macOS: an index, made anew from the files";

/// Sources: the file system layouts of Synology DSM, QNAP QTS, ZFS, snapper, NetApp, Windows and macOS, and the
/// freedesktop.org trash specification (`.Trash-$uid` and `.Trash` at the top of a volume).
pub const DEFAULT_EXCLUDES: &[DefaultExclude] = &[
    leave_out("@eaDir", SYNOLOGY_INDEX),
    leave_out("@tmp", "Synology: passing files of the system"),
    leave_out("#recycle", BIN),
    leave_out("#snapshot", SNAPSHOTS),
    leave_out(".@__thumb", QNAP_INDEX),
    leave_out(".@upload_cache", "QNAP: uploads under way"),
    leave_out("@Recycle", BIN),
    leave_out("@Recently-Snapshot", SNAPSHOTS),
    leave_out(".zfs", SNAPSHOTS),
    leave_out(".snapshots", SNAPSHOTS),
    leave_out(".snapshot", SNAPSHOTS),
    leave_out("~snapshot", SNAPSHOTS),
    leave_out("lost+found", "pieces left by a file system check; readable to root alone"),
    leave_out(".Trash-*", BIN),
    leave_out("$RECYCLE.BIN", BIN),
    leave_out("$Recycle.Bin", BIN),
    leave_out("System Volume Information", "Windows: restore points and indexes"),
    leave_out(".Spotlight-V100", MAC_INDEX),
    leave_out(".fseventsd", "macOS: a journal of file events"),
    leave_out(".Trashes", BIN),
    leave_out(".TemporaryItems", "macOS: passing files of programs"),
    leave_out(".DocumentRevisions-V100", "macOS: old versions, of use to that Mac alone"),
];

/// The entry that names a folder of this name.
pub(super) fn default_exclude(folder: &[u8]) -> Option<&'static DefaultExclude> {
    DEFAULT_EXCLUDES.iter().find(|exclude| match exclude.name.strip_suffix('*') {
        Some(beginning) => folder.starts_with(beginning.as_bytes()),
        None => folder == exclude.name.as_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_whole_but_for_a_last_star_and_case_counts() {
        assert_eq!(default_exclude(b"@eaDir").unwrap().name, "@eaDir");
        assert_eq!(default_exclude(b".Trash-1000").unwrap().name, ".Trash-*");
        for kept in [&b"@eadir"[..], b"@eaDir2", b"Lost+Found", b".Trash", b"snapshots", b"", b".git", b"tmp"] {
            assert_eq!(default_exclude(kept), None);
        }
    }

    #[test]
    fn every_entry_is_a_name_has_a_reason_and_stands_once() {
        for (i, exclude) in DEFAULT_EXCLUDES.iter().enumerate() {
            assert!(crate::model::path::is_name(exclude.name.as_bytes()) && !exclude.reason.is_empty());
            assert!(DEFAULT_EXCLUDES[..i].iter().all(|e| e.name != exclude.name), "{} twice", exclude.name);
        }
    }
}
