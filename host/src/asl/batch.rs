//! What a child gets, and what it does with it: the batcher, and the state that sends the batch.

use serde_json::{Map, Value, json};

use crate::dataset::{Dataset, HandOver, Pin, TemplateError};
use crate::job::{MESSAGE_VERSION, error_names};

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
    if let Some(stage) = dataset.stage.as_ref().and_then(|stage| stage.planned_by) {
        let number = format!("{}.window.number", planned(stage));
        ours.insert("window".into(), json!({"run.$": "$$.Execution.Id", "number.$": number}));
    }
    ours
}

/// Where it lies what the run takes of a table that this stage reads, by its index.
pub(super) fn planned(stage: usize) -> String {
    format!("$.plan{}", stage + 1)
}

/// The state that sends the batch and waits for the worker's answer.
pub(super) fn batch_state(dataset: &Dataset, queue_url: &str) -> Value {
    let mut message = message(dataset);
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
    let mut state = waiting(dataset, queue_url, message);
    insert(&mut state, "End", true);
    if dataset.map.result_writer.is_none() {
        insert(&mut state, "OutputPath", Value::Null);
    }
    state.into()
}

/// The state that has a stage concluded: its batches' answers are where `result` says, and what comes of them takes that place.
pub(super) fn conclusion_state(
    dataset: &Dataset,
    takes: &[HandOver],
    queue_url: &str,
    root: &str,
    (result, had_items): (&str, bool),
) -> Map<String, Value> {
    let mut conclude = json!({"takes": takes});
    if had_items {
        conclude["results.$"] = format!("{result}.ResultWriterDetails").into();
    }
    step(dataset, queue_url, root, ("conclude", conclude), Value::from(result))
}

/// The state that has a run over a table planned: what it takes comes to `result`.
pub(super) fn plan_state(dataset: &Dataset, queue_url: &str, root: &str, result: &str) -> Map<String, Value> {
    let plan = json!({"run.$": "$$.Execution.Id", "input.$": root});
    step(dataset, queue_url, root, ("plan", plan), Value::from(result))
}

/// The state that has the window of a run closed, which was planned at `planned`.
pub(super) fn close_state(dataset: &Dataset, queue_url: &str, root: &str, planned: &str) -> Map<String, Value> {
    let close = json!({"run.$": "$$.Execution.Id", "number.$": format!("{planned}.window.number")});
    step(dataset, queue_url, root, ("close", close), Value::Null)
}

/// A state that sends a message without items.
fn step(
    dataset: &Dataset,
    queue_url: &str,
    root: &str,
    (name, what): (&str, Value),
    result: Value,
) -> Map<String, Value> {
    let mut message = message(dataset);
    message["input"] = json!({"Items": []});
    message[name] = what;
    // What plans a run cannot know its window yet.
    for (name, value) in ours(dataset, root).into_iter().filter(|(own, _)| name != "plan" || own != "window") {
        message[name] = value;
    }
    let mut state = waiting(dataset, queue_url, message);
    insert(&mut state, "ResultPath", result);
    state
}

/// What every message says.
fn message(dataset: &Dataset) -> Value {
    json!({
        "gristmill": MESSAGE_VERSION,
        "dataset": dataset.name,
        "task_token.$": "$$.Task.Token",
        "execution.$": "$$.Execution.Id",
        "state.$": "$$.State.Name",
        "attempt.$": "$$.State.RetryCount",
    })
}

/// A state that sends a message and waits for the worker's answer.
fn waiting(dataset: &Dataset, queue_url: &str, message: Value) -> Map<String, Value> {
    let mut parameters = json!({"QueueUrl": queue_url, "MessageBody": message});
    if !queue_url.ends_with(".fifo") {
        // On a standard queue a group is no order but a tenant: when one dataset has very many messages, Amazon SQS delivers those
        // of the others first ("Amazon SQS fair queues").
        parameters["MessageGroupId"] = dataset.name.as_str().into();
    } else {
        // A group per child, so that batches do not wait for each other; every attempt has a token, hence an id, of its own.
        parameters["MessageGroupId.$"] = "$$.Execution.Name".into();
        parameters["MessageDeduplicationId.$"] = "States.Hash($$.Task.Token, 'SHA-256')".into();
    }
    Map::from_iter([
        ("Type".to_owned(), "Task".into()),
        ("Resource".to_owned(), "arn:aws:states:::sqs:sendMessage.waitForTaskToken".into()),
        ("Parameters".to_owned(), parameters),
        ("HeartbeatSeconds".to_owned(), dataset.map.heartbeat.as_secs().into()),
        ("TimeoutSeconds".to_owned(), dataset.map.timeout.as_secs().into()),
        ("Retry".to_owned(), json!([retrier(dataset.map.max_attempts)])),
    ])
}

/// Adds a field.
pub(super) fn insert(into: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    into.insert(name.into(), value.into());
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
