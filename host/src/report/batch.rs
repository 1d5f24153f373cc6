//! The report of a batch: counts of items, rows and failures, where the rows lie, and the first failures.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::callback::Answer;
use crate::job::{Digest, ItemFailure, MAX_STEP_FUNCTIONS_PAYLOAD, error_names};
use crate::sink::Written;

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchReport {
    /// The dataset's name.
    pub dataset: String,
    /// What ran.
    pub component: Component,
    /// How many items, by outcome.
    pub items: ItemCounts,
    /// How many bytes of objects the items read, as stored.
    #[serde(default)]
    pub bytes_read: u64,
    /// What was committed, per output.
    #[serde(default)]
    pub outputs: Vec<Written>,
    /// The items without a result.
    #[serde(default)]
    pub failures: Failures,
    /// The URI of the full report, where the dataset file has a place for it.
    #[serde(default)]
    pub report: Option<String>,
    /// Whether the report comes from the ledger's receipt: an earlier run had committed the batch already, and nothing ran now.
    #[serde(default, rename = "replayed")]
    pub from_receipt: bool,
}

/// A component, as its manifest and its bytes name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// The manifest's name.
    pub name: String,
    /// The manifest's version.
    pub version: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// The release that it belongs to; none if it came from no registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Digest>,
}

/// Items by outcome; `total` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemCounts {
    /// All items of the batch.
    pub total: u64,
    /// Those whose rows count.
    pub succeeded: u64,
    /// Those that have no result.
    pub rejected: u64,
}

/// The items without a result, counted in full and shown in part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// How many items per code.
    #[serde(default)]
    pub by_code: BTreeMap<String, u64>,
    /// The first of them, in the order of the items.
    #[serde(default)]
    pub first: Vec<ItemFailure>,
}

/// The name under which [`BatchReport::to_output`] counts failures that it has no room to count by code.
pub const OTHER_CODES: &str = "(other)";

/// The longest cause of a failure, in characters (`SendTaskFailure`). We count bytes, and a text has at least as many of them.
const MAX_CAUSE: usize = 32_768;

/// How much of a failure's message stays, in characters, where room is short.
const SHORT_MESSAGE: usize = 500;

impl BatchReport {
    /// Of a batch that has no items.
    pub fn of_no_items(dataset: &str, component: Component) -> Self {
        Self {
            dataset: dataset.into(),
            component,
            items: ItemCounts::default(),
            bytes_read: 0,
            outputs: Vec::new(),
            failures: Failures::default(),
            report: None,
            from_receipt: false,
        }
    }

    /// What the waiting state is told: a failure if more than the tolerated percentage of items was rejected, else a success.
    pub fn answer(&self, tolerated_rejected_percentage: f64) -> Answer {
        // It multiplies and does not divide, so that 10 of 100 are not more than 10 %.
        if self.items.rejected as f64 * 100.0 > tolerated_rejected_percentage * self.items.total as f64 {
            return Answer::Failure { error: error_names::ITEMS_REJECTED.into(), cause: self.to_output(MAX_CAUSE) };
        }
        Answer::Success { output: self.to_output(MAX_STEP_FUNCTIONS_PAYLOAD) }
    }

    /// The report of a batch that an earlier run committed, from what the ledger kept of it.
    pub fn from_receipt(output: &str) -> Result<Self, serde_json::Error> {
        Ok(Self { from_receipt: true, ..serde_json::from_str(output)? })
    }

    /// The report as a JSON text of at most `max_bytes`. Where room is short, messages are cut first, then the last failures
    /// are dropped, then the rarest codes are counted together. Counts, outputs and the place of the full report always stay,
    /// so `max_bytes` must leave room for them: a few hundred bytes, and at most some 1,200 per output.
    pub fn to_output(&self, max_bytes: usize) -> String {
        let whole = text(self);
        if whole.len() <= max_bytes {
            return whole;
        }
        let mut report = self.clone();
        let failures = std::mem::take(&mut report.failures.first);
        let mut room = max_bytes.saturating_sub(text(&report).len());
        for mut failure in failures {
            shorten(&mut failure.message);
            let size = text(&failure).len() + 1; // and a comma
            if size > room {
                break;
            }
            room -= size;
            report.failures.first.push(failure);
        }
        while text(&report).len() > max_bytes && report.failures.by_code.len() > 1 {
            report.failures.fold_rarest();
        }
        text(&report)
    }
}

impl Failures {
    /// Halves the number of codes: the rarer half is counted under [`OTHER_CODES`].
    fn fold_rarest(&mut self) {
        let mut codes: Vec<_> = std::mem::take(&mut self.by_code).into_iter().collect();
        codes.sort_by_key(|(code, count)| (code == OTHER_CODES, Reverse(*count)));
        let rest: u64 = codes.split_off(codes.len() / 2).into_iter().map(|(_, count)| count).sum();
        self.by_code = codes.into_iter().collect();
        *self.by_code.entry(OTHER_CODES.into()).or_default() += rest;
    }
}

fn shorten(message: &mut String) {
    if let Some((end, _)) = message.char_indices().nth(SHORT_MESSAGE) {
        message.truncate(end);
        message.push('…');
    }
}

/// A report as JSON. Its types have string keys and no maps of other keys, so that writing them cannot fail.
pub(super) fn text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::FailureKind;
    use proptest::prelude::*;

    fn report(failures: usize, codes: usize, message: &str) -> BatchReport {
        let failure = |n: usize| ItemFailure {
            index: n as u32,
            item: Some(format!("csv/by_station/{n}.csv")),
            code: format!("code-{}", n % codes),
            message: message.into(),
            kind: FailureKind::Rejected,
        };
        let first: Vec<_> = (0..failures).map(failure).collect();
        let mut by_code = BTreeMap::new();
        for failure in &first {
            *by_code.entry(failure.code.clone()).or_default() += 1;
        }
        BatchReport {
            dataset: "d".into(),
            component: Component { name: "n".into(), version: "1.0.0".into(), digest: Digest::of(b""), release: None },
            items: ItemCounts { total: 100, succeeded: 100 - failures as u64 % 100, rejected: failures as u64 % 100 },
            bytes_read: 7,
            outputs: vec![Written {
                output: "o".into(),
                place: "table:t".into(),
                files: None,
                rows: 3,
                bytes: 30,
                digest: None,
            }],
            failures: Failures { by_code, first },
            report: Some("s3://b/report.json".into()),
            from_receipt: false,
        }
    }

    #[test]
    fn the_shape_is_the_documented_one() {
        insta::assert_snapshot!(report(1, 1, "no header").to_output(10_000), @r#"{"dataset":"d","component":{"name":"n","version":"1.0.0","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},"items":{"total":100,"succeeded":99,"rejected":1},"bytes_read":7,"outputs":[{"output":"o","place":"table:t","rows":3,"bytes":30}],"failures":{"by_code":{"code-0":1},"first":[{"index":0,"item":"csv/by_station/0.csv","code":"code-0","message":"no header","kind":"rejected"}]},"report":"s3://b/report.json","replayed":false}"#);
    }

    #[test]
    fn what_the_worker_leaves_out_has_a_default() {
        let text = r#"{"dataset":"d","component":{"name":"n","version":"1","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},"items":{"total":1,"succeeded":1,"rejected":0}}"#;
        let report: BatchReport = serde_json::from_str(text).unwrap();
        assert!(report.outputs.is_empty() && !report.from_receipt && report.report.is_none());
        // As an earlier gristmill recorded them.
        let written: Written = serde_json::from_str(r#"{"output":"o","place":"table:t","rows":3,"bytes":30}"#).unwrap();
        assert!(written.digest.is_none() && report.component.release.is_none());
    }

    #[test]
    fn long_messages_are_cut_before_failures_are_dropped() {
        let output = report(3, 1, &"ö".repeat(5_000)).to_output(6_000);
        let back: BatchReport = serde_json::from_str(&output).unwrap();
        let lengths: Vec<_> = back.failures.first.iter().map(|failure| failure.message.chars().count()).collect();
        assert_eq!(lengths, [501, 501, 501], "with an ellipsis");
    }

    #[test]
    fn too_many_rejected_items_fail_the_batch() {
        let error = |rejected, tolerated| match report(rejected, 1, "x").answer(tolerated) {
            Answer::Success { .. } => None,
            Answer::Failure { error, cause } => {
                assert_eq!(serde_json::from_str::<BatchReport>(&cause).unwrap(), report(rejected, 1, "x"));
                Some(error)
            }
        };
        assert_eq!(error(0, 0.0), None);
        assert_eq!(error(1, 0.0).as_deref(), Some("Gristmill.ItemsRejected"));
        assert_eq!(error(10, 10.0), None);
        assert_eq!(error(11, 10.0).as_deref(), Some("Gristmill.ItemsRejected"));
    }

    #[test]
    fn a_report_from_its_receipt_is_the_same_and_says_so() {
        let first = report(2, 1, "x");
        assert_eq!(
            BatchReport::from_receipt(&first.to_output(10_000)).unwrap(),
            BatchReport { from_receipt: true, ..first }
        );
        assert!(BatchReport::from_receipt("{}").is_err());
    }

    proptest! {
        #[test]
        fn an_output_fits_and_counts_everything(
            failures in 0usize..200, codes in 1usize..200, message in ".{0,700}", max in 1_000usize..40_000,
        ) {
            let full = report(failures, codes, &message);
            let output = full.to_output(max);
            prop_assert!(output.len() <= max, "{} > {max}", output.len());
            let back: BatchReport = serde_json::from_str(&output).unwrap();
            prop_assert_eq!(back.items, full.items);
            prop_assert_eq!(&back.outputs, &full.outputs);
            prop_assert_eq!(back.failures.by_code.values().sum::<u64>(), failures as u64);
            let kept = back.failures.first.len();
            for (short, long) in back.failures.first.iter().zip(&full.failures.first) {
                prop_assert_eq!(short.index, long.index);
                prop_assert!(long.message.starts_with(short.message.trim_end_matches('…')));
            }
            // Nothing is dropped that had room.
            if kept < failures && back.failures.by_code == full.failures.by_code {
                let next = serde_json::to_string(&full.failures.first[kept]).unwrap().len().min(600);
                prop_assert!(output.len() + next + 200 > max || message.len() > 500, "{} of {max}", output.len());
            }
        }
    }
}
