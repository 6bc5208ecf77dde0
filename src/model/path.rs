//! [`TreePath`]: an absolute path as bytes, in the one form that cannot escape.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// An absolute path: `/`, or `/` and components joined by `/`, none of them empty, `.`, `..` or holding a NUL.
/// Bytes, not text: names need not be UTF-8. Ordered so that a folder comes before all it holds, and all it
/// holds before its next neighbour (component by component).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TreePath(Vec<u8>);

impl TreePath {
    pub fn root() -> Self {
        Self(b"/".to_vec())
    }
    /// None unless the bytes are in the one form.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        if bytes == b"/" {
            return Some(Self(bytes));
        }
        let inner = bytes.strip_prefix(b"/")?;
        inner.split(|b| *b == b'/').all(is_name).then_some(Self(bytes))
    }
    /// Mends what people type: doubled and trailing slashes and `.` go; None where `..` or a NUL occurs, or
    /// where it does not begin with `/`.
    pub fn from_typed(path: &Path) -> Option<Self> {
        let bytes = path.as_os_str().as_bytes();
        if bytes.first() != Some(&b'/') {
            return None;
        }
        let mut out = Self::root();
        for name in bytes.split(|b| *b == b'/').filter(|n| !n.is_empty() && *n != b".") {
            out = out.join(name)?;
        }
        Some(out)
    }
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }
    pub fn is_root(&self) -> bool {
        self.0 == b"/"
    }
    /// None where `name` is not one component.
    pub fn join(&self, name: &[u8]) -> Option<Self> {
        if !is_name(name) {
            return None;
        }
        let mut out = Vec::with_capacity(self.0.len() + 1 + name.len());
        out.extend_from_slice(&self.0);
        if !self.is_root() {
            out.push(b'/');
        }
        out.extend_from_slice(name);
        Some(Self(out))
    }
    /// The folder above; None for `/`.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let at = self.0.iter().rposition(|b| *b == b'/')?;
        Some(Self(self.0[..at.max(1)].to_vec()))
    }
    /// The last component; None for `/`.
    pub fn name(&self) -> Option<&[u8]> {
        if self.is_root() { None } else { self.0.rsplit(|b| *b == b'/').next() }
    }
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/').filter(|n| !n.is_empty())
    }
    /// Whether this is `above` itself or lies beneath it.
    pub fn is_within(&self, above: &TreePath) -> bool {
        above.is_root()
            || self.0.strip_prefix(above.0.as_slice()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
    /// The components beneath `above`, joined by `/` and without a leading one; empty for `above` itself.
    pub fn beneath(&self, above: &TreePath) -> Option<&[u8]> {
        if above.is_root() {
            return Some(&self.0[1..]);
        }
        let rest = self.0.strip_prefix(above.0.as_slice())?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
    }
}

/// Whether `name` may be one component of a path.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name != b"." && name != b".." && !name.iter().any(|b| matches!(b, b'/' | 0))
}

impl Ord for TreePath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.components().cmp(other.components())
    }
}

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// For people, logs and terminals: UTF-8 as it is, anything else and every control character escaped as
/// `\xNN`, a backslash as `\\`. Reversible, one line, harmless to a terminal.
impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(&self.0, f)
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// See the `Display` of [`TreePath`].
pub fn write_escaped(bytes: &[u8], f: &mut impl fmt::Write) -> fmt::Result {
    for part in bytes.utf8_chunks() {
        for c in part.valid().chars() {
            if c == '\\' {
                f.write_str("\\\\")?;
            } else if c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            {
                let mut utf8 = [0; 4];
                for b in c.encode_utf8(&mut utf8).bytes() {
                    write!(f, "\\x{b:02x}")?;
                }
            } else {
                f.write_char(c)?;
            }
        }
        for b in part.invalid() {
            write!(f, "\\x{b:02x}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(s: &str) -> TreePath {
        TreePath::from_bytes(s).unwrap()
    }

    #[test]
    fn what_could_escape_is_not_a_path() {
        for bad in ["", "a", "//", "/a/", "/a//b", "/./a", "/a/..", "/..", "/a\0"] {
            assert_eq!(TreePath::from_bytes(bad), None, "{bad:?}");
        }
        assert_eq!(p("/a").join(b".."), None);
        assert_eq!(p("/a").join(b"b/c"), None);
    }

    #[test]
    fn typed_paths_are_mended_but_never_climb() {
        assert_eq!(TreePath::from_typed(Path::new("//a/./b/")), Some(p("/a/b")));
        assert_eq!(TreePath::from_typed(Path::new("/")), Some(TreePath::root()));
        assert_eq!(TreePath::from_typed(Path::new("/a/../b")), None);
        assert_eq!(TreePath::from_typed(Path::new("a")), None);
    }

    #[test]
    fn a_folder_sorts_before_all_it_holds_and_all_it_holds_before_its_neighbour() {
        let mut all = vec![p("/a.b"), p("/a/c"), p("/a"), p("/"), p("/a/b/x"), p("/a/b")];
        all.sort();
        assert_eq!(all, [p("/"), p("/a"), p("/a/b"), p("/a/b/x"), p("/a/c"), p("/a.b")]);
    }

    #[test]
    fn within_and_beneath_go_by_component() {
        assert!(p("/a/b").is_within(&p("/a")) && p("/a").is_within(&p("/a")) && p("/a").is_within(&p("/")));
        assert!(!p("/ab").is_within(&p("/a")));
        assert_eq!(p("/a/b/c").beneath(&p("/a")), Some(&b"b/c"[..]));
        assert_eq!(p("/ab").beneath(&p("/a")), None);
        assert_eq!(p("/a").parent(), Some(TreePath::root()));
        assert_eq!(p("/a/b").name(), Some(&b"b"[..]));
    }

    #[test]
    fn display_is_harmless_to_a_terminal() {
        let nasty = TreePath::from_bytes(b"/a\x1b[2J\xff\\\xe2\x80\xaeb\xc3\xa9".to_vec()).unwrap();
        assert_eq!(nasty.to_string(), "/a\\x1b[2J\\xff\\\\\\xe2\\x80\\xaebé");
    }
}
