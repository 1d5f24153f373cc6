//! Questions and what came of them.

use std::fmt;

/// One thing that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What: `queue https://...`, `table stations`.
    pub what: String,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it has to be. The text says how it is.
    Fine(String),
    /// It works, but is rarely what somebody wants.
    Hint(String),
    /// Batches will fail: what is wrong, and what to do.
    Problem(String),
    /// Asking would have changed something.
    NotAsked(String),
}

impl Asked {
    pub(super) fn new(what: impl Into<String>, verdict: Verdict) -> Self {
        Self { what: what.into(), verdict }
    }

    /// Whether batches will fail for it.
    pub fn is_problem(&self) -> bool {
        matches!(self.verdict, Verdict::Problem(_))
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, text) = match &self.verdict {
            Verdict::Fine(text) => ("ok", text),
            Verdict::Hint(text) => ("hint", text),
            Verdict::Problem(text) => ("problem", text),
            Verdict::NotAsked(text) => ("not asked", text),
        };
        write!(f, "{word:<10}{}: {text}", self.what)
    }
}
