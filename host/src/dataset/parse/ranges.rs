//! Items that follow from a beginning, an end and a step: `numbers` and `dates`. They become items of the dataset file, unless
//! they are too large for that.

use std::time::Duration;

use serde_json::Value;
use time::{Date, Month};

use super::values::{MAX_ITEMS, duration};
use crate::dataset::range::{Of, Range};
use crate::dataset::read::keys;
use crate::dataset::tree::Node;
use crate::dataset::{ItemReader, MAX_INPUT_BYTES_PER_BATCH, Template};

/// The largest whole number that every JSON reader keeps exact.
const MAX_NUMBER: i64 = (1 << 53) - 1;
const SECONDS_OF_A_DAY: i64 = 24 * 60 * 60;

/// `{ from = 0, to = 99, step = 1 }`: both ends are items.
pub(super) fn numbers(node: &Node<'_>) -> Option<ItemReader> {
    keys!(let { from, to, step } = node);
    let (from, to) = (from.required(number), to.required(number));
    let step = step.or(1, |node| node.integer(1..MAX_NUMBER, "a step of at least 1"));
    let (from, to, step) = (from?, to?, step?);
    if from > to {
        return node.note("`from` is beyond `to`: there would be no items", None);
    }
    list(node, Range { of: Of::Numbers { from, step }, count: (to - from) / step + 1 })
}

/// `{ from = "2018-01-01", to = "2018-12-31", step = "1day" }`: dates where the step is whole days, written as the two ends
/// are, and otherwise points in time, in UTC, until the end of the last day.
pub(super) fn dates(node: &Node<'_>) -> Option<ItemReader> {
    keys!(let { from, to, step } = node);
    let (from, to) = (from.required(date), to.required(date));
    let day = Duration::from_secs(SECONDS_OF_A_DAY.unsigned_abs());
    let step = step.or(day, |node| {
        let step = duration(node, Duration::from_secs(1)..=day * 36_525)?;
        if step.subsec_nanos() == 0 { Some(step) } else { node.note("a step is whole seconds", None) }
    });
    let ((from, form), (to, form_of_end), step) = (from?, to?, i64::try_from(step?.as_secs()).ok()?);
    if form != form_of_end {
        return node.note("`from` and `to` are written in two ways", None);
    }
    if from > to {
        return node.note("`from` is later than `to`: there would be no items", None);
    }
    let seconds = i64::from(to.to_julian_day() - from.to_julian_day() + 1) * SECONDS_OF_A_DAY;
    let of = match step % SECONDS_OF_A_DAY {
        0 => Of::Days { from, days: step / SECONDS_OF_A_DAY, basic: form == Form::Basic },
        _ => Of::Instants { from, seconds: step },
    };
    list(node, Range { of, count: (seconds - 1) / step + 1 })
}

/// As items of the dataset file, which travel through a state's payload; or as what can only be listed and run here.
fn list(node: &Node<'_>, range: Range) -> Option<ItemReader> {
    let (count, most) = (range.count(), i64::from(MAX_INPUT_BYTES_PER_BATCH));
    if count > MAX_ITEMS {
        let message = format!("{count} items are more than Step Functions reads (100,000,000)");
        return node.note(message, Some("make the step larger, or run over parts of them"));
    }
    // Each takes two bytes at least, so that what is too much is never made.
    let items = (count <= most / 2).then(|| Value::Array(range.items().collect()));
    Some(match items.filter(|items| items.to_string().len() <= MAX_INPUT_BYTES_PER_BATCH as usize) {
        Some(items) => ItemReader::Items(Template(items)),
        None => ItemReader::Range(range),
    })
}

fn number(node: &Node<'_>) -> Option<i64> {
    node.integer(-MAX_NUMBER..MAX_NUMBER + 1, "a whole number of at most 53 bits")
}

/// How dates are written (ISO 8601).
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// `2018-01-31`
    Extended,
    /// `20180131`
    Basic,
}

/// A date, and how it is written.
fn date(node: &Node<'_>) -> Option<(Date, Form)> {
    day_of(node.text()?).or_else(|| node.wrong("a date such as \"2018-01-31\" or \"20180131\""))
}

fn day_of(text: &str) -> Option<(Date, Form)> {
    let (form, digits) = match text.split('-').collect::<Vec<_>>()[..] {
        [year, month, day] if (year.len(), month.len(), day.len()) == (4, 2, 2) => {
            (Form::Extended, format!("{year}{month}{day}"))
        }
        [digits] if digits.len() == 8 => (Form::Basic, digits.to_owned()),
        _ => return None,
    };
    let digits: u32 =
        if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok()? } else { return None };
    let month = Month::try_from(u8::try_from(digits / 100 % 100).ok()?).ok()?;
    let day = u8::try_from(digits % 100).ok()?;
    Some((Date::from_calendar_date(i32::try_from(digits / 10_000).ok()?, month, day).ok()?, form))
}
