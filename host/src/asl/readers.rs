//! Where a Distributed Map reads its items, and where it writes its answers.

use serde_json::{Map, Value, json};

use crate::dataset::{DELIMITERS, ItemReader, Template, TemplateError};

pub(super) fn item_reader(reader: &ItemReader, max_items: Option<u32>) -> Result<Value, TemplateError> {
    let (operation, uri, key_name, config) = match reader {
        ItemReader::ListObjects { uri } => ("listObjectsV2", uri, "Prefix", None),
        ItemReader::Csv { uri, headers, delimiter } => {
            let word = DELIMITERS.iter().find(|(character, _)| character == delimiter);
            let mut config = json!({"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW", "CSVDelimiter": word.map_or("COMMA", |(_, word)| word)});
            if let Some(headers) = headers {
                config["CSVHeaderLocation"] = "GIVEN".into();
                config["CSVHeaders"] = json!(headers);
            }
            ("getObject", uri, "Key", Some(config))
        }
        ItemReader::Json { uri, pointer } => {
            let mut config = json!({"InputType": "JSON"});
            if !pointer.is_empty() {
                config["ItemsPointer"] = pointer.as_str().into();
            }
            ("getObject", uri, "Key", Some(config))
        }
        ItemReader::JsonLines { uri } => ("getObject", uri, "Key", Some(json!({"InputType": "JSONL"}))),
        ItemReader::S3Inventory { uri } => ("getObject", uri, "Key", Some(json!({"InputType": "MANIFEST"}))),
        ItemReader::Parquet { uri } => ("getObject", uri, "Key", Some(json!({"InputType": "PARQUET"}))),
        ItemReader::AthenaRows { uri } => {
            ("getObject", uri, "Key", Some(json!({"InputType": "PARQUET", "ManifestType": "ATHENA_DATA"})))
        }
        ItemReader::Items(Template(value)) => return Err(TemplateError::NoUri(value.to_string())),
    };
    let (bucket, key) = uri.split_uri()?;
    let mut parameters = Map::from_iter([bucket.payload_field("Bucket", "$")?]);
    // A listing of a whole bucket has no prefix.
    if key.0 != "" {
        parameters.extend([key.payload_field(key_name, "$")?]);
    }
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
    Ok(reader)
}

pub(super) fn result_writer(place: &Template, root: &str) -> Result<Value, TemplateError> {
    let (bucket, Template(key)) = place.split_uri()?;
    let key = Template(key.as_str().unwrap_or_default().trim_end_matches('/').into());
    let parameters = Map::from_iter([bucket.payload_field("Bucket", root)?, key.payload_field("Prefix", root)?]);
    Ok(json!({"Resource": "arn:aws:states:::s3:putObject", "Parameters": parameters}))
}
