//! Folders that ask to be left out by what lies in them: a `CACHEDIR.TAG`, or a file of a chosen name. Here is
//! only what was asked for and what a tag looks like; the walk opens the folders.

use crate::error::{Error, Result};
use crate::model::path::is_name;

/// Name of the file that tags a cache folder (<https://bford.info/cachedir/>).
pub const CACHEDIR_TAG: &str = "CACHEDIR.TAG";

/// What a tag file begins with, to the byte; whatever follows does not matter.
pub const CACHEDIR_SIGNATURE: &[u8; 43] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// What to do with a folder that holds a valid tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheFolders {
    #[default]
    LeaveOut,
    Keep,
}

/// What in a folder makes the walk leave the folder out, with all beneath it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Markers {
    pub cache_folders: CacheFolders,
    marker: Option<Box<str>>,
}

impl Markers {
    /// `marker` is the name of one file, such as `.nobackup`; None for no such file.
    ///
    /// # Errors
    /// Operator, where `marker` is not the name of one file.
    pub fn new(cache_folders: CacheFolders, marker: Option<&str>) -> Result<Self> {
        if let Some(name) = marker
            && !is_name(name.as_bytes())
        {
            return Err(Error::operator(format!("use `{name}` as the marker that leaves a folder out"))
                .remedy("write the name of one file, such as `.nobackup`"));
        }
        Ok(Self { cache_folders, marker: marker.map(Into::into) })
    }
    /// Name of the file whose mere presence leaves its folder out.
    pub fn marker(&self) -> Option<&str> {
        self.marker.as_deref()
    }
}

/// Whether a file that begins with `first` (43 bytes of it are enough) is a valid tag. Checked because programs
/// leave empty or foreign files of that name.
pub fn is_cachedir_tag(first: &[u8]) -> bool {
    first.starts_with(CACHEDIR_SIGNATURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_with_the_whole_signature_is_a_tag() {
        assert!(is_cachedir_tag(CACHEDIR_SIGNATURE));
        assert!(is_cachedir_tag(b"Signature: 8a477f597d28d172789f06886806bc55\n# made by a test"));
        assert!(!is_cachedir_tag(b""));
        assert!(!is_cachedir_tag(&CACHEDIR_SIGNATURE[..42]));
        assert!(!is_cachedir_tag(b"Signature: 8a477f597d28d172789f06886806bc56"));
    }

    #[test]
    fn a_marker_is_the_name_of_one_file() {
        assert_eq!(Markers::new(CacheFolders::Keep, Some(".nobackup")).unwrap().marker(), Some(".nobackup"));
        assert_eq!(Markers::default().marker(), None);
        for bad in ["", ".", "..", "a/b", "/a"] {
            let error = Markers::new(CacheFolders::LeaveOut, Some(bad)).unwrap_err();
            assert_eq!(error.kind(), crate::error::Kind::Operator);
        }
    }
}
