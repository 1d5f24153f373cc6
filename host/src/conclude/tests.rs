//! From the answers of batches to objects, over a folder.

use std::sync::Arc;

use super::*;
use crate::job::{BatchId, Digest, Results};
use crate::ledger::Receipt;
use crate::object::folder::FolderStore;
use crate::object::{ContentType, Location, ObjectStore, ObjectWriter};
use crate::report::{BatchReport, Component};
use crate::sink::{Written, file_list};

const STAGE: &str = "d.land";

fn at(key: &str) -> Location {
    format!("s3://b/{key}").parse().unwrap()
}

async fn put(store: &FolderStore, at: &Location, text: &str) {
    let mut upload = store.upload(at, ContentType::Json).await.unwrap();
    upload.write(text.to_owned().into()).await.unwrap();
    store.complete(&upload.finish().await.unwrap()).await.unwrap();
}

fn id(batch: &str) -> BatchId {
    BatchId { execution: format!("arn:x:{batch}"), state: "land: batch".into() }
}

/// What a batch answers that has so many objects in folders.
fn report(files: u64) -> BatchReport {
    let component = Component { name: "n".into(), version: "1".into(), digest: Digest::of(b""), release: None };
    let written = Written {
        output: "o".into(),
        place: "s3://b/out/".into(),
        files: Some(files),
        rows: 9,
        bytes: 9,
        digest: None,
    };
    BatchReport { outputs: vec![written], ..BatchReport::of_no_items(STAGE, component) }
}

/// Batches that succeeded and batches that failed, each with the objects that its list names and those that are there.
async fn answered(store: &FolderStore, batches: &[(&str, bool, &[&str], &[&str])]) -> Results {
    std::fs::create_dir_all(store.path(&at("x")).unwrap().parent().unwrap()).unwrap();
    let mut results = ResultsWriter::begin(store, &at("results/")).await.unwrap();
    let mut failed = Vec::new();
    for (batch, succeeded, listed, there) in batches {
        let list = file_list::place(&at("out/"), &id(batch), "o");
        put(store, &list, &serde_json::json!({ "files": listed }).to_string()).await;
        for key in *there {
            put(store, &at(&format!("out/{key}")), "x").await;
        }
        let report = report(there.len() as u64);
        if *succeeded {
            let output = report.to_output(10_000);
            let receipt = Receipt { output, fingerprint: Digest::of(b""), evidence: None };
            results.push(&id(batch), &receipt).await.unwrap();
        } else {
            failed.push((id(batch).execution, report));
        }
    }
    results.finish(failed).await.unwrap()
}

async fn keys(store: FolderStore, results: &Results) -> Result<Vec<String>, ConcludeError> {
    let store: Arc<dyn ObjectStore> = Arc::new(store);
    let objects = committed(&store, results, STAGE, "o").await?;
    Ok(objects.into_values().flatten().map(|file| file.key).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_every_batch_whose_rows_count() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::new(folder.path());
    let batches: [(&str, bool, &[&str], &[&str]); 3] = [
        ("0", true, &["d=1/a", "d=2/a"], &["d=1/a", "d=2/a"]),
        ("1", true, &["d=1/b", "d=2/gone"], &["d=1/b"]),
        // Too many of its items were rejected; the rows of the others count.
        ("2", false, &["d=3/c"], &["d=3/c"]),
    ];
    let results = answered(&store, &batches).await;
    assert_eq!(keys(store, &results).await.unwrap(), ["out/d=1/a", "out/d=1/b", "out/d=2/a", "out/d=3/c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_somebody_took_away_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::new(folder.path());
    let results = answered(&store, &[("0", true, &["d=1/a", "d=2/a"], &["d=1/a", "d=2/a"])]).await;
    let list = file_list::place(&at("out/"), &id("0"), "o");
    put(&store, &list, "{\"files\": [\"d=1/a\"]}").await;
    let error = keys(store, &results).await.unwrap_err().to_string();
    assert!(error.starts_with("batch 0 has committed 2 objects to `o`, and 1 of those that s3://b/out/"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_manifest_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::new(folder.path());
    std::fs::create_dir_all(folder.path().join("b")).unwrap();
    put(&store, &at("m.json"), "[]").await;
    let said = async |key: &str| {
        let results = Results { bucket: "b".into(), key: key.into() };
        keys(FolderStore::new(folder.path()), &results).await.unwrap_err().to_string()
    };
    assert!(said("m.json").await.starts_with("s3://b/m.json is no manifest of a ResultWriter: "));
    assert!(said("nosuch.json").await.contains("at s3://b/nosuch.json cannot be read"));
}
