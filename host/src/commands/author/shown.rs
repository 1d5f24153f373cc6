//! What authors are shown: items with their rows, time and memory, and what is wrong.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use serde_json::Value;

use crate::author::{Checked, Outcome};
use crate::map::preview::table;
use crate::sink::{OutputSchema, RowTexts};
use crate::text::line;

/// How many rows of an output are shown.
const MAX_ROWS: usize = 10;

/// The widest name of an item, in characters.
const MAX_NAME: usize = 48;

/// A line per item: its rows, time and memory. With the run before, what they were.
pub(super) fn items(outcomes: &[Outcome], before: &[Outcome]) -> String {
    let names: Vec<String> = outcomes.iter().map(|outcome| short(&outcome.name)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for (outcome, name) in outcomes.iter().zip(names) {
        let was = before.iter().find(|other| other.item.body == outcome.item.body);
        let pad = width - name.chars().count();
        let rows = change(was.map(|was| rows(was).to_string()), rows(outcome).to_string());
        let memory = |outcome: &Outcome| ByteSize(outcome.ran.memory).display().iec().to_string();
        let memory = change(was.map(memory), memory(outcome));
        // Time is never the same: it is always shown beside what it was.
        let time = was.map(|was| format!("{} → ", time(was.ran.took))).unwrap_or_default() + &time(outcome.ran.took);
        let verdict = if outcome.ran.result.is_ok() { "" } else { "  FAILED" };
        let _ = writeln!(text, "  {name}{}  rows {rows}  time {time}  memory {memory}{verdict}", " ".repeat(pad));
    }
    text
}

/// The first rows of each output, as tables.
pub(super) fn preview(outputs: &[Arc<OutputSchema>], outcomes: &[Outcome]) -> anyhow::Result<String> {
    let mut text = String::new();
    for (number, output) in outputs.iter().enumerate() {
        let blocks = outcomes.iter().flat_map(|outcome| &outcome.ran.rows).filter(|(to, _)| *to == number);
        let rows = RowTexts::of(output, blocks.map(|(_, rows)| rows))?;
        if rows.rows() == 0 {
            continue;
        }
        // As people read them: a text without its quotes, and nothing for null.
        let plain = |value: String| match serde_json::from_str(&value) {
            Ok(Value::String(text)) => text,
            Ok(Value::Null) => String::new(),
            _ => value,
        };
        let row = |row| (0..output.columns.len()).map(|column| plain(rows.value(row, column))).collect::<Vec<_>>();
        let shown: Vec<_> = (0..rows.rows().min(MAX_ROWS)).map(row).collect();
        let names: Vec<_> = output.columns.iter().map(|column| column.name.clone()).collect();
        let more = rows.rows().saturating_sub(MAX_ROWS);
        let more = if more == 0 { String::new() } else { format!("... and {more} more\n") };
        let _ = write!(text, "{}\n{}\n{more}", line(&output.name), table(&names, &shown));
    }
    Ok(text)
}

/// Everything that is wrong, each with what to do.
pub(super) fn flaws(checked: &[Checked]) -> String {
    let mut text = String::new();
    for checked in checked {
        if let Some(flaw) = &checked.flaw {
            let message: Vec<_> = flaw.message.lines().map(line).collect();
            let _ = writeln!(text, "WRONG {}: {}: {}", checked.check, line(&checked.subject), message.join("\n      "));
            let _ = writeln!(text, "      help: {}", line(&flaw.help));
        }
    }
    text
}

/// How many rows an item emitted.
pub(super) fn rows(outcome: &Outcome) -> usize {
    outcome.ran.rows.iter().map(|(_, rows)| rows.num_rows()).sum()
}

/// How many of something.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn short(name: &str) -> String {
    match name.char_indices().nth(MAX_NAME) {
        Some((end, _)) => format!("{}…", line(&name[..end])),
        None => line(name).into_owned(),
    }
}

fn change(was: Option<String>, is: String) -> String {
    match was {
        Some(was) if was != is => format!("{was} → {is}"),
        _ => is,
    }
}

fn time(took: Duration) -> String {
    match took.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.1} s"),
        seconds => format!("{:.1} ms", seconds * 1e3),
    }
}
