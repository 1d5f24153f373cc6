//! Where a Distributed Map reads its items, and where it writes its answers.

use serde_json::{Map, Value, json};

use super::error::AslError;
use crate::dataset::{DELIMITERS, ItemReader, LoadAs, Template, TemplateError};

/// The reader. `root` is where the execution's input lies, and `stage` where the state's input says what a stage before has left.
pub(super) fn item_reader(
    reader: &ItemReader,
    max_items: Option<u32>,
    root: &str,
    stage: Option<&str>,
) -> Result<Value, AslError> {
    let (operation, uri, key_name, config) = match reader {
        ItemReader::ListObjects { uri } => ("listObjectsV2", uri, "Prefix", None),
        ItemReader::Load { uri, as_ } => {
            let mut config = match as_ {
                LoadAs::Csv { headers, delimiter } => csv(headers.as_deref(), *delimiter),
                LoadAs::Json { pointer } => json_document(pointer),
                LoadAs::JsonLines => json!({"InputType": "JSONL"}),
                LoadAs::Parquet => json!({"InputType": "PARQUET"}),
            };
            config["Transformation"] = "LOAD_AND_FLATTEN".into();
            ("listObjectsV2", uri, "Prefix", Some(config))
        }
        ItemReader::Csv { uri, headers, delimiter } => {
            ("getObject", uri, "Key", Some(csv(headers.as_deref(), *delimiter)))
        }
        ItemReader::Json { uri, pointer } => ("getObject", uri, "Key", Some(json_document(pointer))),
        ItemReader::JsonLines { uri } => ("getObject", uri, "Key", Some(json!({"InputType": "JSONL"}))),
        ItemReader::S3Inventory { uri } => ("getObject", uri, "Key", Some(json!({"InputType": "MANIFEST"}))),
        ItemReader::Parquet { uri } => ("getObject", uri, "Key", Some(json!({"InputType": "PARQUET"}))),
        ItemReader::AthenaRows { uri } => {
            ("getObject", uri, "Key", Some(json!({"InputType": "PARQUET", "ManifestType": "ATHENA_DATA"})))
        }
        ItemReader::Items(Template(value)) => return Err(TemplateError::NoUri(value.to_string()).into()),
        ItemReader::Range(range) => return Err(AslError::Range(range.beyond_a_payload())),
        ItemReader::Stage { .. } | ItemReader::Table(_) => {
            let place = stage.unwrap_or(root);
            let parameters = json!({"Bucket.$": format!("{place}.Bucket"), "Key.$": format!("{place}.Key")});
            return Ok(configured("getObject", parameters, Some(json!({"InputType": "JSONL"})), max_items));
        }
    };
    let (bucket, key) = uri.split_uri()?;
    let mut parameters = Map::from_iter([bucket.payload_field("Bucket", root)?]);
    // A listing of a whole bucket has no prefix.
    if key.0 != "" {
        parameters.extend([key.payload_field(key_name, root)?]);
    }
    Ok(configured(operation, parameters.into(), config, max_items))
}

fn configured(operation: &str, parameters: Value, config: Option<Value>, max_items: Option<u32>) -> Value {
    let mut reader = json!({"Resource": format!("arn:aws:states:::s3:{operation}"), "Parameters": parameters});
    let config = match max_items {
        Some(most) => {
            let mut config = config.unwrap_or_else(|| json!({}));
            config["MaxItems"] = most.into();
            Some(config)
        }
        None => config,
    };
    if let Some(config) = config {
        reader["ReaderConfig"] = config;
    }
    reader
}

fn csv(headers: Option<&[String]>, delimiter: char) -> Value {
    let word = DELIMITERS.iter().find(|(character, _)| *character == delimiter);
    let mut config = json!({"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW", "CSVDelimiter": word.map_or("COMMA", |(_, word)| word)});
    if let Some(headers) = headers {
        config["CSVHeaderLocation"] = "GIVEN".into();
        config["CSVHeaders"] = json!(headers);
    }
    config
}

fn json_document(pointer: &str) -> Value {
    let mut config = json!({"InputType": "JSON"});
    if !pointer.is_empty() {
        config["ItemsPointer"] = pointer.into();
    }
    config
}

pub(super) fn result_writer(place: &Template, root: &str) -> Result<Value, TemplateError> {
    let (bucket, Template(key)) = place.split_uri()?;
    let key = Template(key.as_str().unwrap_or_default().trim_end_matches('/').into());
    let parameters = Map::from_iter([bucket.payload_field("Bucket", root)?, key.payload_field("Prefix", root)?]);
    Ok(json!({"Resource": "arn:aws:states:::s3:putObject", "Parameters": parameters}))
}
