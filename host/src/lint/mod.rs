//! What makes callbacks hang, lose or cost in a state machine that somebody wrote: any machine in the Amazon States Language
//! whose states wait for a task token, whoever's workers answer.
//!
//! A rule is a function over one state and stands in a table (`rules/mod.rs`). Sources: "Integrate with service: callback",
//! "Task state", "Map state in Distributed mode", "Handling errors" and "Quotas" in the Step Functions developer guide, and the
//! Amazon States Language's specification (states-language.net).

mod finding;
mod machine;
mod path;
mod rules;

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

pub use self::finding::{Finding, LintError, Severity};
pub use self::path::Path;

/// The largest definition of a state machine ("Quotas" in the Step Functions developer guide), in bytes.
pub const MAX_DEFINITION: u64 = 1_048_576;

/// How long a message may wait in the queue of a fleet that sleeps: a minute until there is a metric, three until an alarm,
/// and one until a task runs.
pub const EXPECTED_WAIT: Duration = Duration::from_secs(300);

/// What was looked at, and what was found there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Linted {
    /// How many states wait for a task token.
    pub callbacks: usize,
    /// In the order of the lines.
    pub findings: Vec<Finding>,
}

impl Linted {
    /// How many findings of a severity there are.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Judges the text of a state machine whose messages may have to wait for `wait` before a worker takes them.
pub fn lint(text: &str, wait: Duration) -> Result<Linted, LintError> {
    let text = crate::text::without_mark(text);
    let machine: Value = serde_json::from_str(text).map_err(|error| LintError::NoJson(error.to_string()))?;
    let states = machine::states(&machine)?;
    let lines = path::Lines::of(text);
    let mut findings: Vec<Finding> = states.iter().flat_map(|state| rules::apply(state, wait)).collect();
    for finding in &mut findings {
        finding.line = lines.line(&finding.path);
    }
    findings.sort_by(|one, other| (one.line, one.severity, &one.path).cmp(&(other.line, other.severity, &other.path)));
    Ok(Linted { callbacks: states.iter().filter(|state| state.waits()).count(), findings })
}

#[cfg(test)]
mod tests;
