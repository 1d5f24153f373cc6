//! What an item may be.

use gristmill_plugin::json;
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Map, Value};

use crate::logic::{METRICS, Reading};

/// A file of readings, or one reading.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    /// A file.
    File {
        /// Its `s3://bucket/key`.
        uri: String,
    },
    /// A row of a file, as Step Functions gives it.
    Reading(Reading<String>),
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        match fields.remove("uri") {
            Some(Value::String(uri)) => return Ok(Self::File { uri }),
            Some(other) => return Err(D::Error::custom(format!("`uri` is no text but {other}"))),
            None => {}
        }
        if !["deviceid", "timestamp"].iter().any(|name| fields.contains_key(*name)) {
            return Err(D::Error::custom("it is neither a file (`uri`) nor a reading (`deviceid`, `timestamp`)"));
        }
        let text = |value: Option<Value>, name: &str| match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(D::Error::custom(format!("`{name}` is no text but {other}"))),
        };
        let deviceid = text(fields.remove("deviceid"), "deviceid")?;
        let timestamp = text(fields.remove("timestamp"), "timestamp")?;
        let mut values = [None; METRICS.len()];
        for (value, name) in values.iter_mut().zip(METRICS) {
            let given = fields.remove(name).unwrap_or(json!(null));
            *value = number(&given).map_err(|()| D::Error::custom(format!("`{name}` is no number but {given}")))?;
        }
        Ok(Self::Reading(Reading { deviceid, timestamp, values }))
    }
}

/// A number. The rows of a CSV file have texts, which are empty where there is no value.
fn number(value: &Value) -> Result<Option<f64>, ()> {
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => Ok(number.as_f64()),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => text.parse().map(Some).map_err(drop),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(value: Value) -> Result<Item, String> {
        serde_json::from_value(value).map_err(|error: serde_json::Error| error.to_string())
    }

    #[test]
    fn a_row_is_the_same_reading_from_parquet_and_from_csv() {
        let parquet =
            json!({"deviceid": "d", "timestamp": "t", "temperature": 1.5, "humidity": null, "batterylevel": 20});
        let csv =
            json!({"deviceid": "d", "timestamp": "t", "temperature": "1.5", "humidity": "", "batterylevel": "20"});
        let values = [Some(1.5), None, Some(20.0), None, None];
        let expected = Item::Reading(Reading { deviceid: Some("d".into()), timestamp: Some("t".into()), values });
        assert_eq!(item(parquet), Ok(expected.clone()));
        assert_eq!(item(csv), Ok(expected));
    }

    #[test]
    fn what_is_no_item_is_said_to_be_none() {
        assert_eq!(item(json!({"uri": "s3://b/k"})), Ok(Item::File { uri: "s3://b/k".into() }));
        let said = |value| item(value).unwrap_err();
        assert_eq!(said(json!({"Key": "k"})), "it is neither a file (`uri`) nor a reading (`deviceid`, `timestamp`)");
        assert_eq!(said(json!({"uri": 1})), "`uri` is no text but 1");
        assert_eq!(said(json!({"deviceid": 1})), "`deviceid` is no text but 1");
        assert_eq!(said(json!({"deviceid": "d", "humidity": "wet"})), "`humidity` is no number but \"wet\"");
    }
}
