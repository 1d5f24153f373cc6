//! Inventories as S3 writes them, over a store in memory.

use std::io::Write as _;

use flate2::write::GzEncoder;
use insta::assert_snapshot;
use md5::{Digest as _, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::map::reader::Source;
use crate::map::reader::tests::{Memory, at, collect, good};

const SCHEMA: &str = "Bucket, Key, Size, ETag";

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// A manifest of these files, with what S3 writes beside what is read.
fn manifest(schema: &str, files: &[(&'static str, Vec<u8>)]) -> Value {
    let files: Vec<_> = files
        .iter()
        .map(|(key, bytes)| json!({"key": key, "size": bytes.len(), "MD5checksum": hex::encode(Md5::digest(bytes))}))
        .collect();
    json!({
        "sourceBucket": "source", "destinationBucket": "arn:aws:s3:::b", "version": "2016-11-30",
        "creationTimestamp": "1514944800000", "fileFormat": "CSV", "fileSchema": schema, "files": files,
    })
}

fn source() -> Source {
    Source::Inventory { manifest: at("manifest.json") }
}

fn store(manifest: impl ToString, files: Vec<(&'static str, Vec<u8>)>) -> Arc<Memory> {
    Memory::with(files.into_iter().chain([("manifest.json", manifest.to_string().into_bytes())]))
}

/// What is said of one file with these rows.
async fn said(rows: &str) -> String {
    let files = vec![("data/1.csv.gz", gzip(rows))];
    let (items, error) = collect(&store(manifest(SCHEMA, &files), files), source()).await;
    assert!(items.is_empty(), "{items:?}");
    error.unwrap()
}

/// What is said after a change to the manifest of one good file.
async fn changed(change: impl FnOnce(&mut Value)) -> String {
    let files = vec![("data/1.csv.gz", gzip("\"source\",\"a\",\"1\",\"e\"\n"))];
    let mut manifest = manifest(SCHEMA, &files);
    change(&mut manifest);
    let (items, error) = collect(&store(manifest, files), source()).await;
    assert!(items.is_empty(), "{items:?}");
    error.unwrap()
}

#[tokio::test]
async fn rows_are_objects_of_strings_with_the_keys_as_s3_has_them() {
    let files = vec![
        ("data/2.csv.gz", gzip("\"source\",\"a+b%2Bc/%C3%A9%22%2C%0A.csv\",\"3\",\"abc-1\"\n")),
        ("data/1.csv.gz", gzip("\"source\",\"a\",\"0\",\"e\"\n\"source\",\"b\",\"\",\"\"\n")),
    ];
    let items = good(&store(manifest(SCHEMA, &files), files), source()).await;
    assert_snapshot!(items.join("\n"), @r#"
    {"Bucket":"source","Key":"a b+c/é\",\n.csv","Size":"3","ETag":"abc-1"}
    {"Bucket":"source","Key":"a","Size":"0","ETag":"e"}
    {"Bucket":"source","Key":"b","Size":"","ETag":""}
    "#);
}

#[tokio::test]
async fn what_no_plugin_could_read_is_left_out() {
    let rows = "\"s\",\"old\",\"v1\",\"false\",\"false\",\"1\"\n\"s\",\"new\",\"v2\",\"true\",\"false\",\"1\"\n\
                \"s\",\"gone\",\"v3\",\"true\",\"true\",\"\"\n\"s\",\"folder/\",\"\",\"true\",\"false\",\"0\"\n";
    let files = vec![("data/1.csv.gz", gzip(rows))];
    let manifest = manifest("Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size", &files);
    let items = good(&store(manifest, files), source()).await;
    let new = r#"{"Bucket":"s","Key":"new","VersionId":"v2","IsLatest":"true","IsDeleteMarker":"false","Size":"1"}"#;
    assert_eq!(items, [new]);
}

/// The manifest of files in Parquet, with the schema as S3 writes it there.
fn in_parquet(files: &[(&'static str, Vec<u8>)]) -> Value {
    let mut manifest =
        manifest("message s3.inventory {  required binary bucket (UTF8);  required binary key (UTF8);}", files);
    manifest["fileFormat"] = "Parquet".into();
    manifest
}

#[tokio::test]
async fn an_inventory_in_parquet_has_the_items_that_it_has_in_csv() {
    let (schema, rows) = include_str!("samples/inventory.csv").split_once('\n').unwrap();
    let files = vec![("data/1.csv.gz", gzip(rows))];
    let of_csv = good(&store(manifest(schema, &files), files), source()).await;
    let sample = include_bytes!("samples/inventory.parquet").to_vec();
    let files = vec![("data/1.parquet", sample.clone()), ("data/2.parquet", sample)];
    let items = good(&store(in_parquet(&files), files), source()).await;
    assert_eq!(items, [&of_csv[..], &of_csv[..]].concat());
    assert_snapshot!(items[..2].join("\n"), @r#"
    {"Bucket":"weather","Key":"a b+c%2B/é\",\n.csv","VersionId":"v2","IsLatest":"true","IsDeleteMarker":"false","Size":"3000000000","LastModifiedDate":"2018-01-01T00:00:00.000Z","ETag":"abc-1","StorageClass":"STANDARD","IsMultipartUploaded":"true","ObjectLockRetainUntilDate":""}
    {"Bucket":"weather","Key":"plain","VersionId":"","IsLatest":"true","IsDeleteMarker":"false","Size":"0","LastModifiedDate":"2018-01-02T03:04:05.678Z","ETag":"abf","StorageClass":"GLACIER","IsMultipartUploaded":"false","ObjectLockRetainUntilDate":"2018-01-02T03:04:05.678Z"}
    "#);
}

#[tokio::test]
async fn a_file_in_parquet_that_is_none_of_an_inventory_is_named() {
    let said = async |bytes: &[u8], change: fn(&mut Value)| {
        let files = vec![("data/1.parquet", bytes.to_vec())];
        let mut manifest = in_parquet(&files);
        change(&mut manifest);
        let (items, error) = collect(&store(manifest, files), source()).await;
        assert!(items.is_empty(), "{items:?}");
        error.unwrap()
    };
    let sample = include_bytes!("samples/inventory.parquet");
    let damaged = said(sample, |manifest| manifest["files"][0]["MD5checksum"] = "0123".into()).await;
    assert!(damaged.starts_with("s3://b/data/1.parquet: its MD5 is "), "{damaged}");
    assert_snapshot!(said(&gzip("x"), |_| ()).await, @"s3://b/data/1.parquet is no Parquet file: it does not end in `PAR1`; it is of another format, or cut off");
    let other = include_bytes!("../../../table/samples/dictionary.parquet");
    assert_snapshot!(said(other, |_| ()).await, @"s3://b/data/1.parquet: it has no column `key`, as every inventory has; take the file that S3 wrote");
}

#[tokio::test]
async fn an_empty_inventory_has_no_items() {
    assert!(good(&store(manifest(SCHEMA, &[]), vec![]), source()).await.is_empty());
    let files = vec![("data/1.csv.gz", gzip(""))];
    assert!(good(&store(manifest(SCHEMA, &files), files), source()).await.is_empty());
}

#[tokio::test]
async fn a_manifest_that_is_none_is_named() {
    let (_, error) = collect(&store("d41d8cd98f00b204e9800998ecf8427e\n", vec![]), source()).await;
    assert_snapshot!(error.unwrap(), @"s3://b/manifest.json: no manifest of an S3 Inventory: expected value at line 1 column 1; name the `manifest.json` that S3 writes for one");
    assert_snapshot!(changed(|manifest| drop(manifest.as_object_mut().unwrap().remove("fileSchema"))).await, @"s3://b/manifest.json: no manifest of an S3 Inventory: missing field `fileSchema` at line 1 column 233; name the `manifest.json` that S3 writes for one");
    assert_snapshot!(changed(|manifest| manifest["files"] = "x".repeat(5000).into()).await, @r#"s3://b/manifest.json: no manifest of an S3 Inventory: invalid type: string "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; name the `manifest.json` that S3 writes for one"#);
    assert_snapshot!(changed(|manifest| manifest["fileFormat"] = "ORC".into()).await, @"s3://b/manifest.json: the inventory's files are ORC, and only CSV and Parquet can be read, by Step Functions only CSV: choose CSV as the output format of the bucket's inventory, and take the next one");
    assert_snapshot!(changed(|manifest| manifest["fileSchema"] = "Bucket, key".into()).await, @"s3://b/manifest.json: `fileSchema` of the manifest: it has no column `Key`, as every inventory has; was the manifest changed? Take the one that S3 wrote");
    assert_snapshot!(changed(|manifest| manifest["fileSchema"] = "Key, Size, Size, ETag".into()).await, @"s3://b/manifest.json: `fileSchema` of the manifest: two columns are named `Size`: an item could have only one of them");
    assert_snapshot!(changed(|manifest| manifest["destinationBucket"] = "arn:aws:s3:::".into()).await, @"s3://b/manifest.json: the manifest names a file that cannot be: `s3:///data/1.csv.gz` is not an object's URI: the bucket is empty; take the manifest that S3 wrote");
    assert_snapshot!(changed(|manifest| manifest["files"][0]["key"] = "../x".into()).await, @"s3://b/manifest.json: the manifest names a file that cannot be: `s3://b/../x` is not an object's URI: `.` and `..` are no names; take the manifest that S3 wrote");
    let (_, error) = collect(&Memory::with([]), source()).await;
    assert_snapshot!(error.unwrap(), @"there is no s3://b/manifest.json");
}

#[tokio::test]
async fn a_file_that_is_not_what_the_manifest_says_is_named() {
    assert_snapshot!(changed(|manifest| manifest["files"][0]["MD5checksum"] = "0123".into()).await, @"s3://b/data/1.csv.gz: its MD5 is 16900a500ad193add783cf0673bde361, and s3://b/manifest.json says 0123: it was damaged or replaced; copy it again from where S3 wrote it, or take another inventory");
    assert_snapshot!(changed(|manifest| manifest["files"][0]["key"] = "data/0.csv.gz".into()).await, @"s3://b/data/0.csv.gz: is not there, although s3://b/manifest.json names it: a rule of the bucket removed it, or it was not copied along; take an inventory whose files are there");
    assert_snapshot!(said("\"s\",\"a\",\"1\"\n").await, @"s3://b/data/1.csv.gz: line 1: a row of 3 fields, and the manifest's `fileSchema` has 4; take the manifest that S3 wrote with this file");
    assert_snapshot!(said("\"s\",\"%FF\",\"1\",\"e\"\n").await, @"s3://b/data/1.csv.gz: line 1: the key is not UTF-8 after it was URL-decoded, as all keys in S3 are; take the file that S3 wrote");
    let files = vec![("data/1.csv.gz", b"\"s\",\"a\",\"1\",\"e\"\n".to_vec())];
    let (_, error) = collect(&store(manifest(SCHEMA, &files), files), source()).await;
    assert_snapshot!(error.unwrap(), @"s3://b/data/1.csv.gz: cannot be read as gzip, which the ending of its key says it is: invalid gzip header");
}

#[tokio::test]
async fn the_files_before_a_damaged_one_are_good_ones() {
    let row = |key: &str| gzip(format!("\"s\",\"{key}\",\"1\",\"e\"\n"));
    let mut files = vec![("data/1.csv.gz", row("a")), ("data/2.csv.gz", row("b"))];
    let manifest = manifest(SCHEMA, &files);
    files[1].1 = row("c");
    let (items, error) = collect(&store(manifest, files), source()).await;
    assert_eq!(items, [r#"{"Bucket":"s","Key":"a","Size":"1","ETag":"e"}"#]);
    assert!(error.unwrap().starts_with("s3://b/data/2.csv.gz: its MD5 is "));
}

/// What S3 leaves as it is in the keys of an inventory.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b' ');

proptest! {
    /// Keys of all characters come back from an inventory in several files, whether it encodes what it need not or not.
    #[test]
    fn keys_are_read_as_they_were(
        keys in prop::collection::vec("([a-c]|\\PC|[+%\"', \t\r\n\\\\é/]|%2B|%C3%A9){1,12}", 0..12), split in 0usize..12,
    ) {
        let row = |key: &String| {
            let key = utf8_percent_encode(key, PLAIN).to_string().replace(' ', "+");
            format!("\"s\",\"{key}\",\"1\",\"e\"\n")
        };
        let (first, second) = keys.split_at(split.min(keys.len()));
        let file = |keys: &[String]| gzip(keys.iter().map(row).collect::<String>());
        let files = vec![("data/1.csv.gz", file(first)), ("data/2.csv.gz", file(second))];
        let store = store(manifest(SCHEMA, &files), files);
        let items = tokio::runtime::Runtime::new().unwrap().block_on(good(&store, source()));
        let back: Vec<String> = items
            .iter()
            .map(|item| serde_json::from_str::<Value>(item).unwrap()["Key"].as_str().unwrap().to_owned())
            .collect();
        prop_assert_eq!(back, keys);
    }
}
