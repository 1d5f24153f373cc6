//! Values of one kind, wherever they stand.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::str::FromStr as _;
use std::time::Duration;

use bytesize::ByteSize;
use serde_json::Value;

use crate::dataset::names::{NAME_RULE, is_name};
use crate::dataset::tree::{Kind, Node};
use crate::object::Location;

pub(super) const KIB: u64 = 1024;
pub(super) const MIB: u64 = 1024 * KIB;
pub(super) const GIB: u64 = 1024 * MIB;

/// `MaxItems` is at most this ("ReaderConfig" in the Step Functions developer guide).
pub(super) const MAX_ITEMS: i64 = 100_000_000;

pub(super) fn name(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    if is_name(text) {
        return Some(text.into());
    }
    node.note(format!("`{text}` is not a name"), Some(NAME_RULE))
}

pub(super) fn object(node: &Node<'_>) -> Option<Value> {
    match node.kind {
        Kind::Table(_) => node.json(),
        _ => node.wrong("a table"),
    }
}

/// A place that is the same for every run.
pub(super) fn location(node: &Node<'_>) -> Option<Location> {
    let text = node.text()?;
    if text.contains("{$") {
        let help = "placeholders can stand in the `prefix` of an output, `reports`, `result_writer`, readers and what items are made of";
        return node.note(format!("`{text}`: this is the same for every run, and no template"), Some(help));
    }
    text.parse().map_err(|error: crate::object::ObjectError| node.note::<()>(error.to_string(), None)).ok()
}

/// A list without repetitions.
pub(super) fn distinct(
    node: &Node<'_>,
    read: impl Fn(&Node<'_>) -> Option<String>,
    count: RangeInclusive<usize>,
) -> Option<Vec<String>> {
    let list = node.list(read)?;
    if !count.contains(&list.len()) {
        let most = if *count.end() == usize::MAX { String::new() } else { format!(" and at most {}", count.end()) };
        return node.note(format!("expected at least {}{most} names, found {}", count.start(), list.len()), None);
    }
    let mut seen = BTreeSet::new();
    match list.iter().find(|name| name.is_empty() || !seen.insert(*name)) {
        None => Some(list),
        Some(name) if name.is_empty() => node.note("a name is empty", None),
        Some(name) => node.note(format!("`{name}` is there twice"), None),
    }
}

/// A number of bytes: `"64 MiB"`, or a plain number.
pub(super) fn size(node: &Node<'_>, range: RangeInclusive<u64>) -> Option<u64> {
    let bytes = match &node.kind {
        Kind::Integer(number) => u64::try_from(*number).ok(),
        Kind::Text(text) => ByteSize::from_str(text).ok().map(|size| size.0),
        _ => None,
    };
    let Some(bytes) = bytes else {
        return node.wrong("a size such as \"64 MiB\"");
    };
    if range.contains(&bytes) {
        return Some(bytes);
    }
    let show = |bytes: u64| ByteSize(bytes).display().iec();
    node.note(
        format!("{} is out of range: it must be {} to {}", show(bytes), show(*range.start()), show(*range.end())),
        None,
    )
}

/// A time span: `"2m 30s"`.
pub(super) fn duration(node: &Node<'_>, range: RangeInclusive<Duration>) -> Option<Duration> {
    let parsed = match &node.kind {
        Kind::Text(text) => humantime::parse_duration(text).ok(),
        _ => None,
    };
    let Some(duration) = parsed else {
        return node.wrong("a time span such as \"30s\" or \"2h 30m\"");
    };
    if range.contains(&duration) {
        return Some(duration);
    }
    let show = humantime::format_duration;
    let (found, from, to) = (show(duration), show(*range.start()), show(*range.end()));
    node.note(format!("{found} is out of range: it must be {from} to {to}"), None)
}
