//! Whether two runs of a batch came to the same result. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::job::Digest;
use crate::report::{FullReport, ItemLine};
use crate::text::line;

/// How many characters of what an item returned are shown.
const MAX_TEXT: usize = 200;

/// One thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "differs")]
pub enum Differs {
    /// The rows of an output.
    Output {
        /// The output.
        output: String,
        /// Its rows as they were recorded; none where there was no such output.
        recorded: Option<Rows>,
        /// Its rows now.
        now: Option<Rows>,
    },
    /// What became of an item.
    Item {
        /// Its place in the batch, from 0.
        index: u32,
        /// What was recorded: what it returned, or the code of its failure. None for an item that succeeded and returned
        /// nothing.
        recorded: Option<String>,
        /// The same now.
        now: Option<String>,
    },
}

/// What an output holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// How many rows.
    pub rows: u64,
    /// What they are. None in what an earlier gristmill recorded; then only the number of rows is compared.
    pub digest: Option<Digest>,
}

/// What differs between a recorded batch and the same one now. Failures are compared by their code, because a message may name
/// things that are not the batch's own.
pub fn verdict(recorded: &FullReport, now: &FullReport) -> Vec<Differs> {
    let (was, is) = (outputs(recorded), outputs(now));
    let names: BTreeSet<&str> = was.keys().chain(is.keys()).copied().collect();
    let output = |name: &str| {
        let (recorded, now) = (was.get(name).copied(), is.get(name).copied());
        (!same(recorded, now)).then(|| Differs::Output { output: name.to_owned(), recorded, now })
    };
    let indices: BTreeSet<u32> = recorded.items.keys().chain(now.items.keys()).copied().collect();
    let item = |index: u32| {
        let (was, is) = (recorded.items.get(&index), now.items.get(&index));
        let differs = match (was, is) {
            (Some(ItemLine::Result(was)), Some(ItemLine::Result(is))) => was.get() != is.get(),
            (Some(ItemLine::Failure(was)), Some(ItemLine::Failure(is))) => (&was.code, was.kind) != (&is.code, is.kind),
            (None, None) => false,
            _ => true,
        };
        differs.then(|| Differs::Item { index, recorded: was.map(told), now: is.map(told) })
    };
    names.into_iter().filter_map(output).chain(indices.into_iter().filter_map(item)).collect()
}

fn outputs(report: &FullReport) -> BTreeMap<&str, Rows> {
    let written = report.batch.iter().flat_map(|batch| &batch.outputs);
    written.map(|written| (written.output.as_str(), Rows { rows: written.rows, digest: written.digest })).collect()
}

fn same(recorded: Option<Rows>, now: Option<Rows>) -> bool {
    match (recorded, now) {
        (Some(was), Some(is)) => was.rows == is.rows && was.digest.zip(is.digest).is_none_or(|(was, is)| was == is),
        (was, is) => was.is_none() && is.is_none(),
    }
}

fn told(line: &ItemLine) -> String {
    let text = match line {
        ItemLine::Result(value) => value.get().to_owned(),
        ItemLine::Failure(failure) => format!("{}: {}", failure.code, failure.message),
    };
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output { output, recorded, now } => {
                let rows = |rows: &Option<Rows>| rows.map_or("no such output".into(), |rows| rows.to_string());
                write!(f, "output {}: recorded {}, now {}", line(output), rows(recorded), rows(now))
            }
            Self::Item { index, recorded, now } => {
                let said = |text: &'_ Option<String>| line(text.as_deref().unwrap_or("succeeded")).into_owned();
                write!(f, "item {index}: recorded {}, now {}", said(recorded), said(now))
            }
        }
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rows, if self.rows == 1 { "row" } else { "rows" })?;
        match &self.digest {
            Some(digest) => write!(f, " ({})", &digest.to_string()[..19]),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn report(rows: &[(&str, u64, Option<&str>)], items: &[&str]) -> FullReport {
        let outputs: Vec<_> = rows
            .iter()
            .map(|(output, rows, digest)| {
                let digest = digest.map(|text| Digest::of(text.as_bytes()));
                serde_json::json!({"output": output, "place": "table:t", "rows": rows, "bytes": 1, "digest": digest})
            })
            .collect();
        let batch = serde_json::json!({"batch": {
            "message": {"gristmill": 1, "dataset": "d", "execution": "e", "state": "s", "input": {"Items": [1]}},
            "component": {"name": "n", "version": "1.0.0", "digest": Digest::of(b"")},
            "started": "2024-01-01T00:00:00Z", "items": {"total": 1, "succeeded": 1, "rejected": 0}, "outputs": outputs,
        }});
        FullReport::parse(format!("{batch}\n{}", items.join("\n")).as_bytes()).unwrap()
    }

    const BAD: &str = r#"{"index":1,"failure":{"index":1,"code":"Bad","message":"no","kind":"rejected"}}"#;

    fn said(recorded: &FullReport, now: &FullReport) -> String {
        verdict(recorded, now).iter().map(|difference| format!("{difference}\n")).collect()
    }

    #[test]
    fn what_differs_is_named() {
        let recorded = report(
            &[("a", 2, Some("x")), ("b", 1, Some("y")), ("c", 1, Some("z"))],
            &[r#"{"index":0,"result":1}"#, BAD, r#"{"index":2,"result":{}}"#],
        );
        let now = report(
            &[("a", 2, Some("other")), ("b", 1, Some("y")), ("d", 1, None)],
            &[r#"{"index":0,"result":2}"#, &BAD.replace("no", "another sentence"), &BAD.replace(":1", ":3")],
        );
        assert!(verdict(&recorded, &recorded).is_empty());
        insta::assert_snapshot!(said(&recorded, &now), @"
        output a: recorded 2 rows (sha256:2d711642b726), now 2 rows (sha256:d9298a10d1b0)
        output c: recorded 1 row (sha256:594e519ae499), now no such output
        output d: recorded no such output, now 1 row
        item 0: recorded 1, now 2
        item 2: recorded {}, now succeeded
        item 3: recorded succeeded, now Bad: no
        ");
    }

    #[test]
    fn rows_that_an_earlier_gristmill_recorded_are_compared_by_their_number() {
        let recorded = report(&[("a", 2, None)], &[]);
        assert!(verdict(&recorded, &report(&[("a", 2, Some("x"))], &[])).is_empty());
        assert_eq!(verdict(&recorded, &report(&[("a", 3, Some("x"))], &[])).len(), 1);
    }

    #[test]
    fn what_an_item_returned_is_shown_in_part() {
        let long = format!("{{\"index\":0,\"result\":\"{}\"}}", "x".repeat(5_000));
        let said = said(&report(&[], &[&long]), &report(&[], &[]));
        assert!(said.len() < 300 && said.contains("…, now succeeded"), "{said}");
    }

    proptest! {
        #[test]
        fn what_an_item_said_stays_on_its_line(text in crate::text::hostile::text()) {
            let item = Differs::Item { index: 0, recorded: Some(text.clone()), now: Some(text.clone()) };
            let output = Differs::Output { output: text, recorded: None, now: None };
            for printed in [item.to_string(), output.to_string()] {
                crate::text::hostile::assert_tame(&printed);
                prop_assert!(!printed.contains('\n'));
            }
        }

        #[test]
        fn a_batch_equals_itself_and_no_other(
            rows in prop::collection::btree_map("[a-c]", (0_u64..3, "[x-z]"), 0..3),
            others in prop::collection::btree_map("[a-c]", (0_u64..3, "[x-z]"), 0..3),
        ) {
            let of = |rows: &BTreeMap<String, (u64, String)>| {
                let rows: Vec<_> = rows.iter().map(|(name, (rows, digest))| (name.as_str(), *rows, Some(digest.as_str()))).collect();
                report(&rows, &[])
            };
            prop_assert_eq!(verdict(&of(&rows), &of(&others)).is_empty(), rows == others);
        }
    }
}
