//! A table window by window on a real Distributed Map: planned and closed by workers, one run at a time, over a real PostgreSQL.

use std::process::Command;
use std::time::Instant;

use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::{Value, json};

use crate::cloud::{Account, BUCKET};
use crate::emulator::Emulator;
use crate::fleet::PATIENCE;
use crate::ingest::{MASKED, ORIGINAL, RAW, SHIPMENTS, ids_in};
use crate::postgres::shared;

/// The shipments of a zone, once for each row.
async fn ids(account: &Account, zone: &str) -> Vec<i64> {
    let (s3, folder) = (aws_sdk_s3::Client::new(&account.config), tempfile::tempdir().unwrap());
    let listed = s3.list_objects_v2().bucket(BUCKET).prefix(zone).send().await.unwrap();
    for key in listed.contents.unwrap_or_default().into_iter().filter_map(|object| object.key) {
        if key.ends_with(".parquet") {
            let object = s3.get_object().bucket(BUCKET).key(&key).send().await.unwrap();
            let file = folder.path().join(&key);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, object.body.collect().await.unwrap().into_bytes()).unwrap();
        }
    }
    ids_in(&folder.path().join(zone))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_comes_window_by_window() {
    let account = Account::new(Emulator::aws()).await;
    aws_sdk_s3::Client::new(&account.config).create_bucket().bucket(BUCKET).send().await.unwrap();
    let admin = shared().database("cloud_ingest", SHIPMENTS).await;
    admin.batch_execute("GRANT pg_read_all_stats TO reader").await.unwrap();
    let connections = shared().file(account.folder.path(), "cloud_ingest", "");
    let dataset = account.dataset_of(
        "incremental-ingest",
        &[
            ("${LAKE}", BUCKET),
            ("${MASK_KEY}", "a key of some length"),
            ("{ column = \"shipmt_date_tstmp\" }", "{ column = \"shipmt_date_tstmp\", count_late = false }"),
            // What is stuck leaves the worker room for the other run.
            ("max_concurrency = 4", "max_concurrency = 1"),
            ("catalog = \"lake.shipments\"\n", ""),
            ("catalog = \"lake.shipments_masked\"\n", ""),
        ],
    );
    let machine = account.asl(&dataset);
    let _worker = account.worker_with(&["--ledger", "ledger", "--connections", connections.to_str().unwrap()]);
    let insert = async |id: i64| {
        let row = format!("INSERT INTO shipments (shipmt_id, quarter) VALUES ({id}, 1)");
        admin.batch_execute(&row).await.unwrap();
        admin.batch_execute("SELECT pg_sleep(1.1)").await.unwrap();
    };
    let has_all = async || {
        let rows = admin.query("SELECT shipmt_id FROM shipments ORDER BY 1", &[]).await.unwrap();
        let there: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        for zone in [RAW, ORIGINAL, MASKED] {
            assert_eq!(ids(&account, zone).await, there, "{zone}");
        }
    };
    let succeeded = (ExecutionStatus::Succeeded, None);
    assert_eq!(account.execute(&machine, &json!({})).await, succeeded);
    has_all().await;
    insert(100).await;
    assert_eq!(account.execute(&machine, &json!({})).await, succeeded);
    has_all().await;

    // A run that cannot go on keeps its window while it is alive, and another one is refused.
    insert(101).await;
    let (sfn, locker) = (aws_sdk_sfn::Client::new(&account.config), shared().admin("cloud_ingest").await);
    locker.batch_execute("BEGIN; LOCK TABLE shipments IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let stuck = begin(&sfn, &machine).await;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'cloud_ingest' AND wait_event_type = 'Lock'";
    until(async || admin.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) > 0).await;
    let refused = account.execute(&machine, &json!({})).await;
    assert_eq!(refused, (ExecutionStatus::Failed, Some("Gristmill.WindowHeld".into())));
    // It is stopped, and its batches come to their end all the same: what they leave is in no record.
    sfn.stop_execution().execution_arn(&stuck).send().await.unwrap();
    locker.batch_execute("COMMIT").await.unwrap();
    until(async || account.waiting_messages(&account.queue).await == 0).await;
    assert!(ids(&account, RAW).await.contains(&101), "the batches of a run that was stopped");
    // The next run takes the window, and what was left in it goes.
    assert_eq!(account.execute(&machine, &json!({})).await, succeeded);
    has_all().await;
    let history = windows(&account);
    let last = history["runs"].as_array().unwrap().last().unwrap();
    assert_eq!(last["status"], "succeeded", "{history}");
}

async fn begin(sfn: &aws_sdk_sfn::Client, machine: &Value) -> String {
    let role = "arn:aws:iam::000000000000:role/states";
    let created = sfn.create_state_machine().name("held").definition(machine.to_string()).role_arn(role).send().await;
    let machine = created.unwrap().state_machine_arn;
    sfn.start_execution().state_machine_arn(machine).send().await.unwrap().execution_arn
}

/// What `gristmill windows` says.
fn windows(account: &Account) -> Value {
    let said = Command::new(env!("CARGO_BIN_EXE_gristmill"))
        .args(["windows", "shipments", "--ledger", "ledger", "--json"])
        .env_clear()
        .envs(account.emulator.environment())
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    serde_json::from_slice(&said.stdout).unwrap()
}

async fn until(met: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met().await {
        assert!(Instant::now() < deadline, "it did not come to that");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
