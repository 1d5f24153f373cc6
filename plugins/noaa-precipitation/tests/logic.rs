//! The logic, natively: the sample against the golden rows, and every kind of bad object against its one clear error.

#![allow(
    clippy::unwrap_used,
    reason = "a test that finds what it did not expect should stop there"
)]

use std::fs;
use std::path::Path;

use gristmill_plugin::Failure;
use gristmill_plugin::csv::Memory;
use noaa_precipitation::logic::{Counts, Highest, Settings, highest_precipitation};

const HEADER: &str = "ID,DATE,ELEMENT,DATA_VALUE,M_FLAG,Q_FLAG,S_FLAG,OBS_TIME\n";

fn run(
    bytes: impl Into<Vec<u8>>,
    settings: Settings,
) -> Result<(Option<Highest>, Counts), Failure> {
    highest_precipitation(Memory::new("s3://b/k.csv", [bytes]), &settings)
}

fn with_rows(rows: &str) -> Result<(Option<Highest>, Counts), Failure> {
    run(format!("{HEADER}{rows}"), Settings::default())
}

#[test]
fn the_sample_gives_the_golden_rows_however_it_is_cut() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = fs::read_to_string(root.join("golden/stations.jsonl")).unwrap();
    let mut files: Vec<_> = fs::read_dir(root.join("sample/csv/by_station"))
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 8);
    for size in [1, 7, 64, 4096] {
        let mut rows = String::new();
        for file in &files {
            let bytes = fs::read(file).unwrap();
            let object = Memory::new("s3://b/k.csv", bytes.chunks(size));
            if let Some(row) = highest_precipitation(object, &Settings::default())
                .unwrap()
                .0
            {
                rows += &(serde_json::to_string(&row).unwrap() + "\n");
            }
        }
        assert_eq!(rows, golden, "chunks of {size}");
    }
}

#[test]
fn a_flagged_value_counts_only_if_the_settings_say_so() {
    let rows = "S,19500101,PRCP,25,,,W,\nS,19500102,PRCP,9999,,X,W,\nS,19500103,TMAX,1,,,W,\n";
    let (row, counts) = with_rows(rows).unwrap();
    assert_eq!(row.unwrap().prcp, 25);
    assert_eq!(
        counts,
        Counts {
            rows: 3,
            prcp_rows: 2,
            flagged_skipped: 1
        }
    );

    let settings = Settings {
        include_flagged: true,
    };
    let (row, counts) = run(format!("{HEADER}{rows}"), settings).unwrap();
    let row = row.unwrap();
    assert_eq!((row.prcp, row.date.as_str()), (9999, "1950-01-02"));
    assert_eq!(counts.flagged_skipped, 0);
}

#[test]
fn a_station_without_precipitation_has_counts_and_no_row() {
    let (row, counts) = with_rows("S,19500101,TMAX,25,,,W,\n").unwrap();
    assert_eq!((row, counts.rows, counts.prcp_rows), (None, 1, 0));
}

#[test]
fn bad_objects_are_rejected_with_their_place() {
    let good = "S,19500101,PRCP,25,,,W,\n";
    let rejected = |result: Result<_, Failure>, code: &str, says: &str| {
        let failure = result.unwrap_err();
        assert_eq!(
            (failure.code(), failure.is_retry()),
            (code, false),
            "{failure}"
        );
        assert!(failure.message().contains(says), "{failure}");
        assert!(failure.message().contains("s3://b/k.csv"), "{failure}");
    };
    rejected(run("", Settings::default()), "EmptyObject", "is empty");
    rejected(
        run(good, Settings::default()),
        "BadHeader",
        "no column \"ID\"",
    );
    rejected(
        run("ID,DATE,DATA_VALUE,Q_FLAG\n", Settings::default()),
        "BadHeader",
        "no column \"ELEMENT\"",
    );
    rejected(
        with_rows(&format!("{good}S,19500102,PRCP,wet,,,W,\n")),
        "BadValue",
        "line 3 has \"wet\" as DATA_VALUE",
    );
    rejected(
        with_rows("S,19500102,PRCP,,,,W,\n"),
        "BadValue",
        "line 2 has \"\" as DATA_VALUE",
    );
    for day in [
        "19500230",
        "19501301",
        "19500100",
        "1950010",
        "195001011",
        "1950-1-1",
        "19000229",
    ] {
        let row = format!("S,{day},PRCP,1,,,W,\n");
        rejected(
            with_rows(&format!("{good}{row}")),
            "BadValue",
            &format!("line 3 has {day:?} as DATE"),
        );
    }
    rejected(
        with_rows(&format!("{good}S,19500102,PRCP\n")),
        "BadRecord",
        "line 3 has 3 fields where the header has 8",
    );
    rejected(
        with_rows("S,19500102,TMAX,1,,,W,,\n"),
        "BadRecord",
        "line 2 has 9 fields",
    );
    rejected(
        with_rows(&format!("{good}T,19500102,PRCP,1,,,W,\n")),
        "BadValue",
        "not S, the station of the rows before",
    );
    let not_utf8 = [HEADER.as_bytes(), b"S\xff,19500102,PRCP,1,,,W,\n"].concat();
    rejected(
        run(not_utf8, Settings::default()),
        "NotUtf8",
        "line 2 has a ID that is not UTF-8",
    );
    for day in ["20000229", "19960229", "18000131"] {
        with_rows(&format!("S,{day},PRCP,1,,,W,\n")).unwrap();
    }
}

#[test]
fn settings_reject_what_they_do_not_know() {
    assert!(serde_json::from_str::<Settings>(r#"{"include_flaged":true}"#).is_err());
    assert!(
        serde_json::from_str::<serde_json::Value>(Settings::SCHEMA).unwrap()["additionalProperties"]
            == false
    );
}
