//! The page: a status in HTML that needs nothing else. Pure. Whatever strangers wrote (names, keys, messages) goes through
//! [`Text`]; a policy of the content lets nothing run but the page's own script.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytesize::ByteSize;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::facts::{DatasetStatus, QueueStatus, Status};
use super::failures::{Failed, Failure};
use super::markup::{Text, list, row, table};
use super::running::{RunningStatus, Stage};
use super::words::{count, many, rate, time};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// How often a browser without JavaScript asks again, in seconds.
const REFRESH: u32 = 5;

/// What a browser may do with the page: take our own style and script, ask this worker, and nothing else.
pub fn content_security_policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let digest = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
        format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            digest(STYLE),
            digest(SCRIPT)
        )
    });
    &POLICY
}

/// The page. One that is not `live` stays as it is until somebody asks again.
pub fn page(status: &Status, live: bool) -> String {
    let process = &status.process;
    let state = serde_json::to_value(status.state).ok();
    let state = state.as_ref().and_then(|state| state.as_str()).unwrap_or_default();
    let (what, others) = match process.local_run {
        true => ("run", "It ends with the run."),
        false => ("worker", "Each other worker of the fleet has a page of its own."),
    };
    let (refresh, script, change) = match live {
        true => (
            format!("<noscript><meta http-equiv=\"refresh\" content=\"{REFRESH}\"></noscript>\n"),
            format!("<script>{SCRIPT}</script>\n"),
            "It keeps itself up to date. <a href=\"?pause\">Pause updates</a>",
        ),
        false => (String::new(), String::new(), "Updates are paused. <a href=\"/\">Resume updates</a>"),
    };
    let details: String = status.details.iter().map(|detail| format!("<li>{}</li>", Text(detail))).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\" data-state=\"{state}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>{headline} - gristmill on {host}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         {refresh}<link rel=\"icon\" href=\"data:,\">\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the details</a>\n\
         <header>\n<p class=\"soft\">gristmill {version}: this {what} alone, process {pid} on {host}. {others}</p>\n\
         <h1 id=\"headline\" data-live aria-live=\"polite\">{headline}</h1>\n\
         <ul id=\"details\" data-live>{details}</ul>\n\
         <p id=\"lost\" role=\"alert\" hidden>This {what} does not answer any more: it has ended, or cannot be reached. \
         What is below is old.</p>\n</header>\n\
         <main id=\"main\" tabindex=\"-1\">\n{facts}{batches}{failures}{datasets}{queues}{totals}</main>\n\
         <footer class=\"soft\">\n<p id=\"at\" data-live>As of {at}, up for {up} (since {started}).</p>\n\
         <p>{change} · <a href=\"/status\">As JSON</a> · <a href=\"/metrics\">Metrics</a></p>\n</footer>\n\
         {script}</body>\n</html>\n",
        headline = Text(&status.headline),
        host = Text(&process.host),
        version = Text(process.version),
        pid = process.pid,
        facts = facts(status),
        batches = batches(&status.batches),
        failures = failures(&status.failures),
        datasets = datasets(status),
        queues = queues(&status.queues),
        totals = totals(status),
        at = when(status.at),
        up = time(process.up_seconds),
        started = when(process.started),
    )
}

/// A moment, without what is smaller than a second.
fn when(at: OffsetDateTime) -> String {
    let whole = at.replace_nanosecond(0).unwrap_or(at);
    whole.format(&Rfc3339).unwrap_or_default().replace('T', " ").replace('Z', " UTC")
}

/// The numbers that are looked at first.
fn facts(status: &Status) -> String {
    let gauges = &status.gauges;
    let bytes = |bytes: i64| ByteSize(u64::try_from(bytes).unwrap_or_default()).display().iec().to_string();
    let memory = match gauges.memory_bytes {
        0 => bytes(gauges.memory_busy_bytes),
        all => format!("{} of {}", bytes(gauges.memory_busy_bytes), bytes(all)),
    };
    let pressure = match status.pressure.pause_seconds {
        0.0 => "none".into(),
        pause => format!("{} pause", time(pause)),
    };
    let registry = status.registry.map(|registry| {
        let answers = if registry.answers { "answers" } else { "does not answer" };
        ("Registry", format!("{answers}, head {}", registry.head))
    });
    let numbers = [
        ("Batches under way", count(status.batches.len() as u64)),
        ("Items per second", rate(status.throughput.items_per_second)),
        ("Batches per second", rate(status.throughput.batches_per_second)),
        ("Slots busy", format!("{} of {}", gauges.slots_busy, gauges.slots)),
        ("Memory set aside", memory),
        ("Pressure", pressure),
    ];
    let entries = list("facts", numbers.into_iter().chain(registry));
    format!("<section aria-label=\"Numbers\">\n{entries}</section>\n")
}

fn batches(batches: &[RunningStatus]) -> String {
    let shown = |batch: &RunningStatus| {
        let bad = if batch.stuck { "number bad" } else { "number" };
        let stage = match batch.stage {
            Stage::Claiming => "claiming",
            Stage::Items => "running items",
            Stage::Writing => "writing",
            Stage::Answering => "answering",
        };
        let lease = match batch.lease_left_seconds {
            None => "no claim yet".into(),
            Some(left) if left <= 0.0 => "over".into(),
            Some(left) => time(left),
        };
        let attempt = match batch.receives {
            1 => batch.attempt.to_string(),
            receives => format!("{}, delivery {receives}", batch.attempt),
        };
        row(
            &batch.batch,
            &[
                ("", batch.dataset.clone()),
                ("", batch.version.clone()),
                ("number", attempt),
                ("number", time(batch.age_seconds)),
                ("number", format!("{} of {}", count(batch.items_done), count(batch.items))),
                ("", stage.into()),
                (bad, time(batch.quiet_seconds)),
                (bad, lease),
            ],
        )
    };
    let rows: Vec<String> = batches.iter().map(shown).collect();
    let columns = ["Batch", "Dataset", "Version", "Attempt", "Age", "Items done", "Now", "Quiet for", "Lease left"];
    table("batches", "Batches under way", &columns, &rows, "No batch is under way.")
}

fn failures(failures: &[Failure]) -> String {
    let shown = |failure: &Failure| {
        let (at, example) = match &failure.latest {
            Some(latest) => {
                let item = latest.item.as_ref().map(|item| format!(", item {item}")).unwrap_or_default();
                (when(latest.at), format!("batch {}{item}: {}", latest.batch, latest.message))
            }
            None => (String::new(), "no example".into()),
        };
        let number = match failure.failed {
            Failed::Items => many(failure.count, "item", "items"),
            Failed::Batches => many(failure.count, "delivery", "deliveries"),
        };
        let cells = [("", failure.dataset.clone()), ("number", number), ("number", at), ("", example)];
        row(&failure.code, &cells)
    };
    let rows: Vec<String> = failures.iter().map(shown).collect();
    let columns = ["Code", "Dataset", "How many", "Latest", "Example"];
    table("failures", "Failures since the start", &columns, &rows, "Nothing failed.")
}

fn datasets(status: &Status) -> String {
    let shown = |dataset: &DatasetStatus| {
        let in_use = match (&dataset.version, &dataset.broken) {
            (Some(version), _) => version.clone(),
            (None, Some(why)) => format!("none: {why}"),
            (None, None) => "none".into(),
        };
        let trial = dataset.trial.as_ref().map(|trial| format!("{} as {}, {}", trial.version, trial.kind, trial.share));
        let refusals = dataset.refused.iter().map(|refusal| format!("{}: {}", refusal.version, refusal.reason));
        let outputs = dataset.outputs_refused.iter().map(|why| format!("an output: {why}"));
        let refused: Vec<String> = refusals.chain(outputs).collect();
        let short = dataset.digest.as_ref().map(|digest| digest.chars().take(19).collect::<String>());
        row(
            &dataset.dataset,
            &[
                (if dataset.version.is_none() { "bad" } else { "" }, in_use),
                ("", short.unwrap_or_default()),
                ("", trial.unwrap_or_else(|| "none".into())),
                (
                    if refused.is_empty() { "" } else { "bad" },
                    if refused.is_empty() { "nothing".into() } else { refused.join(" · ") },
                ),
            ],
        )
    };
    let rows: Vec<String> = status.datasets.iter().map(shown).collect();
    let columns = ["Dataset", "Version in use", "Digest", "On trial", "Refused, and why"];
    table("datasets", "Datasets and versions", &columns, &rows, "No dataset is known yet.")
}

fn queues(queues: &[QueueStatus]) -> String {
    let shown = |queue: &QueueStatus| {
        let backlog = queue.backlog_seconds.map_or_else(|| "not known yet".into(), time);
        let cells = [queue.visible, queue.in_flight, queue.delayed].map(|messages| ("number", count(messages)));
        row(&queue.queue, &[cells.as_slice(), &[("number", backlog)]].concat())
    };
    let rows: Vec<String> = queues.iter().map(shown).collect();
    let columns = ["Queue", "Waiting", "Somebody has", "Delayed", "Backlog of this worker alone"];
    table("queues", "Queues", &columns, &rows, "How deep the queue is is not known.")
}

fn totals(status: &Status) -> String {
    let totals = &status.totals;
    let numbers = [
        ("Batches answered", count(totals.batches_acked)),
        ("Batches returned", count(totals.batches_returned)),
        ("Batches parked", count(totals.batches_parked)),
        ("Items succeeded", count(totals.items_succeeded)),
        ("Items rejected", count(totals.items_rejected)),
        ("Rows written", count(totals.rows)),
        ("Bytes read", ByteSize(totals.bytes_read).display().iec().to_string()),
    ];
    let entries = list("totals", numbers);
    format!(
        "<section aria-labelledby=\"totals-heading\">\n<h2 id=\"totals-heading\">Since the start</h2>\n{entries}</section>\n"
    )
}
