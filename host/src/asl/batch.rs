//! What a child gets, and what it does with it: the batcher, and the state that sends the batch.

use serde_json::{Map, Value, json};

use crate::dataset::{Dataset, Pin, TemplateError};
use crate::job::{MESSAGE_VERSION, error_names};

/// The name of the state that waits for a batch's answer, here and in local runs.
pub const BATCH_STATE: &str = "Batch";

/// The batcher, and what all batches share. A child does not know the execution and the input of the Distributed Map, so its
/// `BatchInput` has them beside the dataset's own: the run's name if the run stays with one version, and the values of its
/// places.
pub(super) fn item_batcher(dataset: &Dataset, root: &str) -> Result<Value, TemplateError> {
    let map = &dataset.map;
    let mut batcher = Map::new();
    batcher.insert("MaxItemsPerBatch".into(), map.max_items_per_batch.into());
    batcher.insert("MaxInputBytesPerBatch".into(), map.max_input_bytes_per_batch.into());
    let ours = ours(dataset, root);
    match &map.batch_input {
        Some(input) if ours.is_empty() => batcher.extend([input.payload_field("BatchInput", root)?]),
        None if ours.is_empty() => {}
        input => {
            let mut with_ours = ours;
            if let Some(input) = input {
                with_ours.extend([input.payload_field("input", root)?]);
            }
            batcher.insert("BatchInput".into(), with_ours.into());
        }
    }
    Ok(Value::Object(batcher))
}

/// What a batch's message says about its run.
fn ours(dataset: &Dataset, root: &str) -> Map<String, Value> {
    let mut ours = Map::new();
    if dataset.release.pin == Pin::Run {
        ours.insert("run.$".into(), "$$.Execution.Id".into());
    }
    let values = dataset.run_paths().into_iter().map(|path| (path.name() + ".$", path.under(root).into()));
    let values: Map<String, Value> = values.collect();
    if !values.is_empty() {
        ours.insert("values".into(), values.into());
    }
    ours
}

/// The state that sends the batch and waits for the worker's answer.
pub(super) fn batch_state(dataset: &Dataset, queue_url: &str) -> Value {
    let mut parameters = json!({
        "QueueUrl": queue_url,
        "MessageBody": {
            "gristmill": MESSAGE_VERSION,
            "dataset": dataset.name,
            "task_token.$": "$$.Task.Token",
            "execution.$": "$$.Execution.Id",
            "state.$": "$$.State.Name",
            "attempt.$": "$$.State.RetryCount",
        },
    });
    let message = &mut parameters["MessageBody"];
    let ours = ours(dataset, "$");
    if ours.is_empty() {
        message["input.$"] = "$".into();
    } else {
        message["input"] = json!({"Items.$": "$.Items"});
        if dataset.map.batch_input.is_some() {
            message["input"]["BatchInput.$"] = "$.BatchInput.input".into();
        }
    }
    for name in ours.keys().map(|name| name.trim_end_matches(".$")) {
        message[format!("{name}.$")] = format!("$.BatchInput.{name}").into();
    }
    if !queue_url.ends_with(".fifo") {
        // On a standard queue a group is no order but a tenant: when one dataset has very many messages, Amazon SQS delivers those
        // of the others first ("Amazon SQS fair queues").
        parameters["MessageGroupId"] = dataset.name.as_str().into();
    } else {
        // A group per child, so that batches do not wait for each other; every attempt has a token, hence an id, of its own.
        parameters["MessageGroupId.$"] = "$$.Execution.Name".into();
        parameters["MessageDeduplicationId.$"] = "States.Hash($$.Task.Token, 'SHA-256')".into();
    }
    let mut state = json!({
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": parameters,
        "HeartbeatSeconds": dataset.map.heartbeat.as_secs(),
        "TimeoutSeconds": dataset.map.timeout.as_secs(),
        "Retry": [retrier(dataset.map.max_attempts)],
        "End": true,
    });
    if dataset.map.result_writer.is_none() {
        state["OutputPath"] = Value::Null;
    }
    state
}

/// What is worth another attempt: what the worker reports as such, a worker that fell silent, and a queue that did not take
/// the message. Everything else (`Gristmill.ItemsRejected`, `.OutputRefused`, `.BadMessage`, `.BadPlugin`) would end the same
/// way again.
fn retrier(max_attempts: u32) -> Value {
    json!({
        "ErrorEquals": [
            error_names::RETRYABLE, error_names::HOST_FAULT, "States.HeartbeatTimeout",
            "SQS.SdkClientException", "SQS.SqsException", "SQS.AmazonSQSException",
        ],
        "IntervalSeconds": 5,
        "BackoffRate": 2.0,
        "MaxDelaySeconds": 300,
        "MaxAttempts": max_attempts,
        "JitterStrategy": "FULL",
    })
}
