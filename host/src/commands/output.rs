//! What a command prints. Nothing that a stranger wrote steers the terminal.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

use anyhow::Context as _;
use serde::Serialize;

use crate::dataset::Findings;
use crate::text;

/// Prints text for people to stdout. Nothing in it steers their terminal.
pub(super) fn print(text: impl Display) -> anyhow::Result<()> {
    write(&text::lines(&text.to_string())).map(|_| ())
}

/// Prints JSON to stdout.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    write(&text::json(&(serde_json::to_string_pretty(value)? + "\n"))).map(|_| ())
}

/// Prints JSON lines to stdout. False when nobody reads them any more.
pub(super) fn print_json_lines(lines: &str) -> anyhow::Result<bool> {
    write(&text::json(lines))
}

/// Writes to stdout. A pipe that was closed (`| head`) is no error, but false.
fn write(text: &str) -> anyhow::Result<bool> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("stdout"),
        Ok(()) => Ok(true),
    }
}

/// Prints to stderr why a command failed.
pub fn report_error(error: &anyhow::Error) {
    let said = format!("{error:#}");
    // Findings have already indented what strangers wrote in them.
    let said = if error.is::<Findings>() { text::lines(&said).into_owned() } else { text::block(&said, "  ") };
    eprintln!("error: {said}");
}

/// Prints a warning to stderr.
pub(super) fn warn(about: &str) {
    eprintln!("warning: {}", text::block(about, "  "));
}
