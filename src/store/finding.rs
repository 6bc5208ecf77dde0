//! What a trial of a vault found: one row of the table that `panicroom doctor` prints.

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Failed,
    /// The place cannot do this; the next best way is used instead.
    NotOffered,
    /// Worth knowing; nothing was proved or disproved.
    Note,
}

impl Verdict {
    /// As it is printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotOffered => "not offered",
            Self::Note => "note",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// One or two words.
    pub check: &'static str,
    pub verdict: Verdict,
    /// What was seen, and what follows from it.
    pub said: String,
    pub remedy: Option<String>,
}

impl Finding {
    pub fn new(check: &'static str, verdict: Verdict, said: impl Into<String>) -> Self {
        Self { check, verdict, said: said.into(), remedy: None }
    }
    pub fn passed(check: &'static str, said: impl Into<String>) -> Self {
        Self::new(check, Verdict::Passed, said)
    }
    pub fn failed(check: &'static str, said: impl Into<String>) -> Self {
        Self::new(check, Verdict::Failed, said)
    }
    pub fn not_offered(check: &'static str, said: impl Into<String>) -> Self {
        Self::new(check, Verdict::NotOffered, said)
    }
    pub fn note(check: &'static str, said: impl Into<String>) -> Self {
        Self::new(check, Verdict::Note, said)
    }
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// All of one trial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    pub findings: Vec<Finding>,
    /// Names of what the trial left in the vault.
    pub left: Vec<String>,
}
