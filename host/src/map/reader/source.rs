//! Where items come from, with all placeholders filled in.

use std::fmt;

use serde_json::value::RawValue;

use super::format::Stop;
use super::item::Item;
use super::json;
use crate::dataset::{ItemReader, LoadAs, Range, Scope, Template};
use crate::object::Location;

/// Where items come from, with all placeholders filled in.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Every object under the prefix.
    ListObjects(Location),
    /// What is in every object under the prefix.
    Load {
        /// The prefix.
        at: Location,
        /// What the objects are.
        as_: LoadAs,
    },
    /// Every row of a CSV object.
    Csv {
        /// The object.
        at: Location,
        /// The columns' names, or none when the first row has them.
        headers: Option<Vec<String>>,
        /// What separates fields: an ASCII character.
        delimiter: char,
    },
    /// Every element of an array in a JSON document, or every field of an object in it.
    Json {
        /// The document.
        at: Location,
        /// Where the array or object is (RFC 6901); empty for the whole document.
        pointer: String,
    },
    /// Every line of a JSON lines object.
    JsonLines {
        /// The object.
        at: Location,
    },
    /// Every object that an S3 Inventory lists.
    Inventory {
        /// Its `manifest.json`.
        manifest: Location,
    },
    /// Every row of a Parquet object.
    Parquet {
        /// The object.
        at: Location,
    },
    /// Every row of the Parquet files that a query of Athena wrote.
    AthenaRows {
        /// The manifest of the query.
        manifest: Location,
    },
    /// What a step of the run has written: what a stage before has committed, or the slices of a table.
    Step {
        /// An object of JSON lines; none if there are no items.
        at: Option<Location>,
        /// What they are.
        what: String,
    },
    /// These.
    Items(Vec<Item>),
    /// Numbers or dates.
    Range(Range),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ListObjects(at) => write!(f, "the objects under {at}"),
            Self::Load { at, .. } => write!(f, "what is in the objects under {at}"),
            Self::Csv { at, .. } => write!(f, "the rows of {at}"),
            Self::Json { at, pointer } if pointer.is_empty() => write!(f, "the elements of {at}"),
            Self::Json { at, pointer } => write!(f, "the elements of `{pointer}` in {at}"),
            Self::JsonLines { at } => write!(f, "the lines of {at}"),
            Self::Inventory { manifest } => write!(f, "the objects in the inventory {manifest}"),
            Self::Parquet { at } => write!(f, "the rows of {at}"),
            Self::AthenaRows { manifest } => write!(f, "the rows of the files in {manifest}"),
            Self::Step { what, .. } => f.write_str(what),
            Self::Items(_) => f.write_str("`items` of the dataset file"),
            Self::Range(_) => f.write_str("the range in the dataset file"),
        }
    }
}

impl Source {
    /// Where it is looked at.
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::ListObjects(at) | Self::Csv { at, .. } | Self::Json { at, .. } | Self::JsonLines { at } => Some(at),
            Self::Load { at, .. } | Self::Parquet { at } => Some(at),
            Self::Step { at, .. } => at.as_ref(),
            Self::Inventory { manifest } | Self::AthenaRows { manifest } => Some(manifest),
            Self::Items(_) | Self::Range(_) => None,
        }
    }

    /// Fills in the placeholders of an item reader. The error is a sentence that names the key.
    pub fn resolve(reader: &ItemReader, scope: &Scope<'_>) -> Result<Self, String> {
        let filled =
            |name: &str, template: &Template| template.render(scope).map_err(|reason| format!("`{name}`: {reason}"));
        let location = |name: &str, uri: &Template| {
            let uri = filled(name, uri)?;
            match serde_json::from_str::<String>(uri.get()) {
                Ok(uri) => uri.parse::<Location>().map_err(|error| format!("`{name}`: {error}")),
                Err(_) => Err(format!("`{name}` must be a URI, but it is {uri}")),
            }
        };
        Ok(match reader {
            ItemReader::ListObjects { uri } => Self::ListObjects(location("list_objects", uri)?),
            ItemReader::Load { uri, as_ } => Self::Load { at: location("list_objects", uri)?, as_: as_.clone() },
            ItemReader::Csv { uri, headers, delimiter } => {
                Self::Csv { at: location("csv", uri)?, headers: headers.clone(), delimiter: *delimiter }
            }
            ItemReader::Json { uri, pointer } => Self::Json { at: location("json", uri)?, pointer: pointer.clone() },
            ItemReader::JsonLines { uri } => Self::JsonLines { at: location("json_lines", uri)? },
            ItemReader::S3Inventory { uri } => Self::Inventory { manifest: location("s3_inventory", uri)? },
            ItemReader::Parquet { uri } => Self::Parquet { at: location("parquet", uri)? },
            ItemReader::AthenaRows { uri } => Self::AthenaRows { manifest: location("athena_rows", uri)? },
            ItemReader::Items(items) => Self::Items(all_of(&filled("items", items)?)?),
            ItemReader::Range(range) => Self::Range(*range),
            ItemReader::Table(table) => {
                return Err(format!("`item_reader`: the slices of {} are known when a run has begun", table.table));
            }
            ItemReader::Stage { stage, .. } => {
                return Err(format!("`item_reader`: what the stage `{stage}` commits is known when it has run"));
            }
        })
    }
}

/// The elements of an array, or the fields of an object.
fn all_of(value: &RawValue) -> Result<Vec<Item>, String> {
    if !value.get().starts_with(['[', '{']) {
        return Err(format!("`items` must be an array or an object, but it is {value}"));
    }
    let mut items = Vec::new();
    let mut emit = |item| {
        items.push(item);
        Ok(())
    };
    match json::read(&mut value.get().as_bytes(), "", &mut emit) {
        Ok(()) => Ok(items),
        Err(Stop::Format(reason)) => Err(format!("`items`: {reason}")),
        Err(Stop::Io(error)) => Err(format!("`items`: {error}")),
        Err(Stop::Gone) => Ok(items),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resolve(reader: &ItemReader) -> Result<Source, String> {
        let input =
            r#"{"bucket": "b", "list": [1.0, 12345678901234567890123], "object": {"z": {"x":1}, "a" : 2}, "no": 3}"#;
        Source::resolve(reader, &Scope::new(&RawValue::from_string(input.into()).unwrap()))
    }

    fn item(key: Option<&str>, value: &str) -> Item {
        Item { key: key.map(str::to_owned), value: RawValue::from_string(value.into()).unwrap() }
    }

    #[test]
    fn placeholders_become_a_source() {
        let uri = || Template(json!("s3://{$.bucket}/k"));
        let at = || Location { bucket: "b".into(), key: "k".into() };
        assert_eq!(resolve(&ItemReader::ListObjects { uri: uri() }), Ok(Source::ListObjects(at())));
        let csv = ItemReader::Csv { uri: uri(), headers: Some(vec!["a".into()]), delimiter: '|' };
        assert_eq!(resolve(&csv), Ok(Source::Csv { at: at(), headers: Some(vec!["a".into()]), delimiter: '|' }));
    }

    #[test]
    fn items_are_elements_or_fields_as_they_are_written() {
        for (template, items) in [
            (json!([1, "a"]), vec![item(None, "1"), item(None, "\"a\"")]),
            (json!("{$.list}"), vec![item(None, "1.0"), item(None, "12345678901234567890123")]),
            (json!("{$.object}"), vec![item(Some("z"), r#"{"x":1}"#), item(Some("a"), "2")]),
        ] {
            assert_eq!(resolve(&ItemReader::Items(Template(template))), Ok(Source::Items(items)));
        }
        assert_eq!(item(Some("z\""), "1.0").into_json().unwrap().get(), r#"{"Key":"z\"","Value":1.0}"#);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (reader, expected) in [
            (ItemReader::Items(Template(json!("x"))), "`items` must be an array or an object, but it is \"x\""),
            (ItemReader::Items(Template(json!("{$.no}"))), "`items` must be an array or an object, but it is 3"),
            (ItemReader::JsonLines { uri: Template(json!(3)) }, "`json_lines` must be a URI, but it is 3"),
            (
                ItemReader::JsonLines { uri: Template(json!("{$.x}")) },
                "`json_lines`: `{$.x}`: there is no such field in the input",
            ),
            (ItemReader::ListObjects { uri: Template(json!("b/k")) }, "`list_objects`: `b/k` is not an object's URI"),
        ] {
            let error = resolve(&reader).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
