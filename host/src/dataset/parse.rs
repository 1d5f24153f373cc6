//! From the text of a dataset file to a [`Dataset`]. Every function here reads one table or one value; each key is named in
//! one place, where it is read.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use bytesize::ByteSize;
use serde_json::{Value, json};

use super::findings::Step;
use super::tree::{Kind, Node, Reader, keys};
use super::{
    Column, ColumnType, Dataset, Finding, Findings, Format, Grants, InstanceLife, ItemReader,
    MAX_INPUT_BYTES_PER_BATCH, MapSpec, OutputSpec, PluginSpec, Position, Target, Template, Variables, check,
};
use crate::object::Location;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// An item is worked on while its batch's message is hidden from other workers, which Amazon SQS does for at most 12 hours.
const MAX_ITEM_TIMEOUT: Duration = Duration::from_secs(12 * 60 * 60);

/// An execution of a standard workflow lasts at most a year ("Step Functions service quotas").
const MAX_STATE_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The linear memory of a 32-bit component has at most 4 GiB.
const MEMORY: RangeInclusive<u64> = MIB..=4 * GIB;

pub(super) fn dataset(text: &str, file: &Path, variables: &Variables) -> Result<Dataset, Findings> {
    let reader = Reader::new(file, text);
    let dataset = reader.parse(Some(variables)).and_then(|root| root_table(&root, file));
    reader.finish(dataset)
}

/// Gives findings that know only their place a position in the file's text: that of the nearest key which is there.
pub fn locate(findings: &mut [Finding], text: &str) {
    let reader = Reader::new(Path::new(""), text);
    let Some(root) = reader.parse(None) else { return };
    for finding in findings.iter_mut().filter(|finding| finding.position.is_none()) {
        let (mut node, mut at) = (&root, 0);
        for step in &finding.place.0 {
            match (step, &node.kind) {
                (Step::Key(name), Kind::Table(entries)) => match entries.iter().find(|entry| entry.name == *name) {
                    Some(entry) => (node, at) = (&entry.node, entry.span.start),
                    None => break,
                },
                (Step::Index(index), Kind::Array(elements)) => match elements.get(*index) {
                    Some(element) => (node, at) = (element, element.span.start),
                    None => break,
                },
                _ => break,
            }
        }
        finding.position = Some(Position::of(text, at));
    }
}

fn root_table(root: &Node<'_>, file: &Path) -> Option<Dataset> {
    keys!(let { dataset, plugin, settings, grants, map, output } = root);
    let name = dataset.required(name);
    let plugin = plugin.required(|node| plugin_table(node, file));
    let settings = settings.or(json!({}), object);
    let grants = grants.or(Grants::default(), grants_table);
    let map = map.required(map_table);
    let outputs = output.or(Vec::new(), output_tables);
    Some(Dataset {
        name: name?,
        file: file.into(),
        plugin: plugin?,
        settings: settings?,
        grants: grants?,
        map: map?,
        outputs: outputs?,
    })
}

fn plugin_table(node: &Node<'_>, file: &Path) -> Option<PluginSpec> {
    keys!(let { component, memory, timeout, max_output, max_log, instance } = node);
    let component = component.required(|node| component_path(node, file));
    let memory = memory.or(64 * MIB, |node| size(node, MEMORY));
    let timeout = timeout.or(Duration::from_secs(30), |node| {
        duration(node, Duration::from_millis(1)..=MAX_ITEM_TIMEOUT)
    });
    let max_output = max_output.or(16 * MIB, |node| size(node, 0..=4 * GIB));
    let max_log = max_log.or(64 * KIB, |node| size(node, 0..=GIB));
    let instance = instance.or(InstanceLife::Item, |node| {
        node.choice(&[("item", InstanceLife::Item), ("batch", InstanceLife::Batch)])
    });
    Some(PluginSpec {
        component: component?,
        memory: memory?,
        timeout: timeout?,
        max_output: max_output?,
        max_log: max_log?,
        instance: instance?,
    })
}

fn component_path(node: &Node<'_>, file: &Path) -> Option<PathBuf> {
    let text = node.text()?;
    let beside = |name: &str| file.parent().unwrap_or(Path::new("")).join(name);
    if text.ends_with(".wasm") && !text.contains("://") {
        Some(beside(text))
    } else if is_name(text) {
        Some(beside(&format!("{text}.wasm")))
    } else {
        let help = "give a name (`NAME.wasm` beside this file), or a path that ends with `.wasm`";
        node.note(format!("`{text}` is not a component that can be found"), Some(help))
    }
}

fn grants_table(node: &Node<'_>) -> Option<Grants> {
    keys!(let { read } = node);
    Some(Grants {
        read: read.or(Vec::new(), |node| node.list(location))?,
    })
}

fn map_table(node: &Node<'_>) -> Option<MapSpec> {
    keys!(let {
        item_reader, items, item_selector, batch_input, max_items_per_batch, max_input_bytes_per_batch, max_concurrency,
        tolerated_failure_count, tolerated_failure_percentage, tolerated_rejected_percentage, heartbeat, timeout,
        max_attempts, result_writer
    } = node);
    let reader = match (item_reader.node(), items.node()) {
        (Some(reader), None) => item_reader_table(reader),
        (None, Some(items)) => inline_items(items),
        (None, None) => node.note("the key `item_reader` or `items` is missing", None),
        (Some(_), Some(items)) => items.note("items come from `item_reader` or from `items`, not from both", None),
    };
    let item_selector = item_selector.optional(|node| payload(node, &["Execution", "Map", "State", "StateMachine"]));
    let batch_input = batch_input.optional(|node| payload(node, &["Execution", "State", "StateMachine"]));
    let max_items = max_items_per_batch.or(100, |node| node.integer(1..1 << 32, "a number of items, at least 1"));
    let max_bytes = max_input_bytes_per_batch.or(MAX_INPUT_BYTES_PER_BATCH, |node| {
        size(node, 1..=MAX_INPUT_BYTES_PER_BATCH.into())?.try_into().ok()
    });
    let max_concurrency = max_concurrency.or(1000, |node| {
        node.integer(1..10_001, "a number from 1 to 10,000 (Step Functions' most)")
    });
    let failure_count =
        tolerated_failure_count.optional(|node| node.integer(0..i64::MAX, "a number of items, at least 0"));
    let failure_percentage = tolerated_failure_percentage.or(0.0, whole_percentage);
    let rejected_percentage = tolerated_rejected_percentage.or(0.0, Node::percentage);
    let timeout = timeout.or(24 * HOUR, |node| seconds(node));
    let heartbeat = heartbeat.or(Duration::from_secs(120), |node| {
        let heartbeat = seconds(node)?;
        match timeout {
            Some(timeout) if heartbeat >= timeout => {
                let timeout = humantime::format_duration(timeout);
                node.note(
                    format!("the heartbeat must be shorter than the timeout of {timeout}"),
                    None,
                )
            }
            _ => Some(heartbeat),
        }
    });
    let max_attempts = max_attempts.or(3, |node| {
        node.integer(0..100_000_000, "a number from 0 to 99,999,999 (Step Functions' most)")
    });
    let result_writer = result_writer.optional(location);
    Some(MapSpec {
        item_reader: reader?,
        item_selector: item_selector?,
        batch_input: batch_input?,
        max_items_per_batch: max_items?,
        max_input_bytes_per_batch: max_bytes?,
        max_concurrency: max_concurrency?,
        tolerated_failure_count: failure_count?,
        tolerated_failure_percentage: failure_percentage?,
        tolerated_rejected_percentage: rejected_percentage?,
        heartbeat: heartbeat?,
        timeout: timeout?,
        max_attempts: max_attempts?,
        result_writer: result_writer?,
    })
}

/// The characters that Step Functions separates fields by, with its own words for them (`CSVDelimiter`).
pub(crate) const DELIMITERS: [(char, &str); 5] = [
    (',', "COMMA"),
    ('|', "PIPE"),
    (';', "SEMICOLON"),
    (' ', "SPACE"),
    ('\t', "TAB"),
];

fn item_reader_table(node: &Node<'_>) -> Option<ItemReader> {
    keys!(let { list_objects, csv, json, json_lines, headers, delimiter, pointer } = node);
    let sources = [&list_objects, &csv, &json, &json_lines];
    let given: Vec<_> = sources.iter().filter_map(|slot| slot.node()).collect();
    if given.len() != 1 {
        if matches!(node.kind, Kind::Table(_)) {
            node.note::<()>(
                "expected one of the keys `list_objects`, `csv`, `json` and `json_lines`",
                None,
            );
        }
        return None;
    }
    if csv.node().is_none() {
        headers.refuse("`headers` belongs to `csv`");
        delimiter.refuse("`delimiter` belongs to `csv`");
    }
    if json.node().is_none() {
        pointer.refuse("`pointer` belongs to `json`");
    }
    if let Some(node) = list_objects.node() {
        return Some(ItemReader::ListObjects { uri: uri(node, false)? });
    }
    if let Some(node) = json_lines.node() {
        return Some(ItemReader::JsonLines { uri: uri(node, true)? });
    }
    if let Some(node) = json.node() {
        let (uri, pointer) = (uri(node, true), pointer.or(String::new(), json_pointer));
        return Some(ItemReader::Json {
            uri: uri?,
            pointer: pointer?,
        });
    }
    let uri = csv.required(|node| uri(node, true));
    let headers = headers.optional(|node| distinct(node, |node| Some(node.text()?.to_owned()), 1..=usize::MAX));
    let delimiter = delimiter.or(',', |node| {
        let found = DELIMITERS.iter().find(|(character, word)| {
            node.text() == Some(word) || node.text() == Some(character.encode_utf8(&mut [0; 4]))
        });
        found.map(|(character, _)| *character).or_else(|| {
            node.wrong("one of the delimiters that Step Functions has: `,` `|` `;`, a space or a tab (`\\t`)")
        })
    });
    Some(ItemReader::Csv {
        uri: uri?,
        headers: headers?,
        delimiter: delimiter?,
    })
}

fn inline_items(node: &Node<'_>) -> Option<ItemReader> {
    let template = Template(node.json()?);
    if template.0.is_array() {
        // They travel through a state's payload.
        if template.0.to_string().len() > MAX_INPUT_BYTES_PER_BATCH as usize {
            let help = "put them into an object on S3 and read it with `item_reader = { json = \"s3://...\" }`";
            return node.note(
                "the items are larger than a state's payload (256 KiB, Step Functions)",
                Some(help),
            );
        }
    } else if template.paths().is_ok() && template.sole_path().is_none() {
        let help = "give an array of items, or one placeholder that stands for an array of the input: `\"{$.dates}\"`";
        return node.note("`items` is neither an array nor a placeholder", Some(help));
    }
    Some(ItemReader::Items(checked(
        node,
        template,
        &["Execution", "State", "StateMachine"],
    )?))
}

fn output_tables(node: &Node<'_>) -> Option<Vec<OutputSpec>> {
    if matches!(node.kind, Kind::Table(_)) {
        return node.note("outputs are a list of tables", Some("write `[[output]]`"));
    }
    let outputs = node.list(output_table)?;
    for (n, (output, node)) in outputs.iter().zip(node.array()?).enumerate() {
        let before = &outputs[..n];
        if before.iter().any(|other| other.name == output.name) {
            node.note::<()>(format!("there are two outputs with the name `{}`", output.name), None);
        }
        if let Some(other) = before.iter().find(|other| other.target == output.target) {
            node.note::<()>(
                format!("`{}` goes to the same place as `{}`", output.name, other.name),
                None,
            );
        }
    }
    Some(outputs)
}

fn output_table(node: &Node<'_>) -> Option<OutputSpec> {
    keys!(let { name, table, key, prefix, format, columns } = node);
    let name = name.required(self::name);
    let columns = columns.optional(columns_table);
    let target = match (table.node(), prefix.node()) {
        (Some(table), None) => {
            format.refuse("`format` belongs to `prefix`");
            let name = table_name(table);
            let columns_named = key.required(|node| distinct(node, |node| Some(node.text()?.to_owned()), 1..=2));
            let target = Target::Table {
                table: name?,
                key: columns_named?,
            };
            if let (Some(Some(columns)), Some(at)) = (&columns, key.node()) {
                check::key_columns(&target, columns)
                    .into_iter()
                    .for_each(|(message, help)| {
                        at.note::<()>(message, help.as_deref());
                    });
            }
            Some(target)
        }
        (None, Some(prefix)) => {
            key.refuse("`key` belongs to `table`");
            let prefix = object_prefix(prefix);
            let formats = [
                ("parquet", Format::Parquet),
                ("csv", Format::Csv),
                ("json_lines", Format::JsonLines),
            ];
            let format = format.required(|node| node.choice(&formats));
            Some(Target::Objects {
                prefix: prefix?,
                format: format?,
            })
        }
        (Some(_), Some(prefix)) => prefix.note(
            "an output goes to a `table` or to objects under a `prefix`, not to both",
            None,
        ),
        (None, None) if matches!(node.kind, Kind::Table(_)) => {
            node.note("the key `table` or `prefix` is missing", None)
        }
        (None, None) => None,
    };
    Some(OutputSpec {
        name: name?,
        target: target?,
        columns: columns?,
    })
}

/// The contract's types by their names; `?` after one says that the column may be null.
const COLUMN_TYPES: [(&str, ColumnType); 7] = [
    ("boolean", ColumnType::Boolean),
    ("int64", ColumnType::Int64),
    ("float64", ColumnType::Float64),
    ("text", ColumnType::Text),
    ("date", ColumnType::Date),
    ("timestamp", ColumnType::Timestamp),
    ("json", ColumnType::Json),
];

fn columns_table(node: &Node<'_>) -> Option<Vec<Column>> {
    let Kind::Table(entries) = &node.kind else {
        return node.wrong("a table of columns and their types, such as `{ pk = \"text\", PRCP = \"int64?\" }`");
    };
    if entries.is_empty() {
        return node.note("an output has at least one column", None);
    }
    let columns = entries.iter().map(|entry| {
        let text = entry.node.text()?;
        let (kind, nullable) = text.strip_suffix('?').map_or((text, false), |kind| (kind, true));
        let Some((_, kind)) = COLUMN_TYPES.iter().find(|(name, _)| *name == kind) else {
            let names = COLUMN_TYPES.map(|(name, _)| name);
            let help = super::findings::nearest(kind, names);
            return entry
                .node
                .note(format!("`{kind}` is not a column's type"), help.as_deref());
        };
        Some(Column {
            name: entry.name.clone(),
            kind: *kind,
            nullable,
        })
    });
    columns.collect::<Vec<_>>().into_iter().collect()
}

fn name(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    if is_name(text) {
        return Some(text.into());
    }
    node.note(
        format!("`{text}` is not a name"),
        Some("a name is 1 to 63 letters, digits, `_` and `-`, and starts with a letter or digit"),
    )
}

fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn table_name(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if (3..=255).contains(&text.len()) && text.chars().all(allowed) {
        return Some(text.into());
    }
    let help = "a table's name is 3 to 255 letters, digits, `_`, `-` and `.` (Amazon DynamoDB)";
    node.note(format!("`{text}` is not a table's name"), Some(help))
}

fn location(node: &Node<'_>) -> Option<Location> {
    node.text()?
        .parse()
        .map_err(|error: crate::object::ObjectError| node.note::<()>(error.to_string(), None))
        .ok()
}

fn object_prefix(node: &Node<'_>) -> Option<Location> {
    let prefix = location(node)?;
    if prefix.key.is_empty() || prefix.key.ends_with('/') {
        return Some(prefix);
    }
    let help = format!("every batch writes an object of its own under the prefix: write `{prefix}/`");
    node.note(format!("the prefix `{prefix}` does not end with `/`"), Some(&help))
}

/// A URI with placeholders: of an object, or where a listing starts.
fn uri(node: &Node<'_>, of_object: bool) -> Option<Template> {
    let text = node.text()?;
    let template = checked(
        node,
        Template(Value::String(text.into())),
        &["Execution", "State", "StateMachine"],
    )?;
    let (_, key) = template
        .split_uri()
        .map_err(|error| node.note::<()>(error.to_string(), None))
        .ok()?;
    if template.paths().is_ok_and(|paths| paths.is_empty()) {
        location(node)?;
    }
    if of_object && matches!(key.0.as_str(), Some(key) if key.is_empty() || key.ends_with('/')) {
        return node.note(format!("`{text}` does not name an object"), None);
    }
    Some(template)
}

fn payload(node: &Node<'_>, context: &[&str]) -> Option<Template> {
    checked(node, Template(object(node)?), context)
}

/// A template that both this host and Step Functions understand, with the fields of the context object that exist there
/// ("Accessing execution data from the Context object in Step Functions").
fn checked(node: &Node<'_>, template: Template, context: &[&str]) -> Option<Template> {
    let paths = template.payload_field("x", "$").and_then(|_| template.paths());
    for path in paths.map_err(|error| node.note::<()>(error.to_string(), None)).ok()? {
        if let Some(object) = path.context_object().filter(|object| !context.contains(object)) {
            let help = super::findings::nearest(object, context.iter().copied());
            return node.note(
                format!("`{{{path}}}`: the context object has no `{object}` here"),
                help.as_deref(),
            );
        }
    }
    Some(template)
}

fn object(node: &Node<'_>) -> Option<Value> {
    match node.kind {
        Kind::Table(_) => node.json(),
        _ => node.wrong("a table"),
    }
}

fn json_pointer(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    let escapes = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    if (text.is_empty() || text.starts_with('/')) && escapes {
        return Some(text.into());
    }
    node.note(
        format!("`{text}` is not a JSON pointer"),
        Some("a pointer is written `/name/0/name` (RFC 6901)"),
    )
}

/// A list without repetitions.
fn distinct(
    node: &Node<'_>,
    read: impl Fn(&Node<'_>) -> Option<String>,
    count: RangeInclusive<usize>,
) -> Option<Vec<String>> {
    let list = node.list(read)?;
    if !count.contains(&list.len()) {
        let most = if *count.end() == usize::MAX {
            String::new()
        } else {
            format!(" and at most {}", count.end())
        };
        return node.note(
            format!("expected at least {}{most} names, found {}", count.start(), list.len()),
            None,
        );
    }
    let mut seen = BTreeSet::new();
    match list.iter().find(|name| name.is_empty() || !seen.insert(*name)) {
        None => Some(list),
        Some(name) if name.is_empty() => node.note("a name is empty", None),
        Some(name) => node.note(format!("`{name}` is there twice"), None),
    }
}

/// A number of bytes: `"64 MiB"`, or a plain number.
fn size(node: &Node<'_>, range: RangeInclusive<u64>) -> Option<u64> {
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
        format!(
            "{} is out of range: it must be {} to {}",
            show(bytes),
            show(*range.start()),
            show(*range.end())
        ),
        None,
    )
}

/// A time span: `"2m 30s"`.
fn duration(node: &Node<'_>, range: RangeInclusive<Duration>) -> Option<Duration> {
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
    node.note(
        "Step Functions takes whole percent here",
        Some("for finer limits there is `tolerated_failure_count`"),
    )
}
