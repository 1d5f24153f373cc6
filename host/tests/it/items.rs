//! `gristmill items`: what a reader gives, as JSON lines.

use std::io::Read as _;
use std::process::Stdio;

use insta::assert_snapshot;

use crate::laptop::{Laptop, Said, gristmill};

/// What the command says of a dataset over a folder with this object. The component is not there: nothing runs.
fn items(laptop: &Laptop, reader: &str, args: &[&str]) -> Said {
    let text = format!("dataset = \"d\"\nplugin.component = \"none.wasm\"\n[map]\n{reader}\n");
    let dataset = laptop.write("items.toml", &text);
    let mut command = gristmill();
    command.arg("items").arg(dataset).arg("--local").arg(laptop.local()).args(args);
    laptop.said(command.output().unwrap())
}

#[test]
fn the_files_of_an_athena_query_are_items() {
    let laptop = Laptop::new();
    laptop.put("q-manifest.csv", "s3://data/r/deviceid=d%201/x\ns3://data/r/place=a,b/y\n");
    let reader = "item_reader = { athena_files = \"s3://data/{$.query}-manifest.csv\" }";
    assert_snapshot!(items(&laptop, reader, &["--input", r#"{"query": "q"}"#]).all(), @r#"
    exit 0
    {"uri":"s3://data/r/deviceid=d%201/x"}
    {"uri":"s3://data/r/place=a,b/y"}
    "#);
}

#[test]
fn an_item_is_one_line_and_means_the_same() {
    let laptop = Laptop::new();
    laptop.put("a.json", "[{\"a\":\r\n  1.0},\n \"b\\nc\", 12345678901234567890123]");
    let said = items(&laptop, "item_reader = { json = \"s3://data/a.json\" }", &[]);
    assert_eq!(said.out.lines().collect::<Vec<_>>(), ["{\"a\":    1.0}", "\"b\\nc\"", "12345678901234567890123"]);
}

#[test]
fn a_limit_of_the_file_and_one_of_the_command_both_hold() {
    let laptop = Laptop::new();
    laptop.put("a.jsonl", "1\n2\n3\nno JSON\n");
    let reader = "item_reader = { json_lines = \"s3://data/a.jsonl\", max_items = 2 }";
    assert_eq!(items(&laptop, reader, &[]).out, "1\n2\n");
    assert_eq!(items(&laptop, reader, &["--limit", "1"]).out, "1\n");
    assert_eq!(items(&laptop, reader, &["--limit", "3"]).out, "1\n2\n");
}

#[test]
fn the_items_before_an_error_are_printed() {
    let laptop = Laptop::new();
    laptop.put("a.jsonl", "1\n2\nno JSON\n");
    let said = items(&laptop, "item_reader = { json_lines = \"s3://data/a.jsonl\" }", &[]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), "1\n2\n"));
    assert!(said.err.starts_with("error: s3://data/a.jsonl: line 3: not JSON"), "{}", said.err);
    assert_eq!(items(&laptop, "item_reader = { json_lines = \"s3://data/none\" }", &[]).code, Some(2));
}

#[test]
fn items_that_nobody_reads_any_more_are_no_error() {
    let laptop = Laptop::new();
    let text =
        "dataset = \"d\"\nplugin.component = \"p\"\n[map]\nitem_reader = { numbers = { from = 1, to = 30000 } }\n";
    let mut command = gristmill();
    command.arg("items").arg(laptop.write("items.toml", text)).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 2]).unwrap();
    assert!(child.wait().unwrap().success());
}
