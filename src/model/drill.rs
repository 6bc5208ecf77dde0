//! What a drill proves, and what it came to.

use std::fmt;

/// Which proof a drill is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proof {
    /// Packs were read, and are the very bytes that were sealed: their SHA-256 is their name. Needs no key.
    Sealed,
    /// Files were restored with the words, every chunk proved by its id, and compared.
    Contents,
}

impl Proof {
    /// As status and `--json` show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Contents => "contents",
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a drill ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Everything that was tried came back as it should.
    Proved,
    /// Something is damaged, lost, or not as it should be.
    Failed,
    /// Nothing was found wrong, and something could not be tried.
    Partly,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Self::Proved => "proved",
            Self::Failed => "failed",
            Self::Partly => "partly",
        }
    }
}
