//! What an item may be. Its shape says which stage it belongs to.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Map, Value};

/// An item of either stage.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// Stage extract: a day, as `"20180131"` or `{"date": "20180131"}`.
    Day(String),
    /// Stage extract: a file of a listing.
    File {
        /// Its bucket, where the item says it.
        bucket: Option<String>,
        /// Its key.
        key: String,
    },
    /// Stage series: what the first stage wrote of one point.
    Point {
        /// The point.
        point_id: i64,
        /// The files' `s3://bucket/key`.
        files: Vec<String>,
    },
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = match Value::deserialize(deserializer)? {
            Value::String(day) => return Ok(Self::Day(day)),
            Value::Object(fields) => fields,
            other => return Err(D::Error::custom(format!("it is neither a text nor an object but {other}"))),
        };
        if let Some(day) = text(&mut fields, "date")? {
            return Ok(Self::Day(day));
        }
        if let Some(key) = text(&mut fields, "Key")? {
            return Ok(Self::File { bucket: text(&mut fields, "Bucket")?, key });
        }
        let (Some(Value::Object(partition)), Some(Value::Array(files))) =
            (fields.remove("partition"), fields.remove("files"))
        else {
            return Err(D::Error::custom(
                "it is no day (`date`), no file (`Key`) and no partition (`partition`, `files`)",
            ));
        };
        let point_id = match partition.get("point_id") {
            Some(Value::String(text)) => text.parse().ok(),
            Some(Value::Number(number)) => number.as_i64(),
            _ => None,
        };
        let point_id =
            point_id.ok_or_else(|| D::Error::custom("its `partition` has no `point_id` that is an integer"))?;
        let file = |file| match file {
            Value::String(uri) => Ok(uri),
            other => Err(D::Error::custom(format!("one of its `files` is no text but {other}"))),
        };
        Ok(Self::Point { point_id, files: files.into_iter().map(file).collect::<Result<_, _>>()? })
    }
}

fn text<E: Error>(fields: &mut Map<String, Value>, name: &str) -> Result<Option<String>, E> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(E::custom(format!("`{name}` is no text but {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(value: Value) -> Result<Item, String> {
        serde_json::from_value(value).map_err(|error: serde_json::Error| error.to_string())
    }

    #[test]
    fn the_shape_says_the_stage() {
        assert_eq!(item(json!("20180101")), Ok(Item::Day("20180101".into())));
        assert_eq!(item(json!({"date": "20180101"})), Ok(Item::Day("20180101".into())));
        let file = json!({"Key": "a.nc", "Size": 7, "Etag": "x"});
        assert_eq!(item(file), Ok(Item::File { bucket: None, key: "a.nc".into() }));
        for id in [json!("17"), json!(17)] {
            let partition = json!({"partition": {"point_id": id}, "files": ["s3://b/k"]});
            assert_eq!(item(partition), Ok(Item::Point { point_id: 17, files: vec!["s3://b/k".into()] }));
        }
    }

    #[test]
    fn what_is_no_item_is_said_to_be_none() {
        let said = |value| item(value).unwrap_err();
        assert_eq!(said(json!(20180101)), "it is neither a text nor an object but 20180101");
        assert_eq!(said(json!({"date": 1})), "`date` is no text but 1");
        assert_eq!(
            said(json!({"uri": "s3://b/k"})),
            "it is no day (`date`), no file (`Key`) and no partition (`partition`, `files`)"
        );
        for id in [json!(null), json!("x"), json!(1.5)] {
            let said = said(json!({"partition": {"point_id": id}, "files": []}));
            assert_eq!(said, "its `partition` has no `point_id` that is an integer");
        }
        assert_eq!(said(json!({"partition": {"point_id": "1"}, "files": [1]})), "one of its `files` is no text but 1");
    }
}
