//! The one error of the house. Its kind answers "what happens next", its text says doing what, to what, and
//! the remedy. It is logged once, where it is handled.
//!
//! The two sides of a backup never share a kind by accident (promise 13): what is wrong with one source path
//! is [`Kind::Path`]; what is wrong with a vault, the spool or the catalog is never that.

use std::fmt;

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Passing: back off and do the same again.
    Retry,
    /// About one path: note it on its row and go on with the others.
    Path,
    /// Stored bytes are not what they should be: show red, never retry into silence.
    Damaged,
    /// Only a person can mend it: park the worker and say what to fix.
    Operator,
    /// Asked to stop: not a failure.
    Stopping,
}

/// An error with its kind, what was being done to what, and the remedy where one is known.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    doing: String,
    remedy: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// `doing` names the act and the thing in the present tense, lower case, without a full stop.
    pub fn new(kind: Kind, doing: impl Into<String>) -> Self {
        Self { kind, doing: doing.into(), remedy: None, source: None }
    }
    pub fn retry(doing: impl Into<String>) -> Self {
        Self::new(Kind::Retry, doing)
    }
    pub fn path(doing: impl Into<String>) -> Self {
        Self::new(Kind::Path, doing)
    }
    pub fn damaged(doing: impl Into<String>) -> Self {
        Self::new(Kind::Damaged, doing)
    }
    pub fn operator(doing: impl Into<String>) -> Self {
        Self::new(Kind::Operator, doing)
    }
    pub fn stopping() -> Self {
        Self::new(Kind::Stopping, "stopping")
    }

    /// What the reader can do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>) -> Self {
        self.source = Some(source.into());
        self
    }
    /// The same error seen from further out: `doing` goes in front, kind and remedy stay.
    #[must_use]
    pub fn during(mut self, doing: &str) -> Self {
        self.doing = format!("{doing}: {}", self.doing);
        self
    }
    /// The same error with another answer to "what happens next".
    #[must_use]
    pub fn as_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }
    pub fn remedy_text(&self) -> Option<&str> {
        self.remedy.as_deref()
    }
    /// The operating system's error beneath, where there is one.
    pub fn io_kind(&self) -> Option<std::io::ErrorKind> {
        self.source.as_deref()?.downcast_ref::<std::io::Error>().map(std::io::Error::kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}

/// Says what was being done when a foreign error came, and what happens next because of it.
pub trait Doing<T> {
    fn doing(self, kind: Kind, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Box<dyn std::error::Error + Send + Sync + 'static>>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, kind: Kind, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::new(kind, doing()).because(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_doing_what_the_cause_and_the_remedy() {
        let io = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let e = Error::path("read /data/a").because(io).remedy("give the daemon CAP_DAC_READ_SEARCH");
        assert_eq!(e.to_string(), "read /data/a: permission denied; give the daemon CAP_DAC_READ_SEARCH");
        assert_eq!(e.io_kind(), Some(std::io::ErrorKind::PermissionDenied));
        assert_eq!(e.during("capture").kind(), Kind::Path);
    }
}
