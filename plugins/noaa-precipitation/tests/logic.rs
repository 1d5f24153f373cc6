//! The logic, natively: the sample against the golden rows, and every kind of bad object against its one clear error.

#![allow(clippy::unwrap_used, reason = "a test that finds what it did not expect should stop there")]

use std::fs;
use std::path::Path;

use gristmill_plugin::Failure;
use gristmill_plugin::csv::Memory;
use noaa_precipitation::logic::{Counts, Highest, Settings, highest_precipitation};
use serde::Deserialize;
use serde_json::{Value, json};

const HEADER: &str = "ID,DATE,ELEMENT,DATA_VALUE,M_FLAG,Q_FLAG,S_FLAG,OBS_TIME\n";

fn run(bytes: impl Into<Vec<u8>>, settings: Settings) -> Result<(Option<Highest>, Counts), Failure> {
    highest_precipitation(Memory::new("s3://b/k.csv", [bytes]), &settings)
}

#[test]
fn the_sample_gives_the_golden_rows_however_it_is_cut() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = fs::read_to_string(root.join("golden/stations.jsonl")).unwrap();
    let mut files: Vec<_> =
        fs::read_dir(root.join("sample/csv/by_station")).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 8);
    for size in [1, 7, 64, 4096] {
        let mut rows = String::new();
        for file in &files {
            let bytes = fs::read(file).unwrap();
            let object = Memory::new("s3://b/k.csv", bytes.chunks(size));
            if let Some(row) = highest_precipitation(object, &Settings::default()).unwrap().0 {
                rows += &(serde_json::to_string(&row).unwrap() + "\n");
            }
        }
        assert_eq!(rows, golden, "chunks of {size}");
    }
}

#[test]
fn every_object_of_the_golden_cases_gives_its_row_or_its_error() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = fs::read_to_string(root.join("golden/cases.jsonl")).unwrap();
    let cases: Vec<Case> = golden.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() > 40);
    for case in cases {
        match (run(&*case.object, Settings::default()), case.expected) {
            (Ok((row, counts)), Expected::Accepted { row: expected, counts: seen }) => {
                assert_eq!(json!(row), expected, "{:?}", case.object);
                assert_eq!(json!(counts), seen, "{:?}", case.object);
            }
            (Err(failure), Expected::Rejected { code, says }) => {
                assert_eq!((failure.code(), failure.is_retry()), (&*code, false), "{failure}");
                assert!(failure.message().starts_with("s3://b/k.csv"), "{failure}");
                assert!(failure.message().contains(&says), "{failure}, not {says}");
            }
            (result, _) => panic!("{:?} gives {result:?}", case.object),
        }
    }
}

/// A line of `golden/cases.jsonl`, which every language's logic is tested with.
#[derive(Deserialize)]
struct Case {
    object: String,
    #[serde(flatten)]
    expected: Expected,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Expected {
    Rejected { code: String, says: String },
    Accepted { row: Value, counts: Value },
}

#[test]
fn a_flagged_value_counts_only_if_the_settings_say_so() {
    let rows = "S,19500101,PRCP,25,,,W,\nS,19500102,PRCP,9999,,X,W,\nS,19500103,TMAX,1,,,W,\n";
    for (include_flagged, prcp, flagged_skipped) in [(false, 25, 1), (true, 9999, 0)] {
        let settings = Settings { include_flagged };
        let (row, counts) = run(format!("{HEADER}{rows}"), settings).unwrap();
        assert_eq!(row.unwrap().prcp, prcp);
        let expected = Counts { rows: 3, prcp_rows: 2, flagged_skipped, missing_skipped: 0 };
        assert_eq!(counts, expected);
    }
}

#[test]
fn what_is_not_utf_8_is_rejected() {
    let not_utf8 = [HEADER.as_bytes(), b"S\xff,19500102,PRCP,1,,,W,\n"].concat();
    let failure = run(not_utf8, Settings::default()).unwrap_err();
    assert_eq!(failure.code(), "NotUtf8");
    let says = "s3://b/k.csv: line 2 has a ID that is not UTF-8";
    assert_eq!(failure.message(), says);
}

#[test]
fn settings_reject_what_they_do_not_know() {
    assert!(serde_json::from_str::<Settings>(r#"{"include_flaged":true}"#).is_err());
    assert!(serde_json::from_str::<serde_json::Value>(Settings::SCHEMA).unwrap()["additionalProperties"] == false);
}
