//! What is tried again.

use serde_json::Value;

use super::found::{Found, note, warning};
use crate::job::error_names::{
    BAD_KEY, BAD_MESSAGE, BAD_OUTPUT, BAD_PLUGIN, HOST_FAULT, ITEMS_REJECTED, MEMORY_LIMIT, OUTPUT_LIMIT,
    OUTPUT_REFUSED, RETRYABLE, SOURCE_REFUSED, TIMEOUT, TRAP, WINDOW_HELD,
};
use crate::lint::machine::State;
use crate::lint::path::Path;
use crate::text::line;

/// What gristmill's workers answer, where another attempt can cure it.
const CURABLE: [&str; 2] = [RETRYABLE, HOST_FAULT];
/// What they answer, and would answer again.
const FINAL: [&str; 6] = [ITEMS_REJECTED, OUTPUT_REFUSED, BAD_MESSAGE, BAD_PLUGIN, SOURCE_REFUSED, WINDOW_HELD];
/// Codes of items in reports. No batch fails with one.
const OF_ITEMS: [&str; 6] = [TRAP, TIMEOUT, MEMORY_LIMIT, BAD_OUTPUT, OUTPUT_LIMIT, BAD_KEY];
/// What Step Functions itself and its calls of SQS say.
const OTHERS: [&str; 4] = ["States.", "SQS.", "Sqs.", "AWS."];

pub(super) fn no_retry(state: &State<'_>) -> Vec<Found> {
    if state.fields.contains_key("Retry") || state.fields.contains_key("Catch") {
        return vec![];
    }
    vec![warning(
        state.path.clone(),
        "no `Retry`: one send that SQS throttles, one lost message or one worker's fault fails the state for good",
        format!(
            "retry what another attempt can cure: `{RETRYABLE}`, `{HOST_FAULT}`, `States.HeartbeatTimeout`, \
             `SQS.SdkClientException`, `SQS.AmazonSQSException`"
        ),
    )]
}

pub(super) fn unknown_errors(state: &State<'_>) -> Vec<Found> {
    let unknown = retried(state).into_iter().filter(|(_, name)| {
        !OTHERS.iter().any(|others| name.starts_with(others)) && ![&CURABLE[..], &FINAL].concat().contains(name)
    });
    unknown
        .map(|(path, name)| {
            let shown = line(name);
            if OF_ITEMS.contains(&name) {
                let help =
                    format!("take it out; a batch fails with `{ITEMS_REJECTED}` when too many items are rejected");
                return warning(
                    path,
                    format!("`{shown}` is a code of items in reports: no batch ever fails with it"),
                    help,
                );
            }
            if name.starts_with("Gristmill.") {
                let help = format!("did you mean `{}`?", nearest(name));
                return warning(path, format!("gristmill never answers `{shown}`: this is never retried"), help);
            }
            let help = "nothing, if your own workers do; else take it out";
            note(path, format!("gristmill never answers `{shown}`: right only for workers that do"), help)
        })
        .collect()
}

pub(super) fn futile(state: &State<'_>) -> Vec<Found> {
    let futile = retried(state).into_iter().filter(|(_, name)| FINAL.contains(name));
    let what = "comes to the same at every attempt, until somebody changes something: each costs a child's transitions and a batch";
    futile.map(|(path, name)| warning(path, format!("`{name}` {what}"), "take it out")).collect()
}

pub(super) fn everything(state: &State<'_>) -> Vec<Found> {
    let everything = retried(state).into_iter().filter(|(_, name)| ["States.ALL", "States.TaskFailed"].contains(name));
    everything
        .map(|(path, name)| {
            let what = "also repeats batches that end the same way each time, such as those with bad items";
            warning(path, format!("`{name}` {what}"), "name the errors that another attempt can cure")
        })
        .collect()
}

/// The names of all retriers that try again at all.
fn retried<'a>(state: &State<'a>) -> Vec<(Path, &'a str)> {
    let retriers = state.fields.get("Retry").and_then(Value::as_array).into_iter().flatten().enumerate();
    let mut names = Vec::new();
    for (n, retrier) in retriers.filter(|(_, retrier)| retrier["MaxAttempts"] != 0) {
        let path = state.at("Retry").index(n).key("ErrorEquals");
        let errors = retrier["ErrorEquals"].as_array().into_iter().flatten().enumerate();
        names.extend(errors.filter_map(|(n, name)| Some((path.index(n), name.as_str()?))));
    }
    names
}

fn nearest(name: &str) -> &'static str {
    let all = CURABLE.iter().chain(&FINAL);
    all.min_by_key(|known| strsim::damerau_levenshtein(name, known)).copied().unwrap_or(RETRYABLE)
}
