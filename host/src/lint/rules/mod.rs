//! The rules, one small function each.

mod found;
mod map;
mod message;
mod retry;
mod time;

use std::time::Duration;

use self::found::Found;
use super::finding::Finding;
use super::machine::State;

/// Which states a rule is about.
#[derive(Clone, Copy)]
enum About {
    /// Those that wait for a task token.
    Callbacks,
    /// Those that wait for one and send it through SQS.
    Queued,
    /// Map states with such states within.
    Maps,
    /// The same, of Distributed Maps alone.
    DistributedMaps,
    Any,
}
use About::{Any, Callbacks, DistributedMaps, Maps, Queued};

type Rule = fn(&State<'_>, Duration) -> Vec<Found>;

const RULES: &[(&str, About, Rule)] = &[
    ("express-callback", Callbacks, |state, _| message::in_express_child(state)),
    ("no-token", Callbacks, |state, _| message::without_token(state)),
    ("token-as-text", Any, |state, _| message::token_as_text(state)),
    ("token-without-wait", Any, |state, _| message::token_without_wait(state)),
    ("token-outside-body", Queued, |state, _| message::token_outside_body(state)),
    ("large-payload", Any, |state, _| message::large_payload(state)),
    ("fifo-group", Queued, |state, _| message::fifo_group(state)),
    ("fifo-deduplication", Queued, |state, _| message::fifo_deduplication(state)),
    ("no-timeout", Callbacks, |state, _| time::no_timeout(state)),
    ("no-heartbeat", Callbacks, |state, _| time::no_heartbeat(state)),
    ("short-heartbeat", Queued, time::short_heartbeat),
    ("void-heartbeat", Callbacks, |state, _| time::void_heartbeat(state)),
    ("outlives-queue", Queued, |state, _| time::outlives_queue(state)),
    ("no-retry", Callbacks, |state, _| retry::no_retry(state)),
    ("unknown-error", Queued, |state, _| retry::unknown_errors(state)),
    ("futile-retry", Queued, |state, _| retry::futile(state)),
    ("retries-everything", Callbacks, |state, _| retry::everything(state)),
    ("batch-too-large", DistributedMaps, |state, _| map::batch_too_large(state)),
    ("batch-without-room", Queued, |state, _| map::batch_without_room(state)),
    ("no-batches", DistributedMaps, |state, _| map::no_batches(state)),
    ("tolerates-everything", Maps, |state, _| map::tolerates_everything(state)),
    ("collects-results", DistributedMaps, |state, _| map::collects_results(state)),
    ("inline-map", Maps, |state, _| map::inline(state)),
    ("no-concurrency", DistributedMaps, |state, _| map::no_concurrency(state)),
];

/// All that the rules find in one state. Its line is not known here.
pub(super) fn apply(state: &State<'_>, wait: Duration) -> Vec<Finding> {
    let holds_callbacks = state.is("Map") && state.holds_callbacks();
    let mut findings = Vec::new();
    for (rule, about, apply) in RULES {
        let is_meant = match about {
            Callbacks => state.waits(),
            Queued => state.waits() && state.sends(),
            Maps => holds_callbacks,
            DistributedMaps => holds_callbacks && state.is_distributed(),
            Any => true,
        };
        let found = if is_meant { apply(state, wait) } else { Vec::new() };
        findings.extend(found.into_iter().map(|found| {
            let Found { severity, path, message, help } = found;
            Finding { severity, rule, path, line: 0, message, help }
        }));
    }
    findings
}

#[cfg(test)]
pub(super) fn names() -> Vec<&'static str> {
    RULES.iter().map(|(name, ..)| *name).collect()
}
