//! The AWS adapters against an emulator: the same contract suites that the local ones keep in the unit tests.

// A failed step of a test ends the test.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use aws_sdk_sfn::types::ExecutionStatus;
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_sqs::types::QueueAttributeName;
use gristmill::callback::step_functions::StepFunctions;
use gristmill::callback::{Answer, Callback, Waiting};
use gristmill::job::TaskToken;
use gristmill::ledger::dynamodb::DynamoLedger;
use gristmill::object::s3::S3Store;
use gristmill::object::{ContentType, Location, ObjectWriter};
use gristmill::queue::Queue;
use gristmill::queue::sqs::SqsQueue;
use gristmill::{ledger, object, queue};

fn config() -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(crate::emulator::shared())
        .build()
}

#[tokio::test]
async fn s3_keeps_the_contract_of_objects() {
    let config = config();
    let client =
        aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build());
    client.create_bucket().bucket("contract-objects").send().await.unwrap();
    let store = S3Store::new(&config);
    let at: Location = "s3://contract-objects/some/prefix-".parse().unwrap();
    object::contract::suite(&store, &at).await;

    // Whoever reads an object is told what it holds, and undoes no compression unasked.
    use ContentType::{Csv, Gzip, JsonLines, Parquet, Zstd};
    for holds in [JsonLines, Csv, Parquet, Gzip, Zstd] {
        let mut upload = store.upload(&at.with_key("typed"), holds).await.unwrap();
        upload.write("x".into()).await.unwrap();
        store.complete(&upload.finish().await.unwrap()).await.unwrap();
        let head = client.head_object().bucket("contract-objects").key("typed").send().await.unwrap();
        assert_eq!((head.content_type(), head.content_encoding()), (Some(holds.name()), None));
    }

    // A dropped upload is aborted: no parts are left to pay for.
    let mut dropped = store.upload(&at.with_key("dropped"), ContentType::Parquet).await.unwrap();
    dropped.write(vec![0; 20 * 1024 * 1024].into()).await.unwrap();
    let uploads = async || {
        let listed = client.list_multipart_uploads().bucket("contract-objects").send().await.unwrap();
        listed.uploads().len()
    };
    assert_eq!(uploads().await, 1);
    drop(dropped);
    while uploads().await > 0 {
        tokio::task::yield_now().await;
    }
}

/// Makes a queue and its dead-letter queue, and returns their URLs.
async fn make_queue(config: &SdkConfig, name: &str) -> (String, String) {
    let client = aws_sdk_sqs::Client::new(config);
    let dead = client.create_queue().queue_name(format!("{name}-dead")).send().await.unwrap().queue_url.unwrap();
    let attributes = client.get_queue_attributes().queue_url(&dead).attribute_names(QueueAttributeName::QueueArn);
    let attributes = attributes.send().await.unwrap().attributes.unwrap();
    let arn = &attributes[&QueueAttributeName::QueueArn];
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":10}}"#);
    let queue = client.create_queue().queue_name(name).attributes(QueueAttributeName::VisibilityTimeout, "45");
    let queue = queue.attributes(QueueAttributeName::RedrivePolicy, policy).send().await.unwrap();
    (queue.queue_url.unwrap(), dead)
}

#[tokio::test]
async fn sqs_keeps_the_contract_of_queues() {
    let config = config();
    let (url, dead) = make_queue(&config, "contract-queue").await;
    let sqs = SqsQueue::connect(&config, &url).await.unwrap();
    assert_eq!(sqs.visibility_timeout(), Duration::from_secs(45));
    let client = aws_sdk_sqs::Client::new(&config);
    queue::contract::suite(&sqs, async |body| {
        client.send_message().queue_url(&url).message_body(body).send().await.unwrap();
    })
    .await;

    let parked = client.receive_message().queue_url(&dead).message_attribute_names("All").send().await.unwrap();
    let message = &parked.messages()[0];
    assert_eq!(message.body(), Some("poison"));
    let attributes = message.message_attributes().unwrap();
    assert_eq!(attributes["gristmill-reason"].string_value(), Some("not a batch: [31m"));
    assert_eq!(attributes["gristmill-source"].string_value(), Some(&*url));
}

#[tokio::test]
async fn dynamodb_keeps_the_contract_of_ledgers() {
    let config = config();
    let client = aws_sdk_dynamodb::Client::new(&config);
    let attribute = AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash);
    let table = client.create_table().table_name("contract-ledger").billing_mode(BillingMode::PayPerRequest);
    let table = table.attribute_definitions(attribute.build().unwrap()).key_schema(key.build().unwrap());
    table.send().await.unwrap();
    let ledger = DynamoLedger::new(&config, "contract-ledger");
    ledger::contract::suite(&ledger, "run").await;
    ledger::contract::fleet_suite(&ledger, "run").await;
    ledger::contract::registers_suite(&ledger, "register").await;
}

/// A state machine whose only state sends a task token through the queue and waits for the answer.
async fn waiting_task(config: &SdkConfig, url: &str, name: &str) -> (String, TaskToken) {
    let definition = serde_json::json!({"StartAt": "Wait", "States": {"Wait": {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "HeartbeatSeconds": 60,
        "Parameters": {"QueueUrl": url, "MessageBody": {"task_token.$": "$$.Task.Token"}},
        "End": true,
    }}});
    let client = aws_sdk_sfn::Client::new(config);
    let machine = client.create_state_machine().name(name).definition(definition.to_string());
    let machine = machine.role_arn("arn:aws:iam::000000000000:role/test").send().await.unwrap();
    let execution = client.start_execution().state_machine_arn(machine.state_machine_arn).send().await.unwrap();
    let queue = SqsQueue::connect(config, url).await.unwrap();
    let delivery = queue.receive(1).await.unwrap().remove(0);
    queue.delete(&[delivery.receipt]).await.unwrap();
    let body: serde_json::Value = serde_json::from_str(&delivery.body).unwrap();
    (execution.execution_arn, TaskToken::new(body["task_token"].as_str().unwrap()))
}

/// The execution's status, error or output, once it has ended.
async fn end_of(config: &SdkConfig, execution: &str) -> (ExecutionStatus, String) {
    let client = aws_sdk_sfn::Client::new(config);
    loop {
        let found = client.describe_execution().execution_arn(execution).send().await.unwrap();
        if found.status != ExecutionStatus::Running {
            return (found.status, found.error.or(found.output).unwrap_or_default());
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn step_functions_hears_answers_and_heartbeats() {
    let config = config();
    let (url, _) = make_queue(&config, "contract-callback").await;
    let callback = StepFunctions::new(&config);
    let success = Answer::Success { output: r#"{"rows":1}"#.into() };
    let failure = Answer::Failure { error: "Gristmill.ItemsRejected".into(), cause: "why".repeat(20_000) };

    let (execution, token) = waiting_task(&config, &url, "succeeds").await;
    assert_eq!(callback.heartbeat(&token).await.unwrap(), Waiting::Yes);
    let broken = callback.answer(&token, &Answer::Success { output: "{".into() }).await;
    assert!(broken.is_err(), "an output that is no JSON is our fault, not a settled matter: {broken:?}");
    assert_eq!(callback.answer(&token, &success).await.unwrap(), Waiting::Yes);
    let (status, output) = end_of(&config, &execution).await;
    let output: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!((status, output), (ExecutionStatus::Succeeded, serde_json::json!({"rows": 1})));
    assert_eq!(callback.answer(&token, &success).await.unwrap(), Waiting::No);
    assert_eq!(callback.heartbeat(&token).await.unwrap(), Waiting::No);

    let (execution, token) = waiting_task(&config, &url, "fails").await;
    assert_eq!(callback.answer(&token, &failure).await.unwrap(), Waiting::Yes);
    assert_eq!(end_of(&config, &execution).await, (ExecutionStatus::Failed, "Gristmill.ItemsRejected".into()));

    assert_eq!(callback.heartbeat(&TaskToken::new("nobody's")).await.unwrap(), Waiting::No);
}
