//! What an item may be.

use gristmill_plugin::S3Object;
use gristmill_plugin::table::Date;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::{Map, Value};

/// Work of one of the two stages.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    /// An object of arrival, to be landed: an object of a listing.
    Object(S3Object),
    /// The same by its `s3://bucket/key`.
    File(String),
    /// A day of landed events, to be rolled.
    Day(Day),
}

/// A partition of landed events, with the one before it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Day {
    /// Which day it is.
    pub(crate) date: Date,
    /// The files of the day.
    pub(crate) files: Vec<String>,
    /// The files of the day before.
    pub(crate) before: Vec<String>,
}

/// As the item has it.
#[derive(Deserialize)]
struct Partition {
    partition: Values,
    files: Vec<String>,
    #[serde(default)]
    before: Vec<String>,
}

/// The values of the path, as texts.
#[derive(Deserialize)]
struct Values {
    year: String,
    month: String,
    day: String,
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Map::deserialize(deserializer)?;
        let has = |name| fields.contains_key(name);
        if has("partition") {
            let found = Partition::deserialize(Value::Object(fields)).map_err(D::Error::custom)?;
            let date = found.partition.date().ok_or_else(|| {
                let Values { year, month, day } = &found.partition;
                D::Error::custom(format!("there is no day year={year}/month={month}/day={day}"))
            })?;
            return Ok(Self::Day(Day { date, files: found.files, before: found.before }));
        }
        match fields.get("uri") {
            Some(Value::String(uri)) => return Ok(Self::File(uri.clone())),
            Some(other) => return Err(D::Error::custom(format!("`uri` is no text but {other}"))),
            None => {}
        }
        if !has("Key") {
            let why = "it is neither an object (`Key`, `uri`) nor a day of landed events (`partition`, `files`)";
            return Err(D::Error::custom(why));
        }
        S3Object::deserialize(Value::Object(fields)).map(Self::Object).map_err(D::Error::custom)
    }
}

impl Values {
    fn date(&self) -> Option<Date> {
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        Date::from_ymd(number(&self.year)?, number(&self.month)?, number(&self.day)?)
    }
}

#[cfg(test)]
mod tests {
    use gristmill_plugin::json;

    use super::*;

    fn item(value: Value) -> Result<Item, String> {
        serde_json::from_value(value).map_err(|error: serde_json::Error| error.to_string())
    }

    #[test]
    fn its_shape_says_which_stage_it_belongs_to() {
        let listed = json!({"Key": "arrived/a.jsonl.gz", "Size": 7, "Etag": "x", "StorageClass": "STANDARD"});
        assert!(matches!(item(listed), Ok(Item::Object(object)) if object.key == "arrived/a.jsonl.gz"));
        assert_eq!(item(json!({"uri": "s3://b/k"})), Ok(Item::File("s3://b/k".into())));
        let day = json!({"partition": {"year": "2026", "month": "03", "day": "29"}, "files": ["s3://b/k"], "at": 1});
        let expected = Day { date: Date(20_541), files: vec!["s3://b/k".into()], before: vec![] };
        assert_eq!(item(day), Ok(Item::Day(expected)));
    }

    #[test]
    fn what_is_no_item_is_said_to_be_none() {
        let said = |value| item(value).unwrap_err();
        let neither = "it is neither an object (`Key`, `uri`) nor a day of landed events (`partition`, `files`)";
        assert_eq!(said(json!({"files": []})), neither);
        assert_eq!(said(json!({"uri": 1})), "`uri` is no text but 1");
        let day = |day: Value| json!({"partition": {"year": "2026", "month": "02", "day": day}, "files": []});
        assert_eq!(said(day(json!("29"))), "there is no day year=2026/month=02/day=29");
        assert_eq!(said(day(json!("+1"))), "there is no day year=2026/month=02/day=+1");
        assert_eq!(said(day(json!(1))), "invalid type: integer `1`, expected a string");
        assert_eq!(said(json!({"partition": {"year": "2026"}})), "missing field `month`");
    }
}
