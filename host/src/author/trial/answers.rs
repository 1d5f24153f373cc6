//! What a plugin answers while its objects fail, as a table.

use std::collections::BTreeMap;
use std::fmt;

use super::fault::Fault;
use crate::job::FailureKind;
use crate::rollout::compare::Ran;
use crate::text::line;

/// The answers by fault, and how often there was each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers(BTreeMap<Fault, BTreeMap<String, usize>>);

impl Answers {
    pub(super) fn add(&mut self, fault: Fault, answer: &Ran, same: bool) {
        let said = match &answer.result {
            Ok(_) if same => "the same rows".into(),
            Ok(_) => "other rows".into(),
            Err(failed) if failed.kind == FailureKind::Retryable => format!("asks for another try ({})", failed.code),
            Err(failed) => format!("rejected ({})", failed.code),
        };
        *self.0.entry(fault).or_default().entry(said).or_default() += 1;
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (fault, answers) in &self.0 {
            let answers: Vec<String> =
                answers.iter().map(|(said, times)| format!("{times} × {}", line(said))).collect();
            writeln!(f, "    {:<20}{}", fault.to_string(), answers.join(", "))?;
        }
        Ok(())
    }
}
