//! Stages as one state machine on a real Distributed Map: what passes between them, and what a second execution leaves.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use aws_sdk_sfn::types::ExecutionStatus;
use gristmill::data_catalog::contract::table;
use gristmill::data_catalog::glue::Glue;
use serde_json::{Value, json};

use crate::cloud::{Account, BUCKET, upload};
use crate::emulator::Emulator;
use crate::golden::{json as lines, same};
use crate::support::project;

/// The keys of the objects below a prefix that readers of tables see.
async fn keys(account: &Account, prefix: &str) -> BTreeSet<String> {
    let s3 = aws_sdk_s3::Client::new(&account.config);
    let mut pages = s3.list_objects_v2().bucket(BUCKET).prefix(prefix).into_paginator().send();
    let mut keys = BTreeSet::new();
    while let Some(page) = pages.next().await {
        keys.extend(page.unwrap().contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
    }
    keys.retain(|key| !key.contains("/_gristmill/"));
    keys
}

/// The rows under a prefix, as the reference reads them.
async fn rows(account: &Account, prefix: &str) -> Vec<Value> {
    let (s3, folder) = (aws_sdk_s3::Client::new(&account.config), tempfile::tempdir().unwrap());
    for key in keys(account, prefix).await {
        let object = s3.get_object().bucket(BUCKET).key(&key).send().await.unwrap();
        let file = folder.path().join(&key);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, object.body.collect().await.unwrap().into_bytes()).unwrap();
    }
    let read = Command::new(project("target/venv-emulator/bin/python"))
        .arg(project("plugins/traffic-events/generate/reference.py"))
        .arg("read")
        .arg(folder.path().join(prefix))
        .output()
        .unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    lines(String::from_utf8(read.stdout).unwrap().lines())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_all_of_its_stages() {
    let account = Account::new(Emulator::aws()).await;
    let arrived = account.folder.path().join("data/arrived");
    copy(&project("plugins/traffic-events/sample/arrived"), &arrived);
    upload(&account.config, &account.folder.path().join("data")).await;
    let dataset = account.dataset_of("traffic-events", &[]);
    let machine = account.asl(&dataset);
    let (glue, table) = (Glue::new(&account.config), table("lake", "traffic_events", &[]));
    glue.make_database(&table).await;
    let _worker = account.worker();
    let golden = fs::read_to_string(project("plugins/traffic-events/golden/traffic.jsonl")).unwrap();
    let golden = lines(golden.lines());

    let succeeded = (ExecutionStatus::Succeeded, None);
    assert_eq!(account.execute(&machine, &json!({"arrived": "year="})).await, succeeded);
    same(&rows(&account, "output/traffic").await, &golden);
    let first = keys(&account, "output/traffic").await;
    // The catalog is right when the run ends.
    let known = async || glue.seen(&table).await.unwrap().partitions.into_values().collect::<BTreeSet<_>>();
    assert_eq!(known().await, folders(&first));

    // The same once more: its objects take the place of the first ones, and no row is there twice.
    assert_eq!(account.execute(&machine, &json!({"arrived": "year="})).await, succeeded);
    same(&rows(&account, "output/traffic").await, &golden);
    let second = keys(&account, "output/traffic").await;
    assert!(first.len() == second.len() && first.is_disjoint(&second), "{first:?} {second:?}");
    assert_eq!(known().await, folders(&second));

    // An hour that is not there has no items, and a stage that takes nothing is passed by.
    let (landed, before) = (keys(&account, "output/landed").await, second);
    assert_eq!(account.execute(&machine, &json!({"arrived": "year=1999"})).await, succeeded);
    assert_eq!((keys(&account, "output/landed").await, keys(&account, "output/traffic").await), (landed, before));
}

/// Where the partitions of these objects lie.
fn folders(keys: &BTreeSet<String>) -> BTreeSet<String> {
    keys.iter().map(|key| format!("s3://{BUCKET}/{}/", key.rsplit_once('/').unwrap().0)).collect()
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => _ = fs::copy(entry.path(), to).unwrap(),
        }
    }
}
