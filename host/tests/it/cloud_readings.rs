//! A real Distributed Map over sensors' readings: their files out of Athena's manifest, and their rows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::{Value, json};

use crate::cloud::{Account, BUCKET, create_keyed_table, upload};
use crate::emulator::Emulator;
use crate::golden::{readings, row, same};
use crate::support::project;

const MANIFEST: &str = "athena_files = \"s3://${DATA_BUCKET}/results/readings-manifest.csv\"";

/// Runs the dataset over these objects, and compares what is in the table with the golden rows.
async fn run(put: impl FnOnce(&Path), reader: &str) {
    let account = Account::new(Emulator::aws()).await;
    let data = account.folder.path().join("data");
    put(&data);
    upload(&account.config, &data).await;
    create_keyed_table(&account.config, "iot-anomalies", &["deviceid", "readingtimestamp"]).await;
    let dataset = account.dataset_of("iot-anomalies", &[(MANIFEST, reader)]);
    let _worker = account.worker();
    let (status, error) = account.execute(&account.asl(&dataset), &json!({})).await;
    assert_eq!((status, error), (ExecutionStatus::Succeeded, None));
    let dynamodb = aws_sdk_dynamodb::Client::new(&account.config);
    let mut pages = dynamodb.scan().table_name("iot-anomalies").into_paginator().items().send();
    let mut rows = BTreeMap::new();
    while let Some(row) = pages.next().await {
        let row = json_of(&AttributeValue::M(row.unwrap()));
        rows.insert([row["deviceid"].to_string(), row["readingtimestamp"].to_string()], row);
    }
    let expected: Vec<Value> = readings().into_iter().map(digits).collect();
    same(&rows.into_values().collect::<Vec<_>>(), &expected);
}

/// DynamoDB has digits, and none of them behind a whole number.
fn digits(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64().unwrap() {
            whole if whole.fract() == 0.0 => json!(whole as i64),
            number => json!(number),
        },
        Value::Array(values) => values.into_iter().map(digits).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, digits(value))).collect(),
        other => other,
    }
}

/// The attributes as they lie in the table: what is nested has to be maps and lists.
fn json_of(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!(text),
        AttributeValue::N(number) => digits(json!(number.parse::<f64>().unwrap())),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::L(values) => values.iter().map(json_of).collect(),
        AttributeValue::M(fields) => fields.iter().map(|(name, value)| (name.clone(), json_of(value))).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_an_athena_query() {
    let put = |data: &Path| {
        let (unload, mut manifest) = (data.join("unload"), String::new());
        fs::create_dir_all(&unload).unwrap();
        fs::create_dir_all(data.join("results")).unwrap();
        for file in fs::read_dir(project("plugins/iot-anomalies/sample/unload")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), unload.join(file.file_name())).unwrap();
            manifest += &format!("s3://{BUCKET}/unload/{}\n", file.file_name().to_string_lossy());
        }
        fs::write(data.join("results/readings-manifest.csv"), manifest).unwrap();
    };
    run(put, MANIFEST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_csv_file() {
    let columns = ["deviceid", "timestamp", "temperature", "humidity", "batterylevel", "latitude", "longitude"];
    let put = |data: &Path| {
        let mut csv = columns.join(",") + "\n";
        for reading in readings() {
            let row = row(&reading);
            let field = |name: &&str| match &row[*name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                number => number.to_string(),
            };
            csv += &(columns.iter().map(field).collect::<Vec<_>>().join(",") + "\n");
        }
        fs::create_dir_all(data).unwrap();
        fs::write(data.join("readings.csv"), csv).unwrap();
    };
    run(put, "csv = \"s3://${DATA_BUCKET}/readings.csv\"").await;
}
