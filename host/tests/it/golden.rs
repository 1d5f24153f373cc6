//! The samples of the plugins: every language gives the same rows, the right ones.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::laptop::Laptop;
use crate::support::project;

/// The JSON values of a file's lines, or of a query's rows.
pub(crate) fn json<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<Value> {
    lines.into_iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sample(path: &str) -> PathBuf {
    project(path).canonicalize().unwrap()
}

fn stations(language: &str) {
    let laptop = Laptop::new();
    // Only what is read: a dataset may write to its bucket too.
    symlink(sample("plugins/noaa-precipitation/sample/csv"), laptop.object("csv")).unwrap();
    let dataset = project(&format!("plugins/{language}/dataset.toml"));
    let said = laptop.map(&dataset, &["--set", "DATA_BUCKET=data"]);
    assert_eq!(said.code, Some(0), "{}", said.all());
    let sql = r#"SELECT json_object('pk', pk, 'PRCP', PRCP, 'DATE', "DATE") FROM "noaa-precipitation" ORDER BY pk"#;
    let expected = fs::read_to_string(project("plugins/noaa-precipitation/golden/stations.jsonl")).unwrap();
    assert_eq!(json(laptop.query(sql).iter().map(String::as_str)), json(expected.lines()), "{language}");
}

#[test]
fn stations_in_rust() {
    stations("noaa-precipitation");
}

#[test]
fn stations_in_python() {
    stations("noaa-precipitation-python");
}

pub(crate) fn same(rows: &[Value], expected: &[Value]) {
    for (row, expected) in rows.iter().zip(expected) {
        assert_eq!(row, expected);
    }
    assert_eq!(rows.len(), expected.len());
}

/// The rows of the files that pyarrow wrote, as pyarrow and plain Python sum them up.
pub(crate) fn readings() -> Vec<Value> {
    json(fs::read_to_string(project("plugins/iot-anomalies/golden/readings.jsonl")).unwrap().lines())
}

fn summaries(laptop: &Laptop) -> Vec<Value> {
    let sql = "SELECT json_object('deviceid', deviceid, 'readingtimestamp', readingtimestamp, 'analysisdate', analysisdate, \
               'readingscount', readingscount, 'metrics', json(metrics), 'anomalies', json(anomalies), \
               'anomalycount', anomalycount, 'healthstatus', healthstatus) \
               FROM \"iot-anomalies\" ORDER BY deviceid, readingtimestamp";
    json(laptop.query(sql).iter().map(String::as_str))
}

/// A laptop with the files of the sample and Athena's manifest of them.
fn sensors() -> Laptop {
    let laptop = Laptop::new();
    symlink(sample("plugins/iot-anomalies/sample/unload"), laptop.object("unload")).unwrap();
    let files = fs::read_dir(laptop.object("unload")).unwrap().map(|file| file.unwrap().file_name());
    let uris = files.map(|name| format!("s3://data/unload/{}\n", name.to_string_lossy()));
    laptop.put("results/readings-manifest.csv", uris.collect::<String>());
    laptop
}

fn readings_of_files(language: &str, expected: &[Value]) {
    let laptop = sensors();
    let dataset = project(&format!("plugins/{language}/dataset.toml"));
    let said = laptop.map(&dataset, &["--set", "DATA_BUCKET=data"]);
    assert_eq!(said.code, Some(0), "{}", said.all());
    same(&summaries(&laptop), expected);
}

/// JavaScript has one kind of number: 52.0 is written as 52 within JSON.
fn as_javascript_writes(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let float = number.as_f64().unwrap();
            if float.fract() == 0.0 { json!(float as i64) } else { json!(float) }
        }
        Value::Array(values) => values.into_iter().map(as_javascript_writes).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, as_javascript_writes(value))).collect(),
        other => other,
    }
}

/// The row of a file that a reading came from, but for decimals that say nothing about its health.
pub(crate) fn row(reading: &Value) -> Value {
    let mut row = reading["metrics"].clone();
    row["deviceid"] = reading["deviceid"].clone();
    row["timestamp"] = reading["readingtimestamp"].clone();
    for anomaly in reading["anomalies"].as_array().unwrap() {
        let of = match anomaly["type"].as_str().unwrap() {
            "temperature_spike" => "temperature",
            "humidity_anomaly" => "humidity",
            _ => "batterylevel",
        };
        row[of] = anomaly["value"].clone();
    }
    row
}

#[test]
fn readings_of_files_in_rust() {
    readings_of_files("iot-anomalies", &readings());
}

#[test]
fn readings_of_files_in_python() {
    readings_of_files("iot-anomalies-python", &readings());
}

#[test]
fn readings_of_files_in_typescript() {
    let expected: Vec<Value> = readings().into_iter().map(as_javascript_writes).collect();
    readings_of_files("iot-anomalies-typescript", &expected);
}

#[test]
fn readings_as_items_in_rust() {
    let laptop = Laptop::new();
    laptop.put("readings.jsonl", readings().iter().map(|reading| format!("{}\n", row(reading))).collect::<String>());
    let file = fs::read_to_string(project("plugins/iot-anomalies/dataset.toml")).unwrap();
    let component = project("plugins/iot-anomalies/iot-anomalies.wasm").canonicalize().unwrap();
    let (head, _) = file.split_once("[sample]").unwrap();
    let by_row = head.replace("\"iot-anomalies.wasm\"", &format!("{component:?}")).replace(
        "athena_files = \"s3://${DATA_BUCKET}/results/readings-manifest.csv\"",
        "json_lines = \"s3://data/readings.jsonl\"",
    );
    let said = laptop.map(&laptop.write("dataset.toml", &by_row), &["--set", "DATA_BUCKET=data"]);
    assert_eq!(said.code, Some(0), "{}", said.all());
    same(&summaries(&laptop), &readings());
}
