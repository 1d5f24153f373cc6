//! What is said about a dataset and its component before anything runs: `check`, `plugin inspect`, `asl`.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::laptop::{Laptop, gristmill};
use crate::support::plugin;

fn json_of(args: &[&str]) -> Value {
    let output = gristmill().args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_dataset_that_is_right() {
    let laptop = Laptop::new();
    let dataset = laptop.every_station(1);
    assert_snapshot!(laptop.run(&["check", dataset.to_str().unwrap()]).all(), @"
    exit 0
    LAPTOP/dataset.toml: dataset stations with noaa-precipitation 0.1.0 (sha256:DIGEST): nothing to complain about; outputs: stations
    ");
}

#[test]
fn a_component_without_its_grant() {
    let laptop = Laptop::new();
    let text = std::fs::read_to_string(laptop.every_station(1)).unwrap();
    let dataset = laptop.write("dataset.toml", &text.replace("read = [\"s3://data/\"]", ""));
    assert_snapshot!(laptop.run(&["check", dataset.to_str().unwrap()]).all(), @r#"
    exit 0
    LAPTOP/dataset.toml: dataset stations with noaa-precipitation 0.1.0 (sha256:DIGEST): nothing to complain about; outputs: stations
    warning: LAPTOP/dataset.toml:4:2: grants.read: the plugin imports `gristmill:plugin/objects@0.1.0`, and nothing is granted
        help: if it reads, grant the prefixes: `[grants]` with `read = ["s3://bucket/prefix/"]`
    "#);
}

#[test]
fn what_items_share_with_their_neighbours() {
    let laptop = Laptop::new();
    let text = std::fs::read_to_string(laptop.every_station(1)).unwrap();
    let dataset = laptop.write("dataset.toml", &text.replace("[grants]", "instance = \"batch\"\n[grants]"));
    assert_snapshot!(laptop.run(&["check", dataset.to_str().unwrap()]).all(), @"
    exit 0
    LAPTOP/dataset.toml: dataset stations with noaa-precipitation 0.1.0 (sha256:DIGEST): nothing to complain about; outputs: stations
    warning: LAPTOP/dataset.toml:4:1: plugin.instance: neighbours in a batch share an instance: what the plugin keeps (variables, caches, the order of a hash map) goes on from item to item. A batch gives the same rows every time, an item on its own may not
        help: leave `instance` out if the plugin starts fast, or let nothing that it keeps show in its rows
    ");
}

#[test]
fn what_a_component_is_as_text() {
    let laptop = Laptop::new();
    let cache = laptop.root().join("cache");
    let said = laptop.run(&[
        "plugin",
        "inspect",
        "--cache",
        cache.to_str().unwrap(),
        plugin("noaa-precipitation").to_str().unwrap(),
    ]);
    let varies = ["  size ", "  compiled "];
    let lines = said.out.lines().filter(|line| varies.iter().all(|varying| !line.starts_with(varying)));
    // Which of WASI's packages come along is the toolchain's choice.
    let lines = lines.map(|line| line.split_inclusive("environment): ").next().unwrap().trim_end());
    assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r#"
    noaa-precipitation.wasm
      name      noaa-precipitation 0.1.0
                The highest daily precipitation of each GHCN-Daily weather station.
      digest    sha256:DIGEST
      can reach
                gristmill:plugin/objects@0.1.0    reads the objects that the dataset file grants
                gristmill:plugin/output@0.1.0     emits rows
                wasi:logging/logging@0.1.0-draft  writes log lines
                wasi 0.2 (inert: a standing clock, seeded randomness; no files, no network, no environment):
      outputs
                stations: The highest daily precipitation of each station that has any.
                  pk text
                  PRCP int64
                  DATE date
      settings  {
                  "$schema": "https://json-schema.org/draft/2020-12/schema",
                  "additionalProperties": false,
                  "properties": {
                    "include_flagged": {
                      "default": false,
                      "description": "Whether values that failed one of NOAA's quality checks (Q_FLAG) count too.",
                      "type": "boolean"
                    }
                  },
                  "type": "object"
                }
    "#);
    assert!(varies.iter().all(|line| said.out.contains(line)), "{}", said.out);
}

#[test]
fn what_a_component_is_as_json() {
    let file = plugin("noaa-precipitation");
    let cache = tempfile::tempdir().unwrap();
    let inspect = ["plugin", "inspect", "--json", "--cache", cache.path().to_str().unwrap(), file.to_str().unwrap()];
    let described = json_of(&inspect);
    assert_eq!(described["name"], "noaa-precipitation");
    assert_eq!(described["size"], std::fs::metadata(&file).unwrap().len());
    assert!(described["digest"].as_str().unwrap().starts_with("sha256:"));
    assert!(described["compile_seconds"].as_f64().unwrap() > 0.0);
    assert!(json_of(&inspect)["compile_seconds"].is_null(), "it is kept");
    assert!(described["imports"].as_array().unwrap().contains(&json!("gristmill:plugin/objects@0.1.0")));
    let columns = &described["outputs"][0]["columns"];
    assert_eq!(columns[0], json!({"name": "pk", "type": "text", "nullable": false}));
    assert_eq!(described["settings_schema"]["properties"]["include_flagged"]["type"], "boolean");
}

#[test]
fn a_component_that_reaches_nothing() {
    let laptop = Laptop::new();
    let said = laptop.run(&["plugin", "inspect", plugin("noop").to_str().unwrap()]);
    assert!(said.out.contains("  can reach nothing\n  outputs   none\n"), "{}", said.out);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let laptop = Laptop::new();
    let dataset = laptop.every_station(1);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut asl = gristmill();
    asl.arg("asl").arg(dataset).args(["--queue-url", "https://sqs.eu-central-1.amazonaws.com/123456789012/work"]);
    let said = laptop
        .said(asl.stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap().wait_with_output().unwrap());
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
}

#[test]
fn the_state_machine_of_a_dataset() {
    let laptop = Laptop::new();
    let dataset = laptop.dataset(
        "item_reader = { csv = \"s3://data/{$.list}\", delimiter = \";\" }\nmax_items_per_batch = 7\ntolerated_failure_count = 3",
    );
    let queue = "https://sqs.eu-central-1.amazonaws.com/123456789012/work";
    let machine = json_of(&["asl", dataset.to_str().unwrap(), "--queue-url", queue]);
    let map = &machine["States"]["Map"];
    assert_eq!((&map["Type"], &map["ToleratedFailureCount"]), (&json!("Map"), &json!(3)));
    assert_eq!(map["ItemBatcher"]["MaxItemsPerBatch"], 7);
    assert_eq!(map["ItemReader"]["ReaderConfig"]["CSVDelimiter"], "SEMICOLON");
    assert_eq!(map["ItemProcessor"]["ProcessorConfig"]["Mode"], "DISTRIBUTED");
    let start = map["ItemProcessor"]["StartAt"].as_str().unwrap();
    let task = &map["ItemProcessor"]["States"][start];
    assert_eq!(task["Resource"], "arn:aws:states:::sqs:sendMessage.waitForTaskToken");
    assert_eq!(task["Parameters"]["QueueUrl"], queue);
    assert_eq!(task["Parameters"]["MessageBody"]["dataset"], "stations");
    assert_eq!(machine["States"].as_object().unwrap().len(), 1, "{machine:#}");
}
