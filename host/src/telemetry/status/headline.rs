//! How a worker is, in words: what somebody reads first who was woken up. Pure.

use super::facts::{State, Status};
use super::running::RunningStatus;
use super::words::{many, time};

/// How the worker is, by everything else that is known of it. If several things are true, the first one that somebody would want
/// to know counts, and the others are among the sentences.
pub(super) fn of(status: &Status) -> (State, String, Vec<String>) {
    let under_way = status.batches.len() as u64;
    let mut details = Vec::new();
    let drained = status.drain.map(|drain| {
        details.push(match under_way {
            0 => "It was told to stop, takes no new batches, and has none under way.".to_owned(),
            _ => format!(
                "It was told to stop and takes no new batches. {} under way may go on for {}; what is not done by then goes back to \
                 the queue.",
                many(under_way, "batch", "batches"),
                time(drain.left_seconds)
            ),
        });
        State::Draining
    });
    let not_ready = status.not_ready.as_ref().filter(|_| drained.is_none()).map(|why| {
        details.push(format!("It takes no messages: {why}."));
        State::NotReady
    });
    let (lapsed, quiet): (Vec<&RunningStatus>, Vec<_>) = status
        .batches
        .iter()
        .filter(|batch| batch.stuck)
        .partition(|batch| batch.lease_left_seconds.is_some_and(|left| left <= 0.0));
    if let Some(longest) = quiet.iter().map(|batch| batch.quiet_seconds).max_by(f64::total_cmp) {
        details.push(format!(
            "{} of {under_way} under way {} no progress; the longest has been quiet for {}.",
            many(quiet.len() as u64, "batch", "batches"),
            if quiet.len() == 1 { "makes" } else { "make" },
            time(longest)
        ));
    }
    if !lapsed.is_empty() {
        details.push(format!(
            "{} over by this worker's clock: the ledger does not answer, and another worker may take the batch.",
            many(lapsed.len() as u64, "lease is", "leases are")
        ));
    }
    let is_stuck = (!quiet.is_empty() || !lapsed.is_empty()).then_some(State::Stuck);
    let held = (status.pressure.pause_seconds > 0.0).then(|| {
        let why = status.pressure.reason.as_ref().map(|why| format!(" The latest reason: {why}")).unwrap_or_default();
        details.push(format!(
            "A service does not keep up: batches are taken one at a time, after a pause of {}.{why}",
            time(status.pressure.pause_seconds)
        ));
        State::HoldingBack
    });
    let broken = status.datasets.iter().filter(|dataset| dataset.broken.is_some()).count() as u64;
    if broken > 0 {
        details.push(format!("{} cannot be worked on; see below.", many(broken, "dataset", "datasets")));
    }
    let refused: usize = status.datasets.iter().map(|dataset| dataset.refused.len()).sum();
    if refused > 0 {
        details.push(format!("{} refused; see below.", many(refused as u64, "version is", "versions are")));
    }
    if status.registry.is_some_and(|registry| !registry.answers) {
        details.push("The registry does not answer: versions in use stay in use.".into());
    }
    let busy = if under_way > 0 || status.gauges.in_flight > 0 { State::Working } else { State::Idle };
    let state = drained.or(not_ready).or(is_stuck).or(held).unwrap_or(busy);
    let word = match state {
        State::Draining => "Draining",
        State::NotReady => "Not ready",
        State::Stuck => "Stuck",
        State::HoldingBack => "Holding back",
        State::Working => "Working",
        State::Idle => "Idle",
    };
    (state, format!("{word}, {}", backlog(status)), details)
}

/// How much waits, for this worker alone.
fn backlog(status: &Status) -> String {
    let messages: u64 = status.queues.iter().map(|queue| queue.visible + queue.in_flight + queue.delayed).sum();
    let known: Vec<f64> = status.queues.iter().filter_map(|queue| queue.backlog_seconds).collect();
    match (status.queues.len(), messages) {
        (0, _) if status.process.local_run => many(status.batches.len() as u64, "batch under way", "batches under way"),
        (0, _) => "backlog unknown".into(),
        (_, 0) => "no backlog".into(),
        (queues, _) if known.len() == queues => format!("{} of backlog", time(known.iter().sum())),
        _ => format!("backlog of {}", many(messages, "message", "messages")),
    }
}
