//! `gristmill items`: what a reader gives, as JSON lines.

use std::io::{Read as _, Write as _};
use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;
use insta::assert_snapshot;
use md5::{Digest as _, Md5};
use serde_json::json;

use crate::laptop::{Laptop, Said, gristmill};
use crate::support::project;

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
fn the_rows_of_an_athena_query_are_items() {
    let laptop = Laptop::new();
    let sample = |number: u8| {
        let name = format!("plugins/iot-anomalies/sample/unload/20260101_000000_00001_sample_{number}");
        std::fs::read(project(&name)).unwrap()
    };
    laptop.put("r/day=1/x", sample(0));
    laptop.put("r/y", sample(1));
    laptop.put("q-manifest.csv", "s3://data/r/day=1/x\ns3://data/r/y\n");
    let rows = "item_reader = { athena_rows = \"s3://data/q-manifest.csv\" }";
    let said = items(&laptop, rows, &[]);
    assert_eq!((said.code, said.out.lines().count()), (Some(0), 80), "{}", said.all());
    let one = "item_reader = { parquet = \"s3://data/r/day=1/x\", max_items = 2 }";
    assert_snapshot!(items(&laptop, one, &[]).all(), @r#"
    exit 0
    {"deviceid":"sensor-00000","timestamp":"2026-01-01T00:00:00Z","temperature":25.124664646453702,"humidity":100.0,"batterylevel":52.567703105688686,"latitude":52.0,"longitude":4.0}
    {"deviceid":"sensor-00001","timestamp":"2026-01-01T00:00:00Z","temperature":23.10003236171304,"humidity":74.05802693514397,"batterylevel":0.0,"latitude":52.0001,"longitude":4.0001}
    "#);
    for (manifest, code, rows_before, says) in [
        ("s3://data/r/y\nreadings\n", 2, 40, "it names what is no file: `readings` is not an object's URI"),
        ("s3://data/q-manifest.csv\n", 2, 0, "s3://data/q-manifest.csv is no Parquet file: it does not end in `PAR1`"),
        ("s3://data/r/nosuch\n", 2, 0, "there is no object s3://data/r/nosuch"),
        ("", 0, 0, ""),
    ] {
        laptop.put("q-manifest.csv", manifest);
        let said = items(&laptop, rows, &[]);
        assert_eq!((said.code, said.out.lines().count()), (Some(code), rows_before), "{}", said.all());
        assert!(said.err.contains(says), "{}", said.all());
    }
}

/// An inventory of these rows, as S3 writes it, in the bucket `data`.
fn inventory(laptop: &Laptop, rows: &str) {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(rows.as_bytes()).unwrap();
    let bytes = gzip.finish().unwrap();
    let file = json!({"key": "source/all/data/1.csv.gz", "size": bytes.len(), "MD5checksum": hex::encode(Md5::digest(&bytes))});
    let manifest = json!({
        "sourceBucket": "source", "destinationBucket": "arn:aws:s3:::data", "version": "2016-11-30",
        "creationTimestamp": "1514944800000", "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size", "files": [file],
    });
    laptop.put("source/all/data/1.csv.gz", &bytes);
    laptop.put("source/all/2018-01-02T00-00Z/manifest.json", manifest.to_string());
}

#[test]
fn the_objects_of_an_inventory_are_items_and_what_is_left_out_is_said() {
    let laptop = Laptop::new();
    inventory(
        &laptop,
        "\"source\",\"stations/a+b%2B%C3%A9.csv\",\"v2\",\"true\",\"false\",\"12\"\n\
         \"source\",\"stations/a+b%2B%C3%A9.csv\",\"v1\",\"false\",\"false\",\"11\"\n\
         \"source\",\"stations/b.csv\",\"v1\",\"true\",\"true\",\"\"\n\
         \"source\",\"stations/c.csv\",\"v1\",\"true\",\"false\",\"3\"\n",
    );
    let reader = |more: &str| {
        format!("item_reader = {{ s3_inventory = \"s3://data/source/all/2018-01-02T00-00Z/manifest.json\"{more} }}")
    };
    let said = items(&laptop, &reader(""), &[]);
    assert_snapshot!(said.out, @r#"
    {"Bucket":"source","Key":"stations/a b+é.csv","VersionId":"v2","IsLatest":"true","IsDeleteMarker":"false","Size":"12"}
    {"Bucket":"source","Key":"stations/c.csv","VersionId":"v1","IsLatest":"true","IsDeleteMarker":"false","Size":"3"}
    "#);
    assert_eq!(said.code, Some(0));
    for why in ["a version that is not the latest one", "it marks that an object was deleted"] {
        assert!(said.err.contains(why), "{}", said.err);
    }
    assert_eq!(items(&laptop, &reader(", max_items = 1"), &[]).out.lines().count(), 1);
}

#[test]
fn a_map_over_an_inventory_reads_its_objects() {
    let laptop = Laptop::new();
    laptop.station("USW00000001", 7);
    inventory(
        &laptop,
        "\"data\",\"stations/USW00000001.csv\",\"v1\",\"true\",\"false\",\"12\"\n\
         \"data\",\"stations/\",\"v1\",\"true\",\"false\",\"0\"\n",
    );
    let manifest = "s3://data/source/all/2018-01-02T00-00Z/manifest.json";
    let said = laptop.map(&laptop.dataset(&format!("item_reader = {{ s3_inventory = \"{manifest}\" }}")), &[]);
    assert_eq!(said.code, Some(0), "{}", said.all());
    assert!(said.out.contains("1: 1 succeeded"), "{}", said.all());
    let laptop = Laptop::new();
    inventory(&laptop, "");
    let said = laptop.map(&laptop.dataset(&format!("item_reader = {{ s3_inventory = \"{manifest}\" }}")), &[]);
    assert!(
        said.out.contains(&format!("there are no items: the objects in the inventory {manifest}")),
        "{}",
        said.all()
    );
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

#[test]
fn items_are_written_whole_or_not_at_all() {
    let laptop = Laptop::new();
    laptop.put("a.jsonl", "1\n2\n");
    laptop.put("bad.jsonl", "3\nno JSON\n");
    let (good, bad) = (
        "item_reader = { json_lines = \"s3://data/a.jsonl\" }",
        "item_reader = { json_lines = \"s3://data/bad.jsonl\" }",
    );
    let file = laptop.root().join("listed.jsonl");
    let to_file = file.to_str().unwrap();
    for (out, read) in [(to_file, file.clone()), ("s3://data/lists/listed.jsonl", laptop.object("lists/listed.jsonl"))]
    {
        let said = items(&laptop, good, &["--out", out]);
        assert_eq!((said.code, said.out.contains("2 items are in ")), (Some(0), true), "{}", said.all());
        assert_eq!(std::fs::read_to_string(&read).unwrap(), "1\n2\n");
        // What was there before stays, and nothing lies beside it.
        let said = items(&laptop, bad, &["--out", out]);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{}", said.all());
        assert!(said.err.starts_with("error: s3://data/bad.jsonl: line 2: not JSON"), "{}", said.err);
        assert_eq!(std::fs::read_to_string(&read).unwrap(), "1\n2\n");
    }
    let beside: Vec<_> = std::fs::read_dir(laptop.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!beside.iter().any(|name| name.to_string_lossy().starts_with(".gristmill")), "{beside:?}");
    assert_eq!(laptop.objects("lists/").len(), 1);
    for (out, says) in [
        ("/dev/null", "--out /dev/null: there is something that is no file"),
        ("/nosuch/x", "--out /nosuch/x: "),
        ("s3://data/", "s3://data/ names no object: it names a bucket"),
    ] {
        let said = items(&laptop, good, &["--out", out]);
        assert!(said.code == Some(2) && said.err.contains(says), "{}", said.all());
    }
}

/// 35,040 quarter hours are no payload of a state.
#[test]
fn a_range_beyond_a_payload_is_listed_once_and_read_by_the_machine() {
    let laptop = Laptop::new();
    let range = "item_reader = { dates = { from = \"2018-01-01\", to = \"2018-12-31\", step = \"15m\" } }";
    let said = items(&laptop, range, &["--out", "s3://data/quarters.jsonl"]);
    assert_eq!(said.code, Some(0), "{}", said.all());
    let said = items(&laptop, "item_reader = { json_lines = \"s3://data/quarters.jsonl\" }", &[]);
    let lines: Vec<_> = said.out.lines().collect();
    assert_eq!((lines.len(), lines[35_039]), (35_040, "\"2018-12-31T23:45:00Z\""));
    let mut asl = gristmill();
    let text = format!("dataset = \"d\"\nplugin.component = \"p\"\n[map]\n{range}\n");
    asl.arg("asl").arg(laptop.write("d.toml", &text));
    asl.args(["--queue-url", "https://sqs.eu-west-1.amazonaws.com/123456789012/batches"]);
    let said = laptop.said(asl.output().unwrap());
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.err.contains("gristmill items DATASET --out s3://BUCKET/KEY"), "{}", said.err);
}

#[test]
fn an_inventory_in_parquet_is_listed_as_one_in_csv() {
    let laptop = Laptop::new();
    let bytes = std::fs::read(project("host/src/map/reader/inventory/samples/inventory.parquet")).unwrap();
    let file = json!({"key": "i/data/1.parquet", "size": bytes.len(), "MD5checksum": hex::encode(Md5::digest(&bytes))});
    let manifest = json!({
        "destinationBucket": "arn:aws:s3:::data", "fileFormat": "Parquet",
        "fileSchema": "message s3.inventory {  required binary bucket (UTF8);}", "files": [file],
    });
    laptop.put("i/data/1.parquet", &bytes);
    laptop.put("i/manifest.json", manifest.to_string());
    let said = items(&laptop, "item_reader = { s3_inventory = \"s3://data/i/manifest.json\" }", &["--limit", "1"]);
    assert_snapshot!(said.out, @r#"{"Bucket":"weather","Key":"a b+c%2B/é\",\n.csv","VersionId":"v2","IsLatest":"true","IsDeleteMarker":"false","Size":"3000000000","LastModifiedDate":"2018-01-01T00:00:00.000Z","ETag":"abc-1","StorageClass":"STANDARD","IsMultipartUploaded":"true","ObjectLockRetainUntilDate":""}"#);
}

#[test]
fn what_is_in_listed_objects_is_items() {
    let laptop = Laptop::new();
    laptop.put("in/1.jsonl", "1\n2\n");
    laptop.put("in/2.jsonl", "3\n");
    let reader = "item_reader = { list_objects = \"s3://data/in/\", load = \"json_lines\"";
    assert_eq!(items(&laptop, &format!("{reader} }}"), &[]).out, "1\n2\n3\n");
    assert_eq!(items(&laptop, &format!("{reader}, max_items = 1 }}"), &[]).out, "1\n");
}
