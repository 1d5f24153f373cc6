//! What is sent, and whether an answer can come back.

use serde_json::Value;

use super::found::{Found, error, note, warning};
use crate::job::MAX_STEP_FUNCTIONS_PAYLOAD;
use crate::lint::machine::State;
use crate::lint::path::Path;

pub(super) fn in_express_child(state: &State<'_>) -> Vec<Found> {
    if !state.is_express {
        return vec![];
    }
    vec![error(
        state.at("Resource"),
        "Express workflows cannot wait for a task token: the machine is refused",
        "make the children of the Distributed Map standard ones: `\"ExecutionType\": \"STANDARD\"`",
    )]
}

pub(super) fn without_token(state: &State<'_>) -> Vec<Found> {
    let tokens = tokens(state);
    // A token that is sent as text is a finding of its own.
    if !tokens.is_empty() {
        return vec![];
    }
    let (field, token) = match state.is_jsonata {
        true => ("Arguments", "\"task_token\": \"{% $states.context.Task.Token %}\""),
        false => ("Parameters", "\"task_token.$\": \"$$.Task.Token\""),
    };
    let place = if state.sends() { "`MessageBody`".to_owned() } else { format!("`{field}`") };
    vec![error(
        state.sent().map_or_else(|| state.path.clone(), |(name, _)| state.at(name)),
        "the task token is not sent, so nobody can answer: the state waits for its time-out",
        format!("put it into {place}: `{token}`"),
    )]
}

pub(super) fn token_as_text(state: &State<'_>) -> Vec<Found> {
    let as_text = tokens(state).into_iter().filter(|(_, is_text)| *is_text);
    as_text
        .map(|(path, _)| match state.is_jsonata {
            true => error(
                path,
                "these words are sent instead of the task token: nobody can answer",
                "in JSONata write `{% $states.context.Task.Token %}`",
            ),
            false => error(
                path,
                "these words are sent instead of the task token: nobody can answer",
                "let the field's name end with `.$`, and its value be `$$.Task.Token`",
            ),
        })
        .collect()
}

pub(super) fn token_without_wait(state: &State<'_>) -> Vec<Found> {
    if !state.is("Task") || state.waits() || state.text("Resource").is_none() {
        return vec![];
    }
    let Some((path, _)) = tokens(state).into_iter().find(|(_, is_text)| !is_text) else { return vec![] };
    vec![error(
        path,
        "there is a task token only where `Resource` ends with `.waitForTaskToken`: this state fails or sends none, and \
         waits for no answer",
        "let `Resource` end with `.waitForTaskToken`",
    )]
}

pub(super) fn token_outside_body(state: &State<'_>) -> Vec<Found> {
    let Some((field, _)) = state.sent() else { return vec![] };
    let tokens: Vec<_> = tokens(state).into_iter().filter(|(_, is_text)| !is_text).map(|(path, _)| path).collect();
    let body = state.at(field).key("MessageBody").to_string();
    match tokens.first() {
        Some(first) if !tokens.iter().any(|path| path.to_string().starts_with(&body)) => vec![note(
            first.clone(),
            "the task token is not in `MessageBody`: workers that read the body alone, as gristmill's do, do not find it",
            "put it into `MessageBody`, or be sure that your workers look here",
        )],
        _ => vec![],
    }
}

/// What stands in the machine already, without what the run adds.
pub(super) fn large_payload(state: &State<'_>) -> Vec<Found> {
    let fields = ["Parameters", "Arguments", "Result", "Output", "ItemSelector", "Items"];
    let large = fields.iter().filter_map(|name| {
        let size = state.fields.get(*name)?.to_string().len();
        (size > MAX_STEP_FUNCTIONS_PAYLOAD).then(|| {
            error(
                state.at(name),
                format!(
                    "{size} bytes, and a payload has at most {MAX_STEP_FUNCTIONS_PAYLOAD}: States.DataLimitExceeded"
                ),
                "keep it in S3 and send where it is",
            )
        })
    });
    large.collect()
}

/// The queue, if the machine names it and it is a FIFO one.
fn fifo<'a>(state: &State<'a>) -> Option<(Path, &'a Value)> {
    let (field, sent) = state.sent()?;
    sent["QueueUrl"].as_str().filter(|queue| queue.ends_with(".fifo"))?;
    Some((state.at(field), sent))
}

pub(super) fn fifo_group(state: &State<'_>) -> Vec<Found> {
    let Some((path, sent)) = fifo(state) else { return vec![] };
    let group = sent["MessageGroupId"].as_str();
    match group {
        None if sent.get("MessageGroupId.$").is_none() => vec![error(
            path,
            "no `MessageGroupId`: a FIFO queue refuses the message",
            "give each child a group of its own: `\"MessageGroupId.$\": \"$$.Execution.Name\"`",
        )],
        Some(group) if !group.starts_with("{%") => vec![warning(
            path.key("MessageGroupId"),
            "all messages are of one group: a FIFO queue gives out one after the other, however many workers there are",
            "give each child a group of its own, such as its execution's name",
        )],
        _ => vec![],
    }
}

/// Within five minutes a FIFO queue takes a message with an id that it has seen, and drops it.
pub(super) fn fifo_deduplication(state: &State<'_>) -> Vec<Found> {
    let Some((path, sent)) = fifo(state) else { return vec![] };
    let (name, id) = match (sent["MessageDeduplicationId.$"].as_str(), sent["MessageDeduplicationId"].as_str()) {
        (Some(id), _) => ("MessageDeduplicationId.$", id),
        (None, Some(id)) => ("MessageDeduplicationId", id),
        (None, None) => return vec![],
    };
    let changes = ["Token", "RetryCount", "EnteredTime", "UUID", "uuid", "random", "context)", "$$)"];
    if changes.iter().any(|part| id.contains(part)) {
        return vec![];
    }
    vec![warning(
        path.key(name),
        "the id is the same at the next attempt: within five minutes the queue takes that message and drops it, and the \
         state waits for nobody",
        "let the id follow from the task token: `States.Hash($$.Task.Token, 'SHA-256')`",
    )]
}

/// Where the task token is named in what a state sends, and whether it would be sent as text.
fn tokens(state: &State<'_>) -> Vec<(Path, bool)> {
    let mut found = Vec::new();
    if let (true, Some((name, sent))) = (state.is("Task"), state.sent()) {
        look(sent, state.at(name), false, state.is_jsonata, &mut found);
    }
    found
}

fn look(value: &Value, path: Path, is_path: bool, is_jsonata: bool, found: &mut Vec<(Path, bool)>) {
    match value {
        Value::Object(fields) => {
            for (name, below) in fields {
                look(below, path.key(name), name.ends_with(".$"), is_jsonata, found);
            }
        }
        Value::Array(elements) => {
            for (n, below) in elements.iter().enumerate() {
                look(below, path.index(n), false, is_jsonata, found);
            }
        }
        Value::String(text) => {
            let is_evaluated = if is_jsonata { text.trim_start().starts_with("{%") } else { is_path };
            let root = if is_jsonata { "$states.context" } else { "$$" };
            if is_evaluated && has_token(text, root) {
                found.push((path, false));
            } else if ["$$.Task.Token", "$states.context.Task.Token"].iter().any(|token| text.contains(token)) {
                found.push((path, true));
            }
        }
        _ => {}
    }
}

/// Whether an expression takes the token out of the context object, or all that the token is in.
fn has_token(expression: &str, root: &str) -> bool {
    expression.split(root).skip(1).any(|rest| match rest.strip_prefix('.') {
        Some(rest) => {
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
            name == "Task" || name == "Task.Token"
        }
        // The whole of it, or a part that is named in brackets.
        None => true,
    })
}
