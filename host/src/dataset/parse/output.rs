//! `[[output]]`: where rows go.

use std::ops::RangeInclusive;
use std::str::FromStr;

use super::map::prefix;
use super::values::{GIB, KIB, MIB, distinct, size};
use crate::dataset::findings::{nearest, quoted};
use crate::dataset::read::{Slot, keys};
use crate::dataset::tree::{Kind, Node};
use crate::dataset::{
    CatalogName, Column, ColumnType, Dataset, Format, Layout, OutputSpec, PageCompression, Prefix, Runs, Target,
    TextCompression, limits,
};

pub(super) fn tables(node: &Node<'_>) -> Option<Vec<OutputSpec>> {
    if matches!(node.kind, Kind::Table(_)) {
        return node.note("outputs are a list of tables", Some("write `[[output]]`"));
    }
    let nodes = node.array()?;
    let outputs: Vec<Option<OutputSpec>> = nodes.iter().map(output_table).collect();
    for (n, (output, node)) in outputs.iter().zip(nodes).enumerate() {
        let Some(output) = output else { continue };
        let before = || outputs[..n].iter().flatten();
        if before().any(|other| other.name == output.name) {
            node.note::<()>(format!("there are two outputs with the name `{}`", output.name), None);
        } else if let Some((message, help)) = before().find_map(|other| limits::beside(output, other)) {
            node.note::<()>(message, help.as_deref());
        }
    }
    outputs.into_iter().collect()
}

/// Notes the outputs whose objects would have the names of the batches' reports.
pub(super) fn reports_beside(dataset: &Dataset, outputs_node: Option<&Node<'_>>) {
    for (n, output) in dataset.outputs.iter().enumerate().filter(|(_, output)| dataset.reports_beside(&output.target)) {
        let node = outputs_node.and_then(|node| node.array()).map(|nodes| &nodes[n]);
        node.and_then(|node| {
            node.note::<()>(format!("`{}` goes to the same place as `[map] reports`", output.name), None)
        });
    }
}

fn output_table(node: &Node<'_>) -> Option<OutputSpec> {
    keys!(let {
        name, table, key, prefix, format, compression, partition_by, sort_by, file_size, row_group_size, runs, catalog,
        columns
    } = node);
    let name = name.required(super::values::name);
    let columns_node = columns.node();
    let columns = columns.optional(columns_table);
    let target = match (table.node(), prefix.node()) {
        (Some(table), None) => {
            format.refuse("`format` belongs to `prefix`");
            compression.refuse("`compression` belongs to `prefix`");
            catalog.refuse("`catalog` belongs to `prefix`: a data catalog knows tables of objects");
            runs.refuse("`runs` belongs to `prefix`: a row takes the place of the one with its key");
            for (slot, key) in [
                (&partition_by, "partition_by"),
                (&sort_by, "sort_by"),
                (&file_size, "file_size"),
                (&row_group_size, "row_group_size"),
            ] {
                slot.refuse(&format!("`{key}` belongs to `prefix`"));
            }
            let name = table_name(table);
            let columns_named = key.required(|node| distinct(node, |node| Some(node.text()?.to_owned()), 1..=2));
            let target = Target::Table { table: name?, key: columns_named? };
            if let (Some(Some(columns)), Some(at)) = (&columns, key.node()) {
                limits::key_columns(&target, columns).into_iter().for_each(|(message, help)| {
                    at.note::<()>(message, help.as_deref());
                });
            }
            Some(target)
        }
        (None, Some(prefix)) => {
            key.refuse("`key` belongs to `table`");
            let prefix = object_prefix(prefix);
            let format = object_format(&format, &compression);
            let layout = object_layout(&partition_by, &sort_by, &file_size, &row_group_size);
            if !matches!(format, None | Some(Format::Parquet(_))) {
                row_group_size.refuse("row groups belong to `format = \"parquet\"`");
            }
            Some(Target::Objects { prefix: prefix?, format: format?, layout: layout? })
        }
        (Some(_), Some(prefix)) => {
            prefix.note("an output goes to a `table` or to objects under a `prefix`, not to both", None)
        }
        (None, None) if matches!(node.kind, Kind::Table(_)) => {
            node.note("the key `table` or `prefix` is missing", None)
        }
        (None, None) => None,
    };
    if let (Some(Target::Objects { layout, .. }), Some(Some(columns))) = (&target, &columns) {
        for (key, (message, help)) in layout.complaints(columns) {
            let slot = if key == "sort_by" { &sort_by } else { &partition_by };
            slot.node().unwrap_or(node).note::<()>(message, help.as_deref());
        }
    }
    if let (Some(target), Some(Some(columns)), Some(at)) = (&target, &columns, columns_node) {
        for (message, help) in limits::columns(target, columns) {
            at.note::<()>(message, help.as_deref());
        }
    }
    let catalog = catalog.optional(catalog_name);
    let runs = runs.optional(|node| {
        let runs = node.choice(&[
            ("append", Runs::Append),
            ("replace", Runs::Replace),
            ("replace_partitions", Runs::ReplacePartitions),
        ])?;
        match &target {
            Some(Target::Objects { layout, .. })
                if runs == Runs::ReplacePartitions && layout.partition_by.is_empty() =>
            {
                node.note("the output has no partitions", Some("give it `partition_by`, or `runs = \"replace\"`"))
            }
            _ => Some(runs),
        }
    });
    Some(OutputSpec { name: name?, target: target?, columns: columns?, runs: runs?, catalog: catalog? })
}

/// A file smaller than this costs more in requests than in bytes; Amazon S3 holds objects of 5 TiB, and no reader wants them.
const FILE_SIZES: RangeInclusive<u64> = MIB..=64 * GIB;

/// The rows of a group wait in memory until it is whole.
const ROW_GROUP_SIZES: RangeInclusive<u64> = 64 * KIB..=256 * MIB;

const TEXT_COMPRESSIONS: [(&str, TextCompression); 3] =
    [("none", TextCompression::None), ("gzip", TextCompression::Gzip), ("zstd", TextCompression::Zstd)];

const PAGE_COMPRESSIONS: [(&str, PageCompression); 4] = [
    ("zstd", PageCompression::Zstd),
    ("snappy", PageCompression::Snappy),
    ("gzip", PageCompression::Gzip),
    ("none", PageCompression::None),
];

fn object_format(format: &Slot<'_>, compression: &Slot<'_>) -> Option<Format> {
    let names = ["parquet", "csv", "json_lines"].map(|name| (name, name));
    match format.required(|node| node.choice(&names))? {
        "parquet" => compressed("parquet", compression, &PAGE_COMPRESSIONS).map(Format::Parquet),
        "csv" => compressed("csv", compression, &TEXT_COMPRESSIONS).map(Format::Csv),
        _ => compressed("json_lines", compression, &TEXT_COMPRESSIONS).map(Format::JsonLines),
    }
}

fn object_layout(
    partition_by: &Slot<'_>,
    sort_by: &Slot<'_>,
    file_size: &Slot<'_>,
    row_group_size: &Slot<'_>,
) -> Option<Layout> {
    fn read<T: FromStr<Err = (String, Option<String>)>>(node: &Node<'_>) -> Option<T> {
        node.text()?
            .parse()
            .map_err(|(message, help): (String, Option<String>)| node.note::<()>(message, help.as_deref()))
            .ok()
    }
    let partition_by = partition_by.or(Vec::new(), |node| node.list(read));
    let sort_by = sort_by.or(Vec::new(), |node| node.list(read));
    let file_size = file_size.optional(|node| size(node, FILE_SIZES));
    let row_group_size = row_group_size.optional(|node| size(node, ROW_GROUP_SIZES));
    Some(Layout {
        partition_by: partition_by?,
        sort_by: sort_by?,
        file_size: file_size?,
        row_group_size: row_group_size?,
    })
}

/// One of the compressions of a format. Which ones there are depends on the format, so that a wrong one is told all of them.
fn compressed<T: Copy + Default>(format: &str, compression: &Slot<'_>, choices: &[(&str, T)]) -> Option<T> {
    compression.or(T::default(), |node| {
        let text = node.text()?;
        choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let help = format!("valid for `{format}`: {}", quoted(&names));
            node.note(format!("`{text}` is no compression of `{format}`"), Some(&help))
        })
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
            let help = nearest(kind, names);
            return entry.node.note(format!("`{kind}` is not a column's type"), help.as_deref());
        };
        Some(Column { name: entry.name.clone(), kind: *kind, nullable })
    });
    columns.collect::<Vec<_>>().into_iter().collect()
}

fn table_name(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    match limits::table_name(text) {
        Some((message, help)) => node.note(message, help.as_deref()),
        None => Some(text.into()),
    }
}

fn catalog_name(node: &Node<'_>) -> Option<CatalogName> {
    let text = node.text()?;
    match text.split_once('.') {
        Some((database, table)) if !database.is_empty() && !table.is_empty() && !table.contains('.') => {
            Some(CatalogName { database: database.into(), table: table.into() })
        }
        _ => node.note(format!("`{text}` names no table of a data catalog"), Some("write `DATABASE.TABLE`")),
    }
}

fn object_prefix(node: &Node<'_>) -> Option<Prefix> {
    let prefix = prefix(node)?;
    let text = prefix.to_string();
    if text.ends_with('/') || prefix.fixed().is_some_and(|place| place.key.is_empty()) {
        return Some(prefix);
    }
    let help = format!("every batch writes an object of its own under the prefix: write `{prefix}/`");
    node.note(format!("the prefix `{prefix}` does not end with `/`"), Some(&help))
}
