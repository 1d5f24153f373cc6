//! What a command prints. Nothing that a stranger wrote steers the terminal.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

use anyhow::Context as _;
use serde::Serialize;

use crate::dataset::Findings;
use crate::text;

/// Writes to stdout what was asked for, for people: nothing in it steers their terminal.
pub(super) fn print(text: impl Display) -> anyhow::Result<()> {
    write(&text::lines(&text.to_string()))
}

/// Writes to stdout what was asked for, as JSON.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    write(&text::json(&(serde_json::to_string_pretty(value)? + "\n")))
}

/// Whoever closes the pipe (`| head`) has seen enough.
fn write(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("stdout"),
        _ => Ok(()),
    }
}

/// Says on stderr why a command could not do what it was asked for.
pub fn report_error(error: &anyhow::Error) {
    let said = format!("{error:#}");
    // Findings indent by themselves what is not ours in them.
    let said = if error.is::<Findings>() { text::lines(&said).into_owned() } else { text::block(&said, "  ") };
    eprintln!("error: {said}");
}

/// Says on stderr what the user should know beside what was asked for.
pub(super) fn warn(about: &str) {
    eprintln!("warning: {}", text::block(about, "  "));
}
