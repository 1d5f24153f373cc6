//! A batch's full report: an object of JSON lines beside its outputs. The first line is the batch, with everything that is
//! needed to run it again. Then comes a line for each item that failed or returned a value.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::batch::{Component, ItemCounts, text};
use crate::job::{ItemFailure, Message};
use crate::sink::Written;

/// A batch, what ran it, and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recorded {
    /// The message, without its task token.
    pub message: Message,
    /// What ran.
    pub component: Component,
    /// Where the guest's clock stood.
    #[serde(with = "time::serde::rfc3339")]
    pub started: OffsetDateTime,
    /// How many items, by outcome.
    pub items: ItemCounts,
    /// What each output holds.
    pub outputs: Vec<Written>,
}

/// What is said of one item.
#[derive(Clone, Debug)]
pub enum ItemLine {
    /// It returned this JSON.
    Result(Box<RawValue>),
    /// It has no result.
    Failure(ItemFailure),
}

/// A full report.
#[derive(Clone, Debug)]
pub struct FullReport {
    /// The batch; none in what an earlier gristmill wrote.
    pub batch: Option<Recorded>,
    /// The items that failed or returned a value, by their place in the batch.
    pub items: BTreeMap<u32, ItemLine>,
}

/// A line on the wire.
#[derive(Deserialize)]
struct Line {
    batch: Option<Recorded>,
    index: Option<u32>,
    #[serde(default, deserialize_with = "present")]
    result: Option<Box<RawValue>>,
    failure: Option<ItemFailure>,
}

/// `null` is a result too.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl FullReport {
    /// The report of these items. Results are JSON on one line.
    pub fn new(batch: Recorded, failures: Vec<ItemFailure>, results: Vec<(u32, String)>) -> Self {
        let mut items = BTreeMap::new();
        for failure in failures {
            items.insert(failure.index, ItemLine::Failure(failure));
        }
        for (index, value) in results {
            // It cannot fail: what a plugin returned was read as JSON before.
            items.extend(RawValue::from_string(value).ok().map(|value| (index, ItemLine::Result(value))));
        }
        Self { batch: Some(batch), items }
    }

    /// The object's bytes.
    pub fn to_lines(&self) -> Bytes {
        let batch = self.batch.as_ref().map(|batch| format!("{{\"batch\":{}}}", text(batch)));
        let item = |(index, line): (&u32, &ItemLine)| match line {
            ItemLine::Result(value) => format!("{{\"index\":{index},\"result\":{value}}}"),
            ItemLine::Failure(failure) => format!("{{\"index\":{index},\"failure\":{}}}", text(failure)),
        };
        batch.into_iter().chain(self.items.iter().map(item)).map(|line| line + "\n").collect::<String>().into()
    }

    /// Reads the object's bytes. An error names the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut report = Self { batch: None, items: BTreeMap::new() };
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
            let wrong = |why: String| format!("line {} is not a line of a report: {why}", number + 1);
            let line: Line = serde_json::from_slice(line).map_err(|error| wrong(error.to_string()))?;
            let said = line.result.map(ItemLine::Result).or(line.failure.map(ItemLine::Failure));
            match (line.batch, line.index.zip(said)) {
                (Some(batch), None) => report.batch = Some(batch),
                (None, Some((index, said))) => _ = report.items.insert(index, said),
                _ => return Err(wrong("it has neither a batch nor an item".into())),
            }
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::job::{Batch, Digest, FailureKind};

    fn recorded() -> Recorded {
        let body = r#"{"gristmill":1,"dataset":"d","task_token":"secret","execution":"e","state":"s","input":{"Items":[{"a": 1.0},2]}}"#;
        Recorded {
            message: Batch::parse(body).unwrap().message().unwrap(),
            component: super::super::Component {
                name: "n".into(),
                version: "1.0.0".into(),
                digest: Digest::of(b""),
                release: None,
            },
            started: OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_123_000_000).unwrap(),
            items: ItemCounts { total: 2, succeeded: 1, rejected: 1 },
            outputs: vec![Written {
                output: "o".into(),
                place: "table:t".into(),
                files: None,
                rows: 3,
                bytes: 30,
                digest: Some(Digest::of(b"")),
            }],
        }
    }

    fn failure(index: u32, message: &str) -> ItemFailure {
        ItemFailure { index, item: None, code: "Bad".into(), message: message.into(), kind: FailureKind::Rejected }
    }

    #[test]
    fn the_shape_is_the_documented_one() {
        let report = FullReport::new(recorded(), vec![failure(1, "no header")], vec![(0, "null".into())]);
        let lines = String::from_utf8(report.to_lines().into()).unwrap();
        insta::assert_snapshot!(lines, @r#"
        {"batch":{"message":{"gristmill":1,"dataset":"d","execution":"e","state":"s","attempt":0,"input":{"Items":[{"a": 1.0},2]}},"component":{"name":"n","version":"1.0.0","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},"started":"2023-11-14T22:13:20.123Z","items":{"total":2,"succeeded":1,"rejected":1},"outputs":[{"output":"o","place":"table:t","rows":3,"bytes":30,"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}}
        {"index":0,"result":null}
        {"index":1,"failure":{"index":1,"code":"Bad","message":"no header","kind":"rejected"}}
        "#);
    }

    #[test]
    fn what_an_earlier_gristmill_wrote_has_no_batch() {
        let report = FullReport::parse(b"{\"index\":3,\"result\":{\"a\":1}}\n").unwrap();
        assert!(
            report.batch.is_none()
                && matches!(&report.items[&3], ItemLine::Result(value) if value.get() == "{\"a\":1}")
        );
    }

    #[test]
    fn what_is_no_report_is_refused_with_its_line() {
        for text in ["{}", "[]", "{\"index\":1}", "{\"index\":1,\"result\":1}\n{", "no"] {
            let error = FullReport::parse(text.as_bytes()).unwrap_err();
            assert!(error.starts_with(&format!("line {} is not a line of a report", text.lines().count())), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_report_comes_back_as_it_was(messages in prop::collection::btree_map(0_u32..50, ".{0,20}", 0..10)) {
            let (even, odd): (Vec<_>, Vec<_>) = messages.iter().partition(|(index, _)| *index % 2 == 0);
            let failures: Vec<_> = even.iter().map(|(index, message)| failure(**index, message)).collect();
            let results: Vec<_> =
                odd.iter().map(|(index, message)| (**index, serde_json::json!({"m": message}).to_string())).collect();
            let lines = FullReport::new(recorded(), failures, results).to_lines();
            let back = FullReport::parse(&lines).unwrap();
            prop_assert_eq!(back.items.len(), messages.len());
            prop_assert_eq!(back.to_lines(), lines);
        }
    }
}
