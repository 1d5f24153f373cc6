//! One call of `process`: JSON in, typed values out.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::Failure;
use crate::bindings::gristmill::plugin::types;

/// An item with everything that belongs to it.
///
/// The types are the plugin's own: whatever serde can read. By default an item is an object of an S3 listing, the batch
/// input names the bucket, and there are no settings.
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
    /// The object's `s3://bucket/key`.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("s3://{}/{}", self.batch_input.bucket, self.item.key)
    }
}

/// Settings of a plugin that has none.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// An item of Step Functions' `listObjectsV2` item reader.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct S3Object {
    /// The object's key, not URL-encoded.
    #[serde(rename = "Key")]
    pub key: String,
    /// The object's size in bytes when it was listed.
    #[serde(rename = "Size")]
    pub size: Option<u64>,
    /// The object's entity tag when it was listed. Step Functions writes `Etag`, S3 itself `ETag`.
    #[serde(rename = "Etag", alias = "ETag")]
    pub etag: Option<String>,
}

/// A batch input that names the bucket in which the items' keys lie.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Bucket {
    /// The bucket's name.
    #[serde(rename = "Bucket")]
    pub bucket: String,
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
            assert_eq!(call.uri(), "s3://weather/a/b c+d.csv");
            assert_eq!((call.item.size, call.index), (Some(7), 3));
            assert_eq!(call.item.etag.as_deref(), Some("\"abc\""));
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
            ("{}", "null", key, "BadBatchInput", "the batch input null cannot be used"),
            ("{}", "{}", key, "BadBatchInput", "missing field `Bucket`"),
            (r#"{"x":1}"#, bucket, key, "BadSettings", "unknown field `x`"),
        ] {
            let failure = call(settings, batch_input, item).unwrap_err();
            assert_eq!((failure.code(), failure.is_retry()), (code, false));
            assert!(failure.message().contains(says), "{failure}");
        }
    }
}
