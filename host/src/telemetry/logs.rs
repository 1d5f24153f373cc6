//! Logs: one line per batch and per thing that goes wrong, on stderr, as text for people or JSON for machines.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::stderr::BesideBar;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Sends log lines to stderr. `filter` is in the syntax of `tracing_subscriber`'s `EnvFilter`, such as `info,guest=debug`.
pub fn init(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("`--log {filter}`: {error}"))?;
    let registry = tracing_subscriber::registry().with(filter);
    let (text, json) = match format {
        LogFormat::Text => (Some(layer().with_ansi(std::io::stderr().is_terminal()).with_target(false)), None),
        LogFormat::Json => (None, Some(layer().json().flatten_event(true))),
    };
    let text = text.map(|layer| layer.with_writer(|| BesideBar));
    let json = json.map(|layer| layer.with_writer(|| BesideBar));
    registry.with(text).with(json).try_init().map_err(|error| error.to_string())
}
