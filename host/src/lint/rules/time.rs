//! How long a state waits for its answer.

use std::time::Duration;

use super::found::{Found, error, warning};
use crate::lint::machine::{Given, State};

/// The longest that SQS keeps a message (`MessageRetentionPeriod`), in seconds.
const RETENTION: f64 = 1_209_600.0;

pub(super) fn no_timeout(state: &State<'_>) -> Vec<Found> {
    let (heartbeat, timeout) = (state.number("HeartbeatSeconds"), state.number("TimeoutSeconds"));
    match (heartbeat, timeout) {
        (_, Given::Number(_) | Given::Later) => vec![],
        (Given::Nothing, Given::Nothing) => vec![error(
            state.path.clone(),
            "neither `TimeoutSeconds` nor `HeartbeatSeconds`: if the message or its worker is lost, the state waits until \
             the execution ends, up to a year",
            "set both",
        )],
        _ => vec![warning(
            state.path.clone(),
            "no `TimeoutSeconds`: a worker that hangs and still sends heartbeats holds the state for up to a year",
            "set it to the longest that a batch may take, its wait in the queue included",
        )],
    }
}

pub(super) fn no_heartbeat(state: &State<'_>) -> Vec<Found> {
    match (state.number("HeartbeatSeconds"), state.number("TimeoutSeconds")) {
        (Given::Nothing, Given::Number(timeout)) => vec![warning(
            state.path.clone(),
            format!(
                "no `HeartbeatSeconds`: heartbeats count for nothing, and a message that is lost is missed only after \
                 `TimeoutSeconds` ({timeout} s)"
            ),
            "set it to more than the longest wait in the queue, and let workers send heartbeats more often",
        )],
        (Given::Nothing, Given::Later) => vec![warning(
            state.path.clone(),
            "no `HeartbeatSeconds`: heartbeats count for nothing, and a message that is lost is missed only after the time-out",
            "set it to more than the longest wait in the queue, and let workers send heartbeats more often",
        )],
        // That there is no time-out either says more.
        _ => vec![],
    }
}

/// The clock runs from the send, not from when a worker takes the message.
pub(super) fn short_heartbeat(state: &State<'_>, wait: Duration) -> Vec<Found> {
    let Some(heartbeat) = state.number("HeartbeatSeconds").number() else { return vec![] };
    let delay = state.sent().and_then(|(_, sent)| sent["DelaySeconds"].as_f64()).unwrap_or_default();
    let wait = wait.as_secs_f64() + delay;
    if heartbeat >= wait {
        return vec![];
    }
    vec![warning(
        state.at("HeartbeatSeconds"),
        format!(
            "{heartbeat} s is less than the {wait} s that a message may wait for a worker: the clock runs from the send, so \
             what waits longer fails with States.HeartbeatTimeout while its message is still in the queue"
        ),
        "make it longer than any wait in the queue (`--wait` says how long that is); the queue itself makes good a worker \
         that dies",
    )]
}

pub(super) fn void_heartbeat(state: &State<'_>) -> Vec<Found> {
    match (state.number("HeartbeatSeconds"), state.number("TimeoutSeconds")) {
        (Given::Number(heartbeat), Given::Number(timeout)) if heartbeat >= timeout => vec![error(
            state.at("HeartbeatSeconds"),
            format!("{heartbeat} s is not less than `TimeoutSeconds` ({timeout} s): such a machine is refused"),
            "make it smaller than `TimeoutSeconds`",
        )],
        _ => vec![],
    }
}

pub(super) fn outlives_queue(state: &State<'_>) -> Vec<Found> {
    let heartbeat = ("HeartbeatSeconds", state.number("HeartbeatSeconds"));
    let (name, first) =
        if heartbeat.1 == Given::Nothing { ("TimeoutSeconds", state.number("TimeoutSeconds")) } else { heartbeat };
    match first {
        Given::Number(seconds) if seconds > RETENTION => vec![warning(
            state.at(name),
            format!(
                "{seconds} s is longer than SQS keeps a message ({RETENTION} s at most, 345600 s unless the queue says \
                 otherwise): the state still waits when its message is gone"
            ),
            "make it shorter than the queue's `MessageRetentionPeriod`",
        )],
        _ => vec![],
    }
}
