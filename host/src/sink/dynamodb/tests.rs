//! The sink over a table in memory, and the client over a server on this machine that answers as DynamoDB does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::super::tests::{Subject, all_types, batch_id, rows, suite, table, with_tables};
use super::super::{Effect, LeaseCheck, OutputSchema, Sink, SinkError, Stores, TableRows};
use super::item::Item;
use super::tables::{Description, TableError, Tables};
use super::{DynamoDbSink, check};
use crate::aws::recorded::{Recorded, Response};
use crate::dataset::Target;

/// One table, its items by key; every second write takes only a part, as a busy table does.
#[derive(Default)]
struct Memory {
    key: Vec<(String, String)>,
    items: Mutex<BTreeMap<String, Item>>,
    writes: AtomicUsize,
    described: AtomicUsize,
}

#[async_trait]
impl Tables for Memory {
    async fn describe(&self, _: &str) -> Result<Description, TableError> {
        self.described.fetch_add(1, Ordering::SeqCst);
        Ok(Description { key: self.key.clone() })
    }

    async fn write(&self, _: &str, mut items: Vec<Item>) -> Result<Vec<Item>, TableError> {
        let take = if self.writes.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) { 1 } else { items.len() };
        let left = items.split_off(take.min(items.len()));
        let keyed = items.into_iter().map(|item| (item["id"].as_s().unwrap().clone(), item));
        self.items.lock().unwrap().extend(keyed);
        Ok(left)
    }

    async fn pause(&self, _: Duration) {}
}

struct InMemory {
    tables: Arc<Memory>,
    sink: Arc<DynamoDbSink>,
}

fn in_memory(key: &[(&str, &str)]) -> InMemory {
    let key = key.iter().map(|(name, kind)| ((*name).into(), (*kind).into())).collect();
    let tables = Arc::new(Memory { key, ..Memory::default() });
    InMemory { sink: Arc::new(DynamoDbSink::with(tables.clone())), tables }
}

impl Subject for InMemory {
    fn sink(&self) -> &dyn Sink {
        &*self.sink
    }

    fn stores(&self) -> Stores {
        with_tables(self.sink.clone())
    }

    fn target(&self) -> Target {
        table(&["id"])
    }

    fn visible(&self) -> Vec<Value> {
        fn value(attribute: &AttributeValue) -> Value {
            match attribute {
                AttributeValue::S(text) => text.as_str().into(),
                AttributeValue::N(number) => serde_json::from_str(number).unwrap(),
                AttributeValue::Bool(value) => (*value).into(),
                AttributeValue::L(elements) => elements.iter().map(value).collect(),
                AttributeValue::M(fields) => fields.iter().map(|(name, field)| (name.clone(), value(field))).collect(),
                AttributeValue::Null(_) => Value::Null,
                other => panic!("{other:?}"),
            }
        }
        let row = |item: &Item| {
            let column = |column: crate::dataset::Column| {
                let value = item.get(&column.name).map_or(Value::Null, value);
                (column.name, value)
            };
            Value::Object(all_types().into_iter().map(column).collect())
        };
        self.tables.items.lock().unwrap().values().map(row).collect()
    }
}

#[tokio::test]
async fn dynamodb_keeps_the_contract() {
    let subject = in_memory(&[("id", "S")]);
    suite(&subject).await;
    assert_eq!(subject.tables.described.load(Ordering::SeqCst), 1, "the table is looked at once");
}

#[tokio::test]
async fn a_table_with_another_key_is_refused() {
    let schema = |key: &[&str]| Arc::new(OutputSchema::new("stations", all_types(), table(key)).unwrap());
    let stage = async |theirs: &[(&str, &str)], ours: &[&str]| {
        in_memory(theirs).sink.stage(&batch_id("a"), &schema(ours)).await.map(|_| ())
    };
    for (theirs, ours) in [
        (&[("id", "S")][..], &["id"][..]),
        (&[("id", "S"), ("count", "N")], &["id", "count"]),
        (&[("id", "S"), ("at", "S")], &["id", "at"]),
    ] {
        assert_eq!(stage(theirs, ours).await, Ok(()));
    }
    assert_eq!(
        stage(&[("pk", "S")], &["id", "count"]).await,
        Err(SinkError::Refused(
            "table `noaa-precipitation` of DynamoDB has the key `pk` (S), output `stations` has `id` (S), `count` (N): \
             change `key` in the dataset file or the column's type, or make a table with this key"
                .into()
        ))
    );
    for (theirs, ours) in [
        (&[("id", "N")][..], &["id"][..]),
        (&[("id", "S"), ("day", "S")], &["id"]),
        (&[("day", "S"), ("id", "S")], &["id", "day"]),
    ] {
        assert!(matches!(stage(theirs, ours).await, Err(SinkError::Refused(_))), "{theirs:?}");
    }
}

#[tokio::test]
async fn a_row_that_dynamodb_would_refuse_is_named_by_its_key() {
    let schema = Arc::new(OutputSchema::new("stations", all_types(), table(&["id", "day"])).unwrap());
    let large = format!("{{\"id\":\"big\",\"day\":\"2024-01-31\",\"extra\":\"{}\"}}", "x".repeat(410_000));
    let block = rows(&schema, &format!("{{\"id\":\"small\",\"day\":\"2024-01-31\"}}\n{large}"));
    assert_eq!(
        check(&schema, &block).unwrap_err(),
        "DynamoDB cannot take the row with id = \"big\", day = 2024-01-31: it has 410023 bytes; an \
         item of DynamoDB has at most 409600"
    );
}

/// A client whose requests `answer(operation, body)` answers.
async fn client(
    answer: impl Fn(&str, Value) -> (u16, Value) + Clone + Send + Sync + 'static,
) -> aws_sdk_dynamodb::Client {
    let serve = move |headers: HeaderMap, body: Bytes| async move {
        let target = headers["x-amz-target"].to_str().unwrap().to_owned();
        let operation = target.strip_prefix("DynamoDB_20120810.").unwrap();
        let (status, answer) = answer(operation, serde_json::from_slice(&body).unwrap());
        let header = [("content-type", "application/x-amz-json-1.0")];
        (StatusCode::from_u16(status).unwrap(), header, answer.to_string())
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(serve)).await });
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(endpoint);
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

#[tokio::test]
async fn the_client_reads_the_key_in_its_order() {
    let client = client(|operation, body| {
        assert_eq!((operation, &body), ("DescribeTable", &json!({ "TableName": "stations" })));
        let status = "ACTIVE";
        (
            200,
            json!({ "Table": {
                "TableStatus": status,
                "KeySchema": [
                    { "AttributeName": "day", "KeyType": "RANGE" },
                    { "AttributeName": "id", "KeyType": "HASH" }
                ],
                "AttributeDefinitions": [
                    { "AttributeName": "other", "AttributeType": "B" },
                    { "AttributeName": "day", "AttributeType": "N" },
                    { "AttributeName": "id", "AttributeType": "S" }
                ]
            } }),
        )
    });
    let found = client.await.describe("stations").await.unwrap();
    assert_eq!(found.key, [("id".to_owned(), "S".to_owned()), ("day".to_owned(), "N".to_owned())]);
}

#[tokio::test]
async fn the_client_gives_back_what_was_not_processed() {
    let client = client(|operation, body| {
        assert_eq!(operation, "BatchWriteItem");
        let requests = body["RequestItems"]["stations"].as_array().unwrap();
        assert_eq!(requests[0], json!({ "PutRequest": { "Item": { "id": { "S": "a" }, "count": { "N": "1" } } } }));
        (200, json!({ "UnprocessedItems": { "stations": [requests[1]] } }))
    });
    let item = |id: &str| {
        Item::from([("id".into(), AttributeValue::S(id.into())), ("count".into(), AttributeValue::N("1".into()))])
    };
    let left = client.await.write("stations", vec![item("a"), item("b"), item("c")]).await.unwrap();
    assert_eq!(left, [item("b")]);
}

#[tokio::test]
async fn the_client_knows_which_errors_pass() {
    let fault = async |status: u16, code: &'static str| {
        let client = client(move |_, _| {
            (status, json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "because" }))
        });
        client.await.write("stations", vec![Item::new()]).await.unwrap_err()
    };
    for (status, code) in [
        (400, "ProvisionedThroughputExceededException"),
        (400, "ThrottlingException"),
        (400, "ExpiredTokenException"),
        (400, "UnrecognizedClientException"),
        (400, "LimitExceededException"),
        (500, "InternalServerError"),
        (503, "SomethingNew"),
    ] {
        let fault = fault(status, code).await;
        let said = format!("because ({code}, HTTP {status})");
        assert!(matches!(&fault, TableError::Retry(why) if why.starts_with(&said)), "{fault:?}");
    }
    for code in ["ValidationException", "AccessDeniedException"] {
        assert_eq!(fault(400, code).await, TableError::Refused(format!("because ({code}, HTTP 400)")));
    }
    let TableError::Refused(why) = fault(400, "ResourceNotFoundException").await else { panic!("not refused") };
    assert!(why.starts_with("there is no such table in this account and region"), "{why}");
}

#[tokio::test]
async fn nobody_there_is_worth_another_attempt() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let config = client(|_, _| (200, json!({}))).await.config().to_builder().endpoint_url(gone).build();
    let error = aws_sdk_dynamodb::Client::from_conf(config).describe("stations").await.unwrap_err();
    assert!(matches!(error, TableError::Retry(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_is_not_repeated_once_the_lease_has_ended() {
    let recorded = Arc::new(Recorded::start(vec![Response::json(500, "{}")]).await);
    let retrying = recorded.config.clone().into_builder().retry_config(RetryConfig::standard()).build();
    let stores = with_tables(Arc::new(DynamoDbSink::new(&retrying)));
    let schema = Arc::new(OutputSchema::new("stations", all_types(), table(&["id"])).unwrap());
    let effect = Effect::Put(TableRows { blocks: vec![rows(&schema, r#"{"id":"a"}"#)], schema });
    let seen = recorded.clone();
    let lease = LeaseCheck::new(move || seen.requests().is_empty());
    assert_eq!(effect.apply(&*stores.objects, &*stores.tables, &lease).await, Err(SinkError::Lost));
    assert_eq!(recorded.requests().len(), 1);
}
