//! Logs: one line per batch and per thing that goes wrong, on stderr, as text for people or JSON for machines.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::{MakeWriter, layer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Sends log lines to stderr, through a writer that keeps them apart from what else is shown there. `filter` is in the
/// syntax of `tracing_subscriber`'s `EnvFilter`, such as `info,guest=debug`.
pub fn init<W>(format: LogFormat, filter: &str, stderr: W) -> Result<(), String>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("`--log {filter}`: {error}"))?;
    let registry = tracing_subscriber::registry().with(filter);
    let done = match format {
        LogFormat::Text => registry
            .with(layer().with_ansi(std::io::stderr().is_terminal()).with_writer(stderr).with_target(false))
            .try_init(),
        LogFormat::Json => registry.with(layer().json().flatten_event(true).with_writer(stderr)).try_init(),
    };
    done.map_err(|error| error.to_string())
}
