//! A table in Glue's words. What somebody added to it (comments, descriptions, properties) is kept.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::Table;
use super::super::definition::{Column, Definition, Storage};
use super::super::projection::{ENABLED, TEMPLATE};
use crate::dataset::{Format, TextCompression};

/// What of a table may be given to `UpdateTable`.
const INPUT: [&str; 13] = [
    "Name",
    "Description",
    "Owner",
    "LastAccessTime",
    "LastAnalyzedTime",
    "Retention",
    "StorageDescriptor",
    "PartitionKeys",
    "ViewOriginalText",
    "ViewExpandedText",
    "TableType",
    "Parameters",
    "TargetTable",
];

/// What reads and writes the files of Hive's tables.
struct Classes {
    input: &'static str,
    output: &'static str,
    serde: &'static str,
}

const PARQUET: Classes = Classes {
    input: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    output: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    serde: "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
};
const JSON_LINES: Classes = Classes { serde: "org.openx.data.jsonserde.JsonSerDe", ..TEXT };
const CSV: Classes = Classes { serde: "org.apache.hadoop.hive.serde2.OpenCSVSerde", ..TEXT };
const TEXT: Classes = Classes {
    input: "org.apache.hadoop.mapred.TextInputFormat",
    output: "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    serde: "",
};

fn classes(storage: &Storage) -> Classes {
    match storage {
        Storage::Parquet => PARQUET,
        Storage::JsonLines => JSON_LINES,
        Storage::Csv => CSV,
        Storage::Other(_) => TEXT,
    }
}

/// A table that is not there yet.
pub(super) fn new_table(table: &Table) -> Value {
    let definition = table.definition();
    let mut input = of_definition(&table.name, &definition);
    let (classification, compression) = match table.format {
        Format::Parquet(_) => ("parquet", TextCompression::None),
        Format::JsonLines(compression) => ("json", compression),
        Format::Csv(compression) => ("csv", compression),
    };
    let compression = match compression {
        TextCompression::None => "none",
        TextCompression::Gzip => "gzip",
        TextCompression::Zstd => "zstd",
    };
    let parameters = &mut input["Parameters"];
    parameters["classification"] = classification.into();
    parameters["compressionType"] = compression.into();
    input
}

/// The least that a table has.
pub(super) fn of_definition(name: &str, definition: &Definition) -> Value {
    let classes = classes(&definition.storage);
    let serde = match &definition.storage {
        Storage::Other(serde) => serde,
        _ => classes.serde,
    };
    let settings = match definition.storage {
        Storage::Csv => json!({"separatorChar": ",", "quoteChar": "\""}),
        _ => json!({"serialization.format": "1"}),
    };
    let mut parameters = json!({"EXTERNAL": "TRUE"});
    if definition.storage == Storage::Csv {
        parameters["skip.header.line.count"] = "1".into();
    }
    for (property, value) in &definition.projection {
        parameters[property] = value.as_str().into();
    }
    json!({
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "PartitionKeys": columns(&definition.partition_keys, &[]),
        "Parameters": parameters,
        "StorageDescriptor": {
            "Location": definition.location,
            "Columns": columns(&definition.columns, &[]),
            "InputFormat": classes.input,
            "OutputFormat": classes.output,
            "SerdeInfo": {"SerializationLibrary": serde, "Parameters": settings},
        },
    })
}

/// An existing table that becomes this.
pub(super) fn evolved_table(found: &Value, evolved: &Definition) -> Value {
    let kept =
        found.as_object().into_iter().flatten().filter(|(name, value)| INPUT.contains(&&***name) && !value.is_null());
    let mut input: Map<String, Value> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    let old = found["StorageDescriptor"]["Columns"].as_array().map_or(&[][..], Vec::as_slice);
    input["StorageDescriptor"]["Columns"] = columns(&evolved.columns, old);
    let mut parameters = input.remove("Parameters").filter(Value::is_object).unwrap_or_else(|| json!({}));
    if !evolved.projection.is_empty()
        && let Some(parameters) = parameters.as_object_mut()
    {
        parameters.retain(|name, _| !is_projection(name));
        parameters.extend(evolved.projection.iter().map(|(name, value)| (name.clone(), value.as_str().into())));
    }
    input.insert("Parameters".into(), parameters);
    Value::Object(input)
}

/// What the catalog says of a table, or why it cannot be one of ours.
pub(super) fn definition(found: &Value) -> Result<Definition, String> {
    let parameters: BTreeMap<String, String> = found["Parameters"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    let is = |name: &str, value: &str| {
        parameters.iter().any(|(one, is)| one.eq_ignore_ascii_case(name) && is.eq_ignore_ascii_case(value))
    };
    let help = "publish under another name, or take that one out of the catalog";
    if found["TableType"].as_str().is_some_and(|kind| kind.contains("VIEW")) {
        return Err(format!("in the catalog it is a view: {help}"));
    }
    for format in ["ICEBERG", "DELTA", "HUDI"] {
        if is("table_type", format) || is("spark.sql.sources.provider", format) {
            return Err(format!("in the catalog it is a table of {format}, whose files only that may change: {help}"));
        }
    }
    let storage = &found["StorageDescriptor"];
    let mut projection = BTreeMap::new();
    if is(ENABLED, "true") {
        projection = parameters.into_iter().filter(|(name, _)| is_projection(name)).collect();
        projection.insert(ENABLED.to_owned(), "true".to_owned());
    }
    Ok(Definition {
        location: storage["Location"].as_str().unwrap_or_default().to_owned(),
        storage: read_storage(storage),
        columns: read_columns(&storage["Columns"]),
        partition_keys: read_columns(&found["PartitionKeys"]),
        projection,
    })
}

pub(super) fn read_storage(storage: &Value) -> Storage {
    let (serde, input) = (storage["SerdeInfo"]["SerializationLibrary"].as_str(), storage["InputFormat"].as_str());
    let ours = [Storage::Parquet, Storage::JsonLines, Storage::Csv].into_iter().find(|ours| {
        let classes = classes(ours);
        (serde, input) == (Some(classes.serde), Some(classes.input))
    });
    ours.unwrap_or_else(|| Storage::Other(serde.or(input).unwrap_or("nothing that says how they are read").to_owned()))
}

pub(super) fn read_columns(columns: &Value) -> Vec<Column> {
    let column = |column: &Value| {
        let text = |name: &str| column[name].as_str().unwrap_or_default().to_owned();
        Column::new(text("Name"), text("Type"))
    };
    columns.as_array().into_iter().flatten().map(column).collect()
}

/// Columns as Hive has them, each with what was said of the old one of its name.
fn columns(columns: &[Column], old: &[Value]) -> Value {
    let described = |column: &Column| {
        let (name, place) = (column.hive_name(), |old: &&Value| old["Name"].as_str().map(str::to_lowercase));
        let mut described =
            old.iter().find(|old| place(old).as_ref() == Some(&name)).cloned().unwrap_or_else(|| json!({}));
        if described["Name"].is_null() {
            described["Name"] = name.into();
        }
        described["Type"] = column.kind.as_str().into();
        described
    };
    columns.iter().map(described).collect()
}

fn is_projection(name: &str) -> bool {
    name.starts_with("projection.") || name == TEMPLATE
}
