//! The items without a result: all counted, a few shown.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::report::{Failures, OTHER_CODES};

/// How many failures are shown, over all batches, and of one code.
const MAX_EXAMPLES: usize = 10;
const MAX_EXAMPLES_PER_CODE: usize = 3;

/// How many codes are counted one by one: a plugin that puts names into its codes must not fill the memory.
const MAX_CODES: usize = 1000;

/// The items without a result, counted in full and shown in part.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FailureSummary {
    /// How many items per code. A batch that failed as a whole counts with all its items, by the error's name.
    pub by_code: BTreeMap<String, u64>,
    /// The first ones.
    pub first: Vec<Example>,
}

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The batch's number, from 0, as in its child execution's name.
    pub batch: u64,
    /// The item's name, or its place in the batch; none if the batch failed as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// What it is counted by.
    pub code: String,
    /// What happened.
    pub message: String,
}

impl FailureSummary {
    pub(super) fn add(&mut self, batch: u64, failures: Failures) {
        for (code, count) in failures.by_code {
            self.count(code, count);
        }
        for failure in failures.first {
            let item = failure.item.unwrap_or_else(|| format!("batch {batch:06}, item {}", failure.index));
            self.show(Example { batch, item: Some(item), code: failure.code, message: failure.message });
        }
    }

    pub(super) fn count(&mut self, code: String, items: u64) {
        let known = self.by_code.len() < MAX_CODES || self.by_code.contains_key(&code);
        *self.by_code.entry(if known { code } else { OTHER_CODES.into() }).or_default() += items;
    }

    pub(super) fn show(&mut self, example: Example) {
        let of_code = self.first.iter().filter(|shown| shown.code == example.code).count();
        if self.first.len() < MAX_EXAMPLES && of_code < MAX_EXAMPLES_PER_CODE {
            self.first.push(example);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_bounded_and_all_are_counted() {
        let mut failures = FailureSummary::default();
        for n in 0..3000 {
            failures.count(format!("code-{}", n % 1500), 2);
        }
        assert_eq!(failures.by_code.len(), MAX_CODES + 1);
        assert_eq!(failures.by_code.values().sum::<u64>(), 6000);
    }
}
