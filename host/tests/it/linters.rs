//! What `gristmill asl` prints is a state machine in the eyes of two linters that are not ours.

use std::path::PathBuf;
use std::process::Command;

use crate::laptop::{Laptop, gristmill};
use crate::support::project;

const HEAD: &str = "dataset = \"d\"\n[plugin]\ncomponent = \"d\"\n";
const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/batches";

/// `[map]` in every form: each reader, items of both kinds, templates with and without text around them, all limits. Only `load` is
/// missing: statelint does not know `Transformation`, which is newer.
const MAPS: [(&str, &str); 16] = [
    ("objects", r#"item_reader = { list_objects = "s3://b/in/" }"#),
    ("csv", r#"item_reader = { csv = "s3://b/in.csv", delimiter = ";", headers = ["a", "b"] }"#),
    ("csv-header", r#"item_reader = { csv = "s3://b/{$.year}/in.csv" }"#),
    ("json", r#"item_reader = { json = "s3://{$.bucket}/in.json", pointer = "/items" }"#),
    ("lines", r#"item_reader = { json_lines = "s3://b/in.jsonl" }"#),
    ("athena", r#"item_reader = { athena_files = "s3://b/{$.query}-manifest.csv" }"#),
    ("athena-rows", r#"item_reader = { athena_rows = "s3://b/{$.query}-manifest.csv" }"#),
    ("parquet", r#"item_reader = { parquet = "s3://b/in.parquet" }"#),
    ("inventory", r#"item_reader = { s3_inventory = "s3://b/{$.day}/manifest.json" }"#),
    ("most", r#"item_reader = { list_objects = "s3://b/in/", max_items = 10 }"#),
    ("dates", r#"item_reader = { dates = { from = "2018-01-01", to = "2018-12-31" } }"#),
    ("inline", "items = [\"20180101\", \"20180102\"]\nbatch_input = { Note = \"of {$.year}\" }"),
    ("input", "items = \"{$.dates}\"\nitem_selector = { date = \"{$$.Map.Item.Value}\", year = \"{$.year}\" }"),
    (
        "limits",
        "item_reader = { list_objects = \"s3://b/in/\" }\nmax_items_per_batch = 7\nmax_input_bytes_per_batch = 1000\n\
         max_concurrency = 3\ntolerated_failure_count = 4\ntolerated_failure_percentage = 5\nheartbeat = \"5m\"\n\
         timeout = \"2h\"\nmax_attempts = 0\nresult_writer = \"s3://b/results/\"",
    ),
    (
        "places",
        "item_reader = { list_objects = \"s3://b/in/\" }\nbatch_input = { year = \"{$.year}\" }\n\
         result_writer = \"s3://b/{$.year}/results/\"\nreports = \"s3://b/{$$.Execution.Name}/\"\n\
         [[output]]\nname = \"o\"\nprefix = \"s3://b/{$.year}/{$.a.day}/\"\nformat = \"csv\"",
    ),
    ("inline-places", "items = [1, 2]\nreports = \"s3://{$.bucket}/{$.days[0]}/\"\n[release]\npin = \"batch\""),
];

#[test]
fn every_definition_passes_both() {
    let laptop = Laptop::new();
    let mut datasets: Vec<(String, PathBuf)> = MAPS
        .iter()
        .map(|(name, map)| {
            let file = laptop.write(&format!("{name}.toml"), &format!("{HEAD}[map]\n{map}\n"));
            ((*name).to_owned(), file)
        })
        .collect();
    for plugin in [
        "noaa-precipitation",
        "noaa-precipitation-python",
        "satellite-timeseries",
        "traffic-events",
        "incremental-ingest",
    ] {
        datasets.push((plugin.into(), project(&format!("plugins/{plugin}/dataset.toml"))));
    }
    let mut definitions = Vec::new();
    for (name, dataset) in &datasets {
        for queue in [QUEUE.to_owned(), format!("{QUEUE}.fifo")] {
            let mut asl = gristmill();
            asl.envs([("DATA_BUCKET", "b"), ("LAKE", "b"), ("MASK_KEY", "sixteen letters!")])
                .arg("asl")
                .arg(dataset)
                .args(["--queue-url", &queue]);
            let printed = asl.output().unwrap();
            assert!(printed.status.success(), "{name}: {}", String::from_utf8_lossy(&printed.stderr));
            let file = format!("{name}-{}.asl.json", queue.ends_with(".fifo"));
            definitions.push(laptop.write(&file, std::str::from_utf8(&printed.stdout).unwrap()));
        }
    }
    // Nor does our own linter find anything in them.
    for definition in &definitions {
        let linted = gristmill().arg("lint").arg(definition).output().unwrap();
        let said = String::from_utf8_lossy(&linted.stdout).into_owned();
        assert!(linted.status.success() && said.ends_with(" for a task token: nothing to complain about\n"), "{said}");
    }
    let python = project("target/venv-emulator/bin/python");
    assert!(python.is_file(), "{} is missing: run `make emulator` first", python.display());
    let linted =
        Command::new(python).arg(project("host/tests/emulator/lint_asl.py")).args(&definitions).output().unwrap();
    let said = String::from_utf8_lossy(&[linted.stdout, linted.stderr].concat()).into_owned();
    assert!(linted.status.success(), "{said}");
}
