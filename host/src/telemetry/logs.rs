//! Logs: one line per batch and per thing that goes wrong, on stderr, as text for people or JSON for machines.
//!
//! A line of text stays one line whatever is in it. Plugins, keys and services choose much of it, and none of them may
//! forge a line of the host's.

use std::fmt;
use std::io::IsTerminal as _;
use std::sync::Arc;

use clap::ValueEnum;
use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Format, Writer, debug_fn};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter, layer};
use tracing_subscriber::layer::{Filter, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::guests::{GUEST, GuestLines};
use super::stderr::BesideBar;
use crate::text::line;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The log targets of the host and of its guests.
const OURS: [&str; 2] = ["gristmill", GUEST];

/// Sends log lines to stderr. `filter` is a level, or levels by target: `info,guest=debug`.
pub fn init(format: LogFormat, filter: &str, guests: Arc<GuestLines>) -> Result<(), String> {
    let asked = filter.parse::<Targets>().map_err(|error| format!("`--log {filter}`: {error}"))?;
    let ansi = std::io::stderr().is_terminal();
    let guests: Arc<dyn Filter<_> + Send + Sync> = guests;
    let lines = lines(format, ansi, || BesideBar).with_filter(guests);
    let registry = tracing_subscriber::registry().with(targets(&asked)).with(lines);
    registry.try_init().map_err(|error| error.to_string())?;
    let libraries: Vec<String> = verbose(&asked).map(|(target, level)| format!("{target}={level}")).collect();
    if !libraries.is_empty() {
        tracing::warn!(
            "`--log {}`: these libraries log the bodies of requests, with task tokens and data: keep this log to yourself",
            libraries.join(",")
        );
    }
    Ok(())
}

/// Applies a level without a target to the host and its guests alone. Libraries dump whole requests, with task tokens
/// in them, so they log no more than warnings, unless the filter names them.
fn targets(asked: &Targets) -> Targets {
    let level = asked.default_level().unwrap_or(LevelFilter::OFF);
    let ours = OURS.map(|target| (target, level));
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_targets(ours).with_targets(asked.iter())
}

/// The libraries that the filter names with a level at which they may log bodies.
fn verbose(asked: &Targets) -> impl Iterator<Item = (&str, LevelFilter)> {
    let ours = |target: &str| OURS.iter().any(|ours| target.starts_with(ours));
    asked.iter().filter(move |(target, level)| *level > LevelFilter::INFO && !ours(target))
}

/// Log lines as text or JSON.
fn lines<S, W>(format: LogFormat, ansi: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    match format {
        LogFormat::Text => {
            let fields = debug_fn(write_field).delimited(" ");
            layer().with_ansi(ansi).event_format(Text::default()).fmt_fields(fields).with_writer(writer).boxed()
        }
        LogFormat::Json => layer().json().flatten_event(true).with_writer(writer).boxed(),
    }
}

/// Writes a field on one line: `name=value`. The message goes without its name.
fn write_field(out: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = format!("{value:?}");
    match field.name() {
        "message" => write!(out, "{}", line(&value)),
        // Fields that come with every line of a crate that uses `log`, not `tracing`.
        name if name.starts_with("log.") => Ok(()),
        name if out.has_ansi_escapes() => write!(out, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{}", line(&value)),
        name => write!(out, "{name}={}", line(&value)),
    }
}

/// Writes time, level, message and fields. A guest's message comes after its target, so that nobody takes it for the
/// host's.
struct Text {
    ours: Format,
    guests: Format,
}

impl Default for Text {
    fn default() -> Self {
        Self { ours: Format::default().with_target(false), guests: Format::default().with_target(true) }
    }
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let format = if event.metadata().target() == GUEST { &self.guests } else { &self.ours };
        format.format_event(context, out, event)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Mutex, PoisonError};

    use proptest::prelude::*;
    use tracing::Level;

    use super::*;
    use crate::text::hostile::{self, assert_tame};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of what `log` logs.
    fn written(format: LogFormat, ansi: bool, log: impl Fn()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::registry().with(lines(format, ansi, move || writer.clone()));
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
    }

    /// A guest's message, and what services and keys put into fields.
    fn log(text: &str) {
        tracing::info!(target: "guest", batch = text, key = Some(text), "{text}");
        tracing::warn!(error = %text, reason = text, cause = ?text, "the store said: {text}");
    }

    proptest! {
        #[test]
        fn a_line_of_text_is_one_line_whatever_it_says(text in hostile::text()) {
            let forged = format!("{text}\n2026-01-01T00:00:00Z  INFO batch fate=\"acked\"");
            let plain = written(LogFormat::Text, false, || log(&forged));
            assert_tame(&plain);
            prop_assert_eq!(plain.lines().count(), 2, "{}", plain);
            // Nothing but our own styles on a terminal.
            let styled = written(LogFormat::Text, true, || log(&forged));
            let ours = ["\x1b[0m", "\x1b[2m", "\x1b[3m", "\x1b[32m", "\x1b[33m"];
            assert_tame(&ours.iter().fold(styled.clone(), |text, style| text.replace(style, "")));
            prop_assert_eq!(styled.lines().count(), 2, "{}", styled);
        }

        #[test]
        fn a_line_of_json_is_one_line_that_says_the_same(text in hostile::text()) {
            let written = written(LogFormat::Json, false, || log(&text));
            prop_assert_eq!(written.lines().count(), 2, "{}", written);
            let guest: serde_json::Value = serde_json::from_str(written.lines().next().unwrap()).unwrap();
            prop_assert_eq!(guest["message"].as_str(), Some(text.as_str()));
            prop_assert_eq!(guest["key"].as_str(), Some(text.as_str()));
        }
    }

    #[test]
    fn a_guests_words_are_not_the_hosts() {
        let text = written(LogFormat::Text, false, || {
            tracing::info!(target: "guest", item = 3, "batch fate=\"acked\"");
            tracing::info!(fate = "acked", reason = None::<&str>, "batch");
        });
        let lines: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().1.trim()).collect();
        assert_eq!(lines, ["INFO guest: batch fate=\"acked\" item=3", "INFO batch fate=\"acked\""]);
    }

    fn filter(asked: &str) -> impl Fn(&str, Level) -> bool {
        let targets = targets(&asked.parse::<Targets>().unwrap());
        move |target, level| targets.would_enable(target, &level)
    }

    #[test]
    fn libraries_say_warnings_unless_they_are_asked_by_name() {
        const LIBRARIES: [&str; 7] =
            ["aws_sdk_sqs", "aws_smithy_runtime::client", "hyper::proto", "h2", "rustls", "reqwest", "oci_client"];
        for level in ["info", "debug", "trace", "trace,guest=off", "gristmill=trace", "warn,guest=info"] {
            let enabled = filter(level);
            for library in LIBRARIES {
                assert!(!enabled(library, Level::INFO), "{library} at {level}");
            }
        }
        let enabled = filter("trace");
        assert!(enabled("gristmill::batch", Level::TRACE) && enabled("guest", Level::TRACE));
        assert!(enabled("aws_sdk_sqs", Level::WARN));
        assert!(!filter("error")("aws_sdk_sqs", Level::WARN) && !filter("off")("gristmill", Level::ERROR));
        for asked in ["trace,aws_sdk_sqs=debug", "info,aws=trace", "aws_sdk_sqs::operation=debug"] {
            assert!(filter(asked)("aws_sdk_sqs::operation", Level::DEBUG), "{asked}");
            assert!(!filter(asked)("aws_sdk_sfn", Level::DEBUG) || asked.contains("aws="), "{asked}");
        }
    }

    #[test]
    fn whoever_asks_for_bodies_is_warned() {
        let warned = |asked: &str| {
            verbose(&asked.parse::<Targets>().unwrap()).map(|(target, _)| target.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(warned("trace,guest=trace,gristmill::queue=trace,hyper=info"), [""; 0]);
        assert_eq!(warned("info,aws_smithy_runtime=trace,hyper=debug").len(), 2);
    }
}
