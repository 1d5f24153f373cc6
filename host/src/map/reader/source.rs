//! Where items come from, with all placeholders filled in.

use std::fmt;

use serde_json::Value;

use crate::dataset::{ItemReader, Template};
use crate::object::Location;

/// Where items come from, with all placeholders filled in.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Every object under the prefix.
    ListObjects(Location),
    /// Every row of a CSV object.
    Csv {
        /// The object.
        at: Location,
        /// The columns' names, or none when the first row has them.
        headers: Option<Vec<String>>,
        /// What separates fields: an ASCII character.
        delimiter: char,
    },
    /// Every element of an array in a JSON object.
    Json {
        /// The object.
        at: Location,
        /// Where the array is (RFC 6901); empty for the whole document.
        pointer: String,
    },
    /// Every line of a JSON lines object.
    JsonLines {
        /// The object.
        at: Location,
    },
    /// These.
    Items(Vec<Value>),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ListObjects(at) => write!(f, "the objects under {at}"),
            Self::Csv { at, .. } => write!(f, "the rows of {at}"),
            Self::Json { at, .. } => write!(f, "the array in {at}"),
            Self::JsonLines { at } => write!(f, "the lines of {at}"),
            Self::Items(_) => f.write_str("the items of the dataset file"),
        }
    }
}

impl Source {
    /// Fills in the placeholders of an item reader. The error is a sentence that names the key.
    pub fn resolve(reader: &ItemReader, evaluate: impl Fn(&Template) -> Result<Value, String>) -> Result<Self, String> {
        let location =
            |name: &str, uri: &Template| match evaluate(uri).map_err(|reason| format!("`{name}`: {reason}"))? {
                Value::String(uri) => uri.parse::<Location>().map_err(|error| format!("`{name}`: {error}")),
                other => Err(format!("`{name}` must be a URI, but it is {other}")),
            };
        Ok(match reader {
            ItemReader::ListObjects { uri } => Self::ListObjects(location("list_objects", uri)?),
            ItemReader::Csv { uri, headers, delimiter } => {
                Self::Csv { at: location("csv", uri)?, headers: headers.clone(), delimiter: *delimiter }
            }
            ItemReader::Json { uri, pointer } => Self::Json { at: location("json", uri)?, pointer: pointer.clone() },
            ItemReader::JsonLines { uri } => Self::JsonLines { at: location("json_lines", uri)? },
            ItemReader::Items(items) => match evaluate(items).map_err(|reason| format!("`items`: {reason}"))? {
                Value::Array(items) => Self::Items(items),
                other => return Err(format!("`items` must be an array, but it is {other}")),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resolve(reader: &ItemReader) -> Result<Source, String> {
        Source::resolve(reader, |template| match template.0.as_str() {
            Some("{$.x}") => Err("the input has no `x`".into()),
            _ => Ok(template.0.clone()),
        })
    }

    #[test]
    fn placeholders_become_a_source() {
        let uri = || Template(json!("s3://b/k"));
        let at = || Location { bucket: "b".into(), key: "k".into() };
        assert_eq!(resolve(&ItemReader::ListObjects { uri: uri() }), Ok(Source::ListObjects(at())));
        let csv = ItemReader::Csv { uri: uri(), headers: Some(vec!["a".into()]), delimiter: '|' };
        assert_eq!(resolve(&csv), Ok(Source::Csv { at: at(), headers: Some(vec!["a".into()]), delimiter: '|' }));
        assert_eq!(
            resolve(&ItemReader::Items(Template(json!([1, "a"])))),
            Ok(Source::Items(vec![json!(1), json!("a")]))
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (reader, expected) in [
            (ItemReader::Items(Template(json!("x"))), "`items` must be an array, but it is \"x\""),
            (ItemReader::JsonLines { uri: Template(json!(3)) }, "`json_lines` must be a URI, but it is 3"),
            (ItemReader::JsonLines { uri: Template(json!("{$.x}")) }, "`json_lines`: the input has no `x`"),
            (ItemReader::ListObjects { uri: Template(json!("b/k")) }, "`list_objects`: `b/k` is not an object's URI"),
        ] {
            let error = resolve(&reader).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
