//! The Map around the states that wait: batches, failures, results.

use serde_json::Value;

use super::found::{Found, error, note, warning};
use crate::job::MAX_STEP_FUNCTIONS_PAYLOAD;
use crate::lint::machine::{Fields, Given, State, given};

/// The longest task token (`SendTaskSuccess` in the API reference), in bytes.
const TOKEN: usize = 2048;

/// The batcher's fields.
fn batcher(map: &Fields) -> Option<&Fields> {
    map.get("ItemBatcher").and_then(Value::as_object)
}

pub(super) fn batch_too_large(state: &State<'_>) -> Vec<Found> {
    let Some(batcher) = batcher(state.fields) else { return vec![] };
    match given(batcher, "MaxInputBytesPerBatch") {
        Given::Number(bytes) if bytes > MAX_STEP_FUNCTIONS_PAYLOAD as f64 => vec![error(
            state.at("ItemBatcher").key("MaxInputBytesPerBatch"),
            format!("{bytes} bytes are more than a child's input may have ({MAX_STEP_FUNCTIONS_PAYLOAD})"),
            "253952 leaves room for the message around the batch",
        )],
        _ => vec![],
    }
}

/// A child that puts its batch into a message needs room for the rest of the message.
pub(super) fn batch_without_room(state: &State<'_>) -> Vec<Found> {
    let (Some(batcher), Some((field, sent))) = (state.map.and_then(batcher), state.sent()) else { return vec![] };
    if !sends_input(sent, false) {
        return vec![];
    }
    let around = sent.to_string().len() + TOKEN;
    let room = MAX_STEP_FUNCTIONS_PAYLOAD - around.min(MAX_STEP_FUNCTIONS_PAYLOAD);
    let what = "a batch and the message around it may exceed the payload's";
    let help = format!(
        "set `MaxInputBytesPerBatch` to at most {room} (the message has {} bytes, a token up to {TOKEN})",
        around - TOKEN
    );
    match given(batcher, "MaxInputBytesPerBatch") {
        // More than the limit is another finding.
        Given::Number(bytes) if bytes > room as f64 && bytes <= MAX_STEP_FUNCTIONS_PAYLOAD as f64 => vec![warning(
            state.at(field),
            format!("{what} {MAX_STEP_FUNCTIONS_PAYLOAD} bytes: such a child fails with States.DataLimitExceeded"),
            help,
        )],
        Given::Nothing => vec![note(
            state.at(field),
            format!(
                "no `MaxInputBytesPerBatch`: batches of large items grow up to the limit, and {what} \
                 {MAX_STEP_FUNCTIONS_PAYLOAD} bytes"
            ),
            help,
        )],
        _ => vec![],
    }
}

/// Whether something of the state's input is sent.
fn sends_input(value: &Value, is_path: bool) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, below)| sends_input(below, name.ends_with(".$"))),
        Value::Array(elements) => elements.iter().any(|below| sends_input(below, false)),
        Value::String(text) => text.contains("$states.input") || is_path && text.replace("$$", "").contains('$'),
        _ => false,
    }
}

pub(super) fn no_batches(state: &State<'_>) -> Vec<Found> {
    if batcher(state.fields).is_some() {
        return vec![];
    }
    vec![note(
        state.path.clone(),
        "no `ItemBatcher`: each item is a child of its own, with its own transitions and its own message",
        "batch the items (`MaxItemsPerBatch`), unless one takes minutes",
    )]
}

pub(super) fn tolerates_everything(state: &State<'_>) -> Vec<Found> {
    match state.number("ToleratedFailurePercentage") {
        Given::Number(percentage) if percentage >= 100.0 => vec![warning(
            state.at("ToleratedFailurePercentage"),
            "the map succeeds even if every batch fails, so nobody is told",
            "tolerate as much as you would not look into, and let an alarm see the rest",
        )],
        _ => vec![],
    }
}

/// The outputs of all children become one payload, whether the Map's own output is dropped or not.
pub(super) fn collects_results(state: &State<'_>) -> Vec<Found> {
    if state.fields.contains_key("ResultWriter") {
        return vec![];
    }
    let Some((_, processor)) = state.processor() else { return vec![] };
    let states = processor.get("States").and_then(Value::as_object).into_iter().flatten();
    let mut last = states.filter_map(|(_, state)| state.as_object()).filter(|state| is_last(state));
    if !last.any(has_output) {
        return vec![];
    }
    vec![warning(
        state.path.clone(),
        format!(
            "no `ResultWriter`, and the children have outputs: they are collected in one payload, and beyond \
             {MAX_STEP_FUNCTIONS_PAYLOAD} bytes the map fails after all its work, `ResultPath: null` or not"
        ),
        "write them to S3 with a `ResultWriter`, or let the children's last state drop its own (`\"OutputPath\": null`; in \
         JSONata `\"Output\": {}`)",
    )]
}

fn is_last(state: &Fields) -> bool {
    state.get("End") == Some(&Value::Bool(true)) || state.get("Type").is_some_and(|kind| kind == "Succeed")
}

/// Whether a state's output is more than what stands in the machine.
fn has_output(state: &Fields) -> bool {
    let is_dropped = state.get("OutputPath").is_some_and(Value::is_null);
    let is_fixed = state.get("Output").is_some_and(|output| !output.to_string().contains("{%"));
    !is_dropped && !is_fixed
}

pub(super) fn inline(state: &State<'_>) -> Vec<Found> {
    if state.is_distributed() {
        return vec![];
    }
    vec![note(
        state.path.clone(),
        "an inline Map has at most about 40 iterations at once, and all of them share the 25,000 events of one execution",
        "for more make it a Distributed Map: `\"ProcessorConfig\": {\"Mode\": \"DISTRIBUTED\", \"ExecutionType\": \"STANDARD\"}`",
    )]
}

pub(super) fn no_concurrency(state: &State<'_>) -> Vec<Found> {
    match state.number("MaxConcurrency") {
        Given::Nothing | Given::Number(0.0) => vec![note(
            state.path.clone(),
            "no `MaxConcurrency`: up to 10,000 batches wait at once, and the last of them for as long as the fleet needs for \
             all before it",
            "set it, and let `HeartbeatSeconds` cover MaxConcurrency / slots of the fleet x seconds a batch",
        )],
        _ => vec![],
    }
}
