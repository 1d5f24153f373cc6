//! One call of `process`: JSON in, typed values out.

use std::fmt;

use serde::de::{DeserializeOwned, Error, IgnoredAny, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use crate::Failure;
use crate::bindings::gristmill::plugin::types;

/// An item with everything that belongs to it.
///
/// The types are the plugin's own: whatever serde can read. By default an item is an object of an S3 listing or an S3
/// Inventory, the batch input names the bucket of a listing, and there are no settings.
#[derive(Clone, Debug)]
pub struct Call<Settings = NoSettings, Item = S3Object, BatchInput = Bucket> {
    /// The dataset's name.
    pub dataset: String,
    /// The dataset file's `[settings]`.
    pub settings: Settings,
    /// The Distributed Map's `BatchInput`, the same for all items of a batch.
    pub batch_input: BatchInput,
    /// The item.
    pub item: Item,
    /// The item's place in its batch, from 0.
    pub index: u32,
}

impl<S> Call<S> {
    /// The object's `s3://bucket/key`. An inventory's item names its bucket itself; that of a listing is the batch input's.
    ///
    /// # Errors
    ///
    /// A reject (`BadBatchInput`) if neither names a bucket.
    pub fn uri(&self) -> Result<String, Failure> {
        let buckets = [&self.item.bucket, &self.batch_input.bucket];
        match buckets.into_iter().flatten().find(|bucket| !bucket.is_empty()) {
            Some(bucket) => Ok(format!("s3://{bucket}/{}", self.item.key)),
            None => Err(Failure::reject(
                "BadBatchInput",
                "neither the item nor the batch input has a `Bucket`: give the dataset's map a `batch_input` with one",
            )),
        }
    }
}

/// Settings of a plugin that has none.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// An item of Step Functions' `listObjectsV2` item reader, or of an S3 Inventory.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct S3Object {
    /// The object's bucket, which an inventory has with each object.
    #[serde(rename = "Bucket")]
    pub bucket: Option<String>,
    /// The object's key, not URL-encoded.
    #[serde(rename = "Key")]
    pub key: String,
    /// The object's size in bytes when it was listed: a number in a listing, and a text in an inventory.
    #[serde(rename = "Size", default, deserialize_with = "size")]
    pub size: Option<u64>,
    /// The object's entity tag when it was listed. Step Functions writes `Etag`, S3 itself `ETag`.
    #[serde(rename = "Etag", alias = "ETag")]
    pub etag: Option<String>,
}

/// A visitor, because an untagged enum would add 5 KiB to every component.
fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct Size;
    impl Visitor<'_> for Size {
        type Value = Option<u64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number of bytes")
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_u64<E: Error>(self, size: u64) -> Result<Self::Value, E> {
            Ok(Some(size))
        }

        /// An inventory knows no size of what marks a deleted object.
        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            if text.is_empty() {
                return Ok(None);
            }
            text.parse().map(Some).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
        }
    }
    deserializer.deserialize_any(Size)
}

/// A batch input that may name the bucket in which the items' keys lie.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(from = "Option<BucketField>")]
pub struct Bucket {
    /// The bucket's name.
    pub bucket: Option<String>,
}

/// A dataset without a batch input has `null`.
#[derive(Deserialize)]
struct BucketField {
    #[serde(rename = "Bucket")]
    bucket: Option<String>,
}

impl From<Option<BucketField>> for Bucket {
    fn from(field: Option<BucketField>) -> Self {
        Self { bucket: field.and_then(|field| field.bucket) }
    }
}

/// A batch input that does not matter.
pub type AnyBatchInput = IgnoredAny;

impl<S: DeserializeOwned, I: DeserializeOwned, B: DeserializeOwned> Call<S, I, B> {
    pub(crate) fn new(context: types::Context, item: &types::Item) -> Result<Self, Failure> {
        Ok(Self {
            settings: read("BadSettings", "the settings", &context.settings)?,
            batch_input: read("BadBatchInput", "the batch input", &context.batch_input)?,
            item: read("BadItem", "the item", &item.body)?,
            dataset: context.dataset,
            index: item.index,
        })
    }
}

fn read<T: DeserializeOwned>(code: &'static str, what: &str, json: &str) -> Result<T, Failure> {
    serde_json::from_str(json).map_err(|error| {
        let shown: String = json.chars().take(200).collect();
        Failure::reject(code, format!("{what} {shown} cannot be used: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(settings: &str, batch_input: &str, item: &str) -> Result<Call, Failure> {
        let context =
            types::Context { dataset: "d".into(), batch_input: batch_input.into(), settings: settings.into() };
        let item = types::Item { index: 3, body: item.into() };
        Call::new(context, &item)
    }

    #[test]
    fn an_item_of_a_listing_is_read_however_its_tag_is_spelled() {
        for tag in ["Etag", "ETag"] {
            let item = format!(
                r#"{{"{tag}":"\"abc\"","Key":"a/b c+d.csv","LastModified":1.5,"Size":7,"StorageClass":"STANDARD"}}"#
            );
            let call = call("{}", r#"{"Bucket":"weather"}"#, &item).unwrap();
            assert_eq!(call.uri().unwrap(), "s3://weather/a/b c+d.csv");
            assert_eq!((call.item.size, call.index), (Some(7), 3));
            assert_eq!(call.item.etag.as_deref(), Some("\"abc\""));
        }
    }

    #[test]
    fn an_item_of_an_inventory_names_its_bucket_and_has_its_size_as_a_text() {
        let item = r#"{"Bucket":"weather","Key":"a.csv","VersionId":"","Size":"7","ETag":"abc-1"}"#;
        for batch_input in ["null", "{}", r#"{"Bucket":"another"}"#] {
            let call = call("{}", batch_input, item).unwrap();
            assert_eq!(call.uri().unwrap(), "s3://weather/a.csv");
            assert_eq!((call.item.size, call.item.etag.as_deref()), (Some(7), Some("abc-1")));
        }
        assert_eq!(call("{}", "null", r#"{"Key":"a","Size":""}"#).unwrap().item.size, None);
    }

    #[test]
    fn an_item_that_nobody_names_a_bucket_of_is_rejected() {
        for (batch_input, item) in [("null", r#"{"Key":"k"}"#), (r#"{"Bucket":""}"#, r#"{"Key":"k","Bucket":""}"#)] {
            let failure = call("{}", batch_input, item).unwrap().uri().unwrap_err();
            assert_eq!((failure.code(), failure.is_retry()), ("BadBatchInput", false));
        }
    }

    #[test]
    fn a_number_of_an_item_keeps_its_last_digit() {
        let context = types::Context { dataset: "d".into(), batch_input: "null".into(), settings: "{}".into() };
        let item = types::Item { index: 0, body: "[13.257015454484765]".into() };
        let call: Call<NoSettings, [f64; 1], AnyBatchInput> = Call::new(context, &item).unwrap();
        assert_eq!(call.item, [13.257015454484765]);
    }

    #[test]
    fn what_cannot_be_used_is_rejected_by_name() {
        let (bucket, key) = (r#"{"Bucket":"b"}"#, r#"{"Key":"k"}"#);
        for (settings, batch_input, item, code, says) in [
            ("{}", bucket, r#"{"Size":7}"#, "BadItem", "missing field `Key`"),
            ("{}", bucket, r#""k""#, "BadItem", "the item \"k\" cannot be used"),
            ("{}", "7", key, "BadBatchInput", "the batch input 7 cannot be used"),
            ("{}", r#"{"Bucket":7}"#, key, "BadBatchInput", "invalid type: integer `7`"),
            ("{}", bucket, r#"{"Key":"k","Size":"large"}"#, "BadItem", "expected a number of bytes"),
            ("{}", bucket, r#"{"Key":"k","Size":-1}"#, "BadItem", "expected a number of bytes"),
            (r#"{"x":1}"#, bucket, key, "BadSettings", "unknown field `x`"),
        ] {
            let failure = call(settings, batch_input, item).unwrap_err();
            assert_eq!((failure.code(), failure.is_retry()), (code, false));
            assert!(failure.message().contains(says), "{failure}");
        }
    }
}
