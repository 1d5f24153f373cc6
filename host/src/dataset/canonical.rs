//! What of a dataset decides a batch's rows, in one canonical form: JSON with sorted keys and without blanks.
//!
//! A local run's batches are told apart by it. The same meaning gives the same text in every build, however the file orders its
//! keys and whatever the types of this room are called. All structs are taken apart field by field: a new field does not
//! compile before somebody has decided whether rows depend on it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Column, ColumnType, Dataset, Format, Grants, Layout, OutputSpec, PageCompression, Part, PartitionBy, PluginSpec,
    Prefix, RunValues, SortBy, Target, Template, TextCompression,
};
use crate::object::Location;

/// The settings and the outputs, the latter in the order of their names.
pub fn contents(dataset: &Dataset) -> String {
    let Dataset {
        settings,
        outputs,
        // The batch names its dataset.
        name: _,
        // Where the file lies changes no row.
        file: _,
        // The component counts by its digest. Its limits and the grants change rows only where items were rejected for them,
        // which the batch's evidence knows.
        plugin: _,
        grants: _,
        // The items and the batch input that come of it count themselves.
        map: _,
        // How versions follow each other, and what they are tried on, changes no row.
        release: _,
        sample: _,
        // What others make of the stage's objects changes none of them.
        stage: _,
    } = dataset;
    let by_name: BTreeMap<&str, Value> = outputs.iter().map(output).collect();
    text(&json!({"settings": settings, "outputs": by_name}))
}

/// What a run's placeholders stand for.
pub fn values(values: &RunValues) -> String {
    text(&json!(values))
}

/// A value of a message.
pub fn value(value: &Value) -> String {
    text(value)
}

/// The limits and grants under which items may have been rejected that others would let through.
pub fn rules(dataset: &Dataset) -> String {
    let PluginSpec { memory, timeout, max_output, max_log, component: _, instance: _, max_slots: _, max_batches: _ } =
        &dataset.plugin;
    let Grants { read, sql } = &dataset.grants;
    let read: Vec<String> = read.iter().map(Location::to_string).collect();
    let timeout = timeout.as_micros().to_string();
    let mut rules = json!({
        "memory": memory, "timeout": timeout, "max_output": max_output, "max_log": max_log, "read": read,
    });
    // None adds nothing: it is how the rules were written when there were no databases.
    if !sql.is_empty() {
        rules["sql"] = json!(sql);
    }
    text(&rules)
}

fn output(output: &OutputSpec) -> (&str, Value) {
    // What a run does to earlier ones, and who knows of it, changes no row of it.
    let OutputSpec { name, target, columns, runs: _, catalog: _ } = output;
    let columns = columns.as_ref().map(|columns| columns.iter().map(column).collect::<Vec<_>>());
    (name, json!({"target": destination(target), "columns": columns}))
}

fn destination(target: &Target) -> Value {
    match target {
        Target::Table { table, key } => json!({"table": table, "key": key}),
        Target::Objects { prefix, format, layout } => {
            let (name, compression) = match format {
                Format::JsonLines(compression) => ("json_lines", text_compression(*compression)),
                Format::Csv(compression) => ("csv", text_compression(*compression)),
                Format::Parquet(compression) => ("parquet", page_compression(*compression)),
            };
            let mut objects = json!({"prefix": place(prefix), "format": format!("{name}{compression}")});
            if *layout != Layout::default() {
                objects["layout"] = laid_out(layout);
            }
            objects
        }
    }
}

fn laid_out(layout: &Layout) -> Value {
    let Layout { partition_by, sort_by, file_size, row_group_size } = layout;
    let partition = |by: &PartitionBy| {
        let PartitionBy { column, part } = by;
        let part = match part {
            Part::Whole => "whole",
            Part::Year => "year",
            Part::Month => "month",
            Part::Day => "day",
            Part::Hour => "hour",
        };
        json!({"column": column, "part": part})
    };
    let sort = |SortBy { column, descending }: &SortBy| json!({"column": column, "descending": descending});
    json!({
        "partition_by": partition_by.iter().map(partition).collect::<Vec<_>>(),
        "sort_by": sort_by.iter().map(sort).collect::<Vec<_>>(),
        "file_size": file_size, "row_group_size": row_group_size,
    })
}

/// A default adds nothing: it is how every format was compressed when there was no choice, and what was done then still counts.
fn text_compression(compression: TextCompression) -> &'static str {
    match compression {
        TextCompression::None => "",
        TextCompression::Gzip => "+gzip",
        TextCompression::Zstd => "+zstd",
    }
}

fn page_compression(compression: PageCompression) -> &'static str {
    match compression {
        PageCompression::Zstd => "",
        PageCompression::Snappy => "+snappy",
        PageCompression::Gzip => "+gzip",
        PageCompression::None => "+none",
    }
}

fn place(prefix: &Prefix) -> Value {
    match prefix {
        Prefix::Fixed(Location { bucket, key }) => json!({"bucket": bucket, "key": key}),
        Prefix::Of(Template(template)) => json!({"template": template}),
    }
}

fn column(column: &Column) -> Value {
    let Column { name, kind, nullable } = column;
    let kind = match kind {
        ColumnType::Boolean => "boolean",
        ColumnType::Int64 => "int64",
        ColumnType::Float64 => "float64",
        ColumnType::Text => "text",
        ColumnType::Date => "date",
        ColumnType::Timestamp => "timestamp",
        ColumnType::Json => "json",
    };
    json!({"name": name, "type": kind, "nullable": nullable})
}

/// A value as text. The keys are sorted here: whether `serde_json` sorts them depends on the features of other crates.
fn text(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, &Value> = fields.iter().collect();
            let fields = fields.into_iter().map(|(name, field)| format!("{}:{}", json!(name), text(field)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(elements) => format!("[{}]", elements.iter().map(text).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::dataset::Variables;

    const TABLE: &str =
        "[[output]]\nname = 'a'\ntable = 'aaa'\nkey = ['k', 'l']\ncolumns = { k = 'text', l = 'int64', m = 'json?' }\n";
    const OBJECTS: &str = "[[output]]\nname = 'b'\nprefix = 's3://b/{$.day}/'\nformat = 'csv'\n";
    const SETTINGS: &str = "[settings]\na = 1\nb = { c = [1, 2], d = 'x' }\n";

    fn of(text: &str) -> String {
        let text = format!("dataset = 'd'\nplugin.component = 'p'\nmap.items = []\n{text}");
        contents(&Dataset::parse(&text, Path::new("d.toml"), &Variables::default()).unwrap())
    }

    #[test]
    fn the_form_is_pinned() {
        insta::assert_snapshot!(of(&[SETTINGS, TABLE, OBJECTS].concat()), @r#"{"outputs":{"a":{"columns":[{"name":"k","nullable":false,"type":"text"},{"name":"l","nullable":false,"type":"int64"},{"name":"m","nullable":true,"type":"json"}],"target":{"key":["k","l"],"table":"aaa"}},"b":{"columns":null,"target":{"format":"csv","prefix":{"template":"s3://b/{$.day}/"}}}},"settings":{"a":1,"b":{"c":[1,2],"d":"x"}}}"#);
        let run = RunValues::from([("input.z".into(), json!({"b": 1, "a": [null]})), ("context.x".into(), json!("é"))]);
        assert_eq!(values(&run), r#"{"context.x":"é","input.z":{"a":[null],"b":1}}"#);
    }

    #[test]
    fn the_order_of_keys_settings_and_outputs_means_nothing() {
        let ordered = of(&[SETTINGS, TABLE, OBJECTS].concat());
        let settings = "[settings]\nb = { d = 'x', c = [1, 2] }\na = 1\n";
        let table = "[[output]]\nkey = ['k', 'l']\ncolumns = { k = 'text', l = 'int64', m = 'json?' }\ntable = 'aaa'\nname = 'a'\n";
        assert_eq!(of(&[OBJECTS, table, settings].concat()), ordered);
        assert_eq!(of(&[SETTINGS, TABLE, OBJECTS, "# a comment\n"].concat()), ordered);
    }

    /// So what was done before there was a choice is not done again.
    #[test]
    fn a_default_compression_is_the_form_without_it() {
        for (format, default) in [("csv", "none"), ("json_lines", "none"), ("parquet", "zstd")] {
            let plain = OBJECTS.replace("csv", format);
            assert_eq!(of(&format!("{plain}compression = '{default}'\n")), of(&plain));
        }
    }

    /// Whatever the insertion order of a map is, and whether or not the map keeps it.
    #[test]
    fn keys_are_sorted_at_every_depth() {
        let one = text(&serde_json::from_str(r#"{"b": [{"y": 1, "x": 2}], "a": {"d": 1, "c": 2}}"#).unwrap());
        assert_eq!(one, r#"{"a":{"c":2,"d":1},"b":[{"x":2,"y":1}]}"#);
    }

    #[test]
    fn every_change_is_another_form() {
        let whole = [SETTINGS, TABLE, OBJECTS].concat();
        let changes = [
            ("a = 1", "a = 2"),
            ("a = 1", "a = 1.0"),
            ("a = 1", "a = '1'"),
            ("c = [1, 2]", "c = [2, 1]"),
            ("d = 'x'", "e = 'x'"),
            ("name = 'a'", "name = 'c'"),
            ("table = 'aaa'", "table = 'aab'"),
            ("key = ['k', 'l']", "key = ['l', 'k']"),
            ("key = ['k', 'l']", "key = ['k']"),
            ("k = 'text', l = 'int64'", "l = 'int64', k = 'text'"),
            ("m = 'json?'", "n = 'json?'"),
            ("m = 'json?'", "m = 'json'"),
            ("m = 'json?'", "m = 'boolean?'"),
            ("m = 'json?'", "m = 'float64?'"),
            ("m = 'json?'", "m = 'date?'"),
            ("m = 'json?'", "m = 'timestamp?'"),
            ("m = 'json?'", "m = 'text?'"),
            ("m = 'json?'", "m = 'int64?'"),
            ("columns = { k = 'text', l = 'int64', m = 'json?' }\n", ""),
            ("{$.day}", "{$.night}"),
            ("{$.day}", "day"),
            ("s3://b/{$.day}", "s3://c/day"),
            ("s3://b/{$.day}", "s3://b/days"),
            ("format = 'csv'", "format = 'parquet'"),
            ("format = 'csv'", "format = 'json_lines'"),
            ("format = 'csv'", "format = 'csv'\ncompression = 'gzip'"),
            ("format = 'csv'", "format = 'csv'\ncompression = 'zstd'"),
            ("format = 'csv'", "format = 'json_lines'\ncompression = 'gzip'"),
            ("format = 'csv'", "format = 'json_lines'\ncompression = 'zstd'"),
            ("format = 'csv'", "format = 'parquet'\ncompression = 'snappy'"),
            ("format = 'csv'", "format = 'parquet'\ncompression = 'gzip'"),
            ("format = 'csv'", "format = 'parquet'\ncompression = 'none'"),
            (OBJECTS, ""),
        ];
        let changed = changes.map(|(from, to)| {
            assert!(whole.contains(from), "{from}");
            of(&whole.replace(from, to))
        });
        let forms = BTreeSet::from(changed);
        assert_eq!(forms.len(), changes.len());
        assert!(!forms.contains(&of(&whole)));
    }
}
