//! `[map]`: the Distributed Map state.

use std::time::Duration;

use serde_json::Value;

use super::values::{MAX_ITEMS, distinct, duration, location, name, object, size};
use super::{ranges, slices};
use crate::dataset::findings::nearest;
use crate::dataset::read::{Slot, keys};
use crate::dataset::tree::{Kind, Node};
use crate::dataset::{
    DELIMITERS, Each, HandOver, ItemReader, LoadAs, MAX_INPUT_BYTES_PER_BATCH, MapSpec, Prefix, Template, limits,
};

/// An execution of a standard workflow lasts at most a year ("Step Functions service quotas").
const MAX_STATE_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(super) fn table(node: &Node<'_>) -> Option<MapSpec> {
    keys!(let {
        item_reader, items, item_selector, batch_input, max_items_per_batch, max_input_bytes_per_batch, max_concurrency,
        tolerated_failure_count, tolerated_failure_percentage, tolerated_rejected_percentage, heartbeat, timeout,
        max_attempts, result_writer, reports
    } = node);
    let reader = match (item_reader.node(), items.node()) {
        (Some(reader), None) => item_reader_table(reader),
        (None, Some(items)) => inline_items(items).map(|items| (items, None)),
        (None, None) => node.note("the key `item_reader` or `items` is missing", None),
        (Some(_), Some(items)) => items.note("items come from `item_reader` or from `items`, not from both", None),
    };
    let item_selector = item_selector.optional(|node| payload(node, &["Execution", "Map", "State", "StateMachine"]));
    let batch_input = batch_input.optional(|node| payload(node, &["Execution", "State", "StateMachine"]));
    let max_per_batch = max_items_per_batch.or(100, |node| node.integer(1..1 << 32, "a number of items, at least 1"));
    let max_bytes = max_input_bytes_per_batch
        .or(MAX_INPUT_BYTES_PER_BATCH, |node| size(node, 1..=MAX_INPUT_BYTES_PER_BATCH.into())?.try_into().ok());
    let max_concurrency =
        max_concurrency.or(1000, |node| node.integer(1..10_001, "a number from 1 to 10,000 (Step Functions' most)"));
    let failure_count =
        tolerated_failure_count.optional(|node| node.integer(0..i64::MAX, "a number of items, at least 0"));
    let failure_percentage = tolerated_failure_percentage.or(0.0, whole_percentage);
    let rejected_percentage = tolerated_rejected_percentage.or(0.0, Node::percentage);
    let timeout = timeout.or(Duration::from_secs(24 * 60 * 60), |node| match seconds(node)? {
        // Step Functions wants `HeartbeatSeconds` to be smaller than `TimeoutSeconds`.
        timeout if timeout < Duration::from_secs(2) => node.note("a timeout has at least 2 seconds", None),
        timeout => Some(timeout),
    });
    // It runs while a batch waits in the queue, too: a deep queue is no fault.
    let half = timeout.map_or(Duration::from_secs(1), |timeout| Duration::from_secs(timeout.as_secs() / 2));
    let heartbeat = heartbeat.or(half, |node| {
        let heartbeat = seconds(node)?;
        match timeout {
            Some(timeout) if heartbeat >= timeout => {
                let timeout = humantime::format_duration(timeout);
                node.note(format!("the heartbeat must be shorter than the timeout of {timeout}"), None)
            }
            _ => Some(heartbeat),
        }
    });
    let max_attempts =
        max_attempts.or(3, |node| node.integer(0..100_000_000, "a number from 0 to 99,999,999 (Step Functions' most)"));
    let result_writer = result_writer.optional(prefix);
    let reports = reports.optional(prefix);
    let (item_reader, max_items) = reader?;
    Some(MapSpec {
        item_reader,
        max_items,
        item_selector: item_selector?,
        batch_input: batch_input?,
        max_items_per_batch: max_per_batch?,
        max_input_bytes_per_batch: max_bytes?,
        max_concurrency: max_concurrency?,
        tolerated_failure_count: failure_count?,
        tolerated_failure_percentage: failure_percentage?,
        tolerated_rejected_percentage: rejected_percentage?,
        heartbeat: heartbeat?,
        timeout: timeout?,
        max_attempts: max_attempts?,
        result_writer: result_writer?,
        reports: reports?,
    })
}

/// The reader, and how many items it reads at most.
fn item_reader_table(node: &Node<'_>) -> Option<(ItemReader, Option<u32>)> {
    keys!(let {
        list_objects, csv, json, json_lines, parquet, s3_inventory, athena_files, athena_rows, numbers, dates, stage,
        table, headers, delimiter, pointer, load, output, each, before, connection, columns, slices, window, max_items
    } = node);
    let sources = [
        &list_objects,
        &csv,
        &json,
        &json_lines,
        &parquet,
        &s3_inventory,
        &athena_files,
        &athena_rows,
        &numbers,
        &dates,
        &stage,
        &table,
    ];
    let given: Vec<_> = sources.iter().filter_map(|slot| slot.node()).collect();
    if given.len() != 1 {
        if matches!(node.kind, Kind::Table(_)) {
            let message = "expected one of the keys `list_objects`, `csv`, `json`, `json_lines`, `parquet`, `s3_inventory`, \
                           `athena_files`, `athena_rows`, `numbers`, `dates`, `stage` and `table`";
            node.note::<()>(message, None);
        }
        return None;
    }
    // Of a listing, what is read in the objects.
    let loaded = load.optional(|node| {
        node.choice(&[("csv", "csv"), ("json", "json"), ("json_lines", "json_lines"), ("parquet", "parquet")])
    });
    let read_as = |format: &str| load.node().is_some_and(|node| node.text() == Some(format));
    if csv.node().is_none() && !read_as("csv") {
        headers.refuse("`headers` belongs to `csv`");
        delimiter.refuse("`delimiter` belongs to `csv`");
    }
    if json.node().is_none() && !read_as("json") {
        pointer.refuse("`pointer` belongs to `json`");
    }
    if list_objects.node().is_none() {
        load.refuse("`load` belongs to `list_objects`: it says what the listed objects are");
    }
    if stage.node().is_none() {
        for (slot, key) in [(&output, "output"), (&each, "each"), (&before, "before")] {
            slot.refuse(&format!("`{key}` belongs to `stage`"));
        }
    }
    let of_table =
        slices::Keys { table: &table, connection: &connection, columns: &columns, slices: &slices, window: &window };
    if table.node().is_none() {
        of_table.refuse_without_table();
    } else {
        max_items.refuse("`max_items` belongs to what is read; a table has as many items as `slices` says");
    }
    if numbers.node().or(dates.node()).is_some() {
        max_items.refuse("`max_items` belongs to what is read; here `to` says where the items end");
    }
    let most = max_items
        .optional(|node| node.integer(1..MAX_ITEMS + 1, "a number from 1 to 100,000,000 (Step Functions' most)"));
    let reader = if let Some(node) = list_objects.node() {
        let uri = uri(node, false);
        let as_ = match loaded? {
            None => return Some((ItemReader::ListObjects { uri: uri? }, most?)),
            Some("csv") => {
                let (headers, delimiter) = csv_form(&headers, &delimiter);
                LoadAs::Csv { headers: headers?, delimiter: delimiter? }
            }
            Some("json") => LoadAs::Json { pointer: pointer.or(String::new(), json_pointer)? },
            Some("json_lines") => LoadAs::JsonLines,
            Some(_) => LoadAs::Parquet,
        };
        ItemReader::Load { uri: uri?, as_ }
    } else if let Some(node) = json_lines.node() {
        ItemReader::JsonLines { uri: uri(node, true)? }
    } else if let Some(node) = json.node() {
        let (uri, pointer) = (uri(node, true), pointer.or(String::new(), json_pointer));
        ItemReader::Json { uri: uri?, pointer: pointer? }
    } else if let Some(node) = s3_inventory.node() {
        ItemReader::S3Inventory { uri: uri(node, true)? }
    } else if let Some(node) = parquet.node() {
        ItemReader::Parquet { uri: uri(node, true)? }
    } else if let Some(node) = athena_rows.node() {
        ItemReader::AthenaRows { uri: uri(node, true)? }
    } else if let Some(node) = athena_files.node() {
        athena_manifest(uri(node, true)?)
    } else if let Some(node) = numbers.node() {
        ranges::numbers(node)?
    } else if let Some(node) = dates.node() {
        ranges::dates(node)?
    } else if let Some(node) = stage.node() {
        let (stage, takes) = (name(node), hand_over(&output, &each, &before));
        ItemReader::Stage { stage: stage?, takes: takes? }
    } else if table.node().is_some() {
        of_table.reader()?
    } else {
        csv_table(&csv, &headers, &delimiter)?
    };
    Some((reader, most?))
}

/// What a stage takes of another one's objects.
fn hand_over(output: &Slot<'_>, each: &Slot<'_>, before: &Slot<'_>) -> Option<HandOver> {
    let output = output.required(name);
    let each = each.required(|node| node.choice(&[("file", Each::File), ("partition", Each::Partition { before: 0 })]));
    let partitions = before.or(0, |node| node.integer(0..1001, "a number of partitions, at most 1,000"));
    let each = match each? {
        Each::File => {
            before.refuse("`before` belongs to `each = \"partition\"`");
            Each::File
        }
        Each::Partition { .. } => Each::Partition { before: partitions? },
    };
    Some(HandOver { output: output?, each })
}

/// Athena's manifest of a query's files: one URI a line, no header. It has one column whatever stands in it, so that its
/// fields are separated by what no URI has: the values of partition columns in a path may have commas.
fn athena_manifest(uri: Template) -> ItemReader {
    ItemReader::Csv { uri, headers: Some(vec!["uri".into()]), delimiter: '\t' }
}

fn csv_table(csv: &Slot<'_>, headers: &Slot<'_>, delimiter: &Slot<'_>) -> Option<ItemReader> {
    let uri = csv.required(|node| uri(node, true));
    let (headers, delimiter) = csv_form(headers, delimiter);
    Some(ItemReader::Csv { uri: uri?, headers: headers?, delimiter: delimiter? })
}

fn csv_form(headers: &Slot<'_>, delimiter: &Slot<'_>) -> (Option<Option<Vec<String>>>, Option<char>) {
    let headers = headers.optional(|node| distinct(node, |node| Some(node.text()?.to_owned()), 1..=usize::MAX));
    let delimiter = delimiter.or(',', |node| {
        let found = DELIMITERS.iter().find(|(character, word)| {
            node.text() == Some(word) || node.text() == Some(character.encode_utf8(&mut [0; 4]))
        });
        found.map(|(character, _)| *character).or_else(|| {
            node.wrong("one of the delimiters that Step Functions has: `,` `|` `;`, a space or a tab (`\\t`)")
        })
    });
    (headers, delimiter)
}

fn inline_items(node: &Node<'_>) -> Option<ItemReader> {
    let template = Template(node.json()?);
    if template.0.is_array() {
        // They travel through a state's payload.
        if template.0.to_string().len() > MAX_INPUT_BYTES_PER_BATCH as usize {
            let help = "put them into an object on S3 and read it with `item_reader = { json = \"s3://...\" }`";
            return node.note("the items are larger than a state's payload (256 KiB, Step Functions)", Some(help));
        }
    } else if template.paths().is_ok() && template.sole_path().is_none() {
        let help = "give an array of items, or one placeholder that stands for an array or object of the input: `\"{$.dates}\"`";
        return node.note("`items` is neither an array nor a placeholder", Some(help));
    }
    Some(ItemReader::Items(checked(node, template, &["Execution", "State", "StateMachine"])?))
}

/// A URI with placeholders: of an object, or where a listing starts.
fn uri(node: &Node<'_>, of_object: bool) -> Option<Template> {
    let text = node.text()?;
    let template = checked(node, Template(Value::String(text.into())), &["Execution", "State", "StateMachine"])?;
    let (_, key) = template.split_uri().map_err(|error| node.note::<()>(error.to_string(), None)).ok()?;
    if template.paths().is_ok_and(|paths| paths.is_empty()) {
        location(node)?;
    }
    if of_object && matches!(key.0.as_str(), Some(key) if key.is_empty() || key.ends_with('/')) {
        return node.note(format!("`{text}` does not name an object"), None);
    }
    Some(template)
}

/// Where objects go. Placeholders may be about the run, but not about an item: all items of a batch share one object.
pub(super) fn prefix(node: &Node<'_>) -> Option<Prefix> {
    let text = node.text()?;
    let template = checked(node, Template(Value::String(text.into())), &["Execution", "StateMachine"])?;
    let prefix = if template.paths().is_ok_and(|paths| paths.is_empty()) {
        Prefix::Fixed(location(node)?)
    } else {
        template.split_uri().map_err(|error| node.note::<()>(error.to_string(), None)).ok()?;
        Prefix::Of(template)
    };
    match limits::prefix(&prefix) {
        Some((message, help)) => node.note(message, help.as_deref()),
        None => Some(prefix),
    }
}

fn payload(node: &Node<'_>, context: &[&str]) -> Option<Template> {
    checked(node, Template(object(node)?), context)
}

/// A template that both this host and Step Functions understand.
fn checked(node: &Node<'_>, template: Template, context: &[&str]) -> Option<Template> {
    if !placeholders(node, context) {
        return None;
    }
    template.payload_field("x", "$").map_err(|error| node.note::<()>(error.to_string(), None)).ok()?;
    Some(template)
}

/// Notes every placeholder that is no path, or refers to something that the context object does not have there ("Accessing
/// execution data from the Context object in Step Functions"). True if there is none.
fn placeholders(node: &Node<'_>, context: &[&str]) -> bool {
    match &node.kind {
        Kind::Text(text) => match Template(Value::String(text.clone())).paths() {
            Ok(paths) => paths.iter().all(|path| match path.context_object() {
                Some(object) if !context.contains(&object) => {
                    let help = nearest(object, context.iter().copied());
                    let message = format!("`{{{path}}}`: the context object has no `{object}` here");
                    node.note::<()>(message, help.as_deref()).is_some()
                }
                _ => true,
            }),
            Err(error) => node.note::<()>(error.to_string(), None).is_some(),
        },
        Kind::Array(elements) => elements.iter().fold(true, |fine, element| placeholders(element, context) & fine),
        Kind::Table(entries) => entries.iter().fold(true, |fine, entry| placeholders(&entry.node, context) & fine),
        _ => true,
    }
}

fn json_pointer(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    let escapes = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    if (text.is_empty() || text.starts_with('/')) && escapes {
        return Some(text.into());
    }
    node.note(format!("`{text}` is not a JSON pointer"), Some("a pointer is written `/name/0/name` (RFC 6901)"))
}

/// A time span that Step Functions can wait: whole seconds.
fn seconds(node: &Node<'_>) -> Option<Duration> {
    let duration = duration(node, Duration::from_secs(1)..=MAX_STATE_TIMEOUT)?;
    if duration.subsec_nanos() == 0 {
        Some(duration)
    } else {
        node.note("Step Functions counts in whole seconds", None)
    }
}

fn whole_percentage(node: &Node<'_>) -> Option<f64> {
    let percentage = node.percentage()?;
    if percentage.fract() == 0.0 {
        return Some(percentage);
    }
    node.note("Step Functions takes whole percent here", Some("for finer limits there is `tolerated_failure_count`"))
}
