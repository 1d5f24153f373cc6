//! The sample of the first plugin: both of its languages give the same rows, the right ones.

use std::fs;

use serde_json::Value;

use crate::laptop::Laptop;
use crate::support::project;

fn golden(language: &str) {
    let laptop = Laptop::new();
    // Only what is read: a dataset may write to its bucket too.
    let sample = project("plugins/noaa-precipitation/sample/csv").canonicalize().unwrap();
    std::os::unix::fs::symlink(sample, laptop.object("csv")).unwrap();
    let dataset = project(&format!("plugins/{language}/dataset.toml"));
    let said = laptop.map(&dataset, &["--set", "DATA_BUCKET=data"]);
    assert_eq!(said.code, Some(0), "{}", said.all());
    let sql = r#"SELECT json_object('pk', pk, 'PRCP', PRCP, 'DATE', "DATE") FROM "noaa-precipitation" ORDER BY pk"#;
    let rows = laptop.query(sql).join("\n") + "\n";
    let expected = fs::read_to_string(project("plugins/noaa-precipitation/golden/stations.jsonl")).unwrap();
    let json = |text: &str| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
    assert_eq!(json(&rows), json(&expected), "{language}");
}

#[test]
fn rust() {
    golden("noaa-precipitation");
}

#[test]
fn python() {
    golden("noaa-precipitation-python");
}
