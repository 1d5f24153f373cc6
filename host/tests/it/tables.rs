//! Tables that plugins read: what is wrong with one costs the item that reads it, with a sentence, and nothing else.

use std::fs;

use insta::assert_snapshot;

use crate::laptop::Laptop;
use crate::support::{plugin, project};

fn sample() -> Vec<u8> {
    fs::read(project("plugins/iot-anomalies/sample/unload/20260101_000000_00001_sample_0")).unwrap()
}

/// The sensors' dataset over these files, of which some may be bad.
fn run(laptop: &Laptop, files: &[&str]) -> Vec<String> {
    let component = plugin("iot-anomalies");
    let items: Vec<String> = files.iter().map(|file| format!("{{ uri = \"s3://{file}\" }}")).collect();
    let dataset = format!(
        "dataset = \"readings\"\n[plugin]\ncomponent = {component:?}\n[grants]\nread = [\"s3://data/\"]\n\
         [map]\nitems = [{}]\ntolerated_rejected_percentage = 100\ntolerated_failure_percentage = 100\n\
         [[output]]\nname = \"readings\"\ntable = \"readings\"\nkey = [\"deviceid\", \"readingtimestamp\"]\n",
        items.join(", ")
    );
    let (code, summary) = laptop.map_json(&laptop.write("dataset.toml", &dataset), &[]);
    assert_eq!(code, Some(0), "{summary}");
    let failures = summary["failures"]["first"].as_array().unwrap_or_else(|| panic!("{summary}"));
    let said = |failure: &serde_json::Value| {
        format!("{}: {}", failure["code"].as_str().unwrap(), failure["message"].as_str().unwrap())
    };
    failures.iter().map(said).collect()
}

fn rows(laptop: &Laptop) -> Vec<String> {
    laptop.query("SELECT CAST(count(*) AS TEXT) FROM readings")
}

#[test]
fn a_bad_file_costs_itself_alone() {
    let laptop = Laptop::new();
    let good = sample();
    laptop.put("good", &good);
    laptop.put("cut", &good[..good.len() / 2]);
    laptop.put("columns.csv", "deviceid,temperature\nd,1\n");
    laptop.put("types.csv", "deviceid,timestamp,temperature\nd,2026-01-01T00:00:00Z,warm\n");
    laptop.put("keys.csv", "deviceid,timestamp\nd,2026-01-01T00:00:00Z\n,2026-01-01T00:00:00Z\n");
    let files = ["good", "cut", "columns.csv", "types.csv", "keys.csv", "missing"];
    let uris: Vec<String> = files.iter().map(|file| format!("data/{file}")).chain(["other/k".into()]).collect();
    let said = run(&laptop, &uris.iter().map(String::as_str).collect::<Vec<_>>());
    assert_snapshot!(said.join("\n"), @"
    ObjectInvalid: s3://data/cut is no Parquet file: it does not end in `PAR1`; it is of another format, or cut off
    ObjectInvalid: s3://data/columns.csv: it has no column `timestamp`
    ObjectInvalid: s3://data/types.csv: column `temperature`: Cannot cast string 'warm' to value of Float64 type
    BadReading: s3://data/keys.csv, row 2: it has no `deviceid`
    ObjectNotFound: there is no object s3://data/missing
    ObjectDenied: s3://other/k is not granted: `[grants] read` of dataset readings does not cover it
    ");
    assert_eq!(rows(&laptop), ["40"]);
}

#[test]
fn a_column_of_the_path_that_hides_one_of_the_file_is_said_in_the_items_log() {
    let laptop = Laptop::new();
    laptop.put("deviceid=d1/good", sample());
    laptop.put("good", sample());
    run(&laptop, &["data/deviceid=d1/good", "data/good"]);
    let said = laptop.map(&laptop.root().join("dataset.toml"), &["--again"]);
    let notes: Vec<_> = said.err.lines().filter(|line| line.contains("both its path and the file have")).collect();
    assert_eq!(notes.len(), 1, "{}", said.all());
    assert!(notes[0].contains("s3://data/deviceid=d1/good: both its path and the file have `deviceid`"), "{notes:?}");
}
