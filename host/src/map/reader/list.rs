//! `listObjectsV2`: every object under a prefix, page by page.

use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use serde_json::value::to_raw_value;

use super::item::Item;
use super::items::{Items, ReadError};
use crate::object::{Location, Metadata, ObjectError, ObjectStore};

/// The objects' descriptions.
pub(super) fn objects(store: Arc<dyn ObjectStore>, prefix: Location) -> Items {
    found(store, prefix).map(|metadata| item(&metadata?)).boxed()
}

/// The objects. A "folder" that somebody made in a console, a key that ends in `/` and has no bytes, is no item;
/// in the cloud, where Step Functions lists, workers pass over it ([`crate::job::left_out`]).
pub(super) fn found(store: Arc<dyn ObjectStore>, prefix: Location) -> BoxStream<'static, Result<Metadata, ReadError>> {
    /// Which page comes next.
    enum Page {
        First,
        Next(String),
        None,
    }
    stream::try_unfold(Page::First, move |page| {
        let (store, prefix) = (store.clone(), prefix.clone());
        async move {
            let token = match &page {
                Page::First => None,
                Page::Next(token) => Some(token.as_str()),
                Page::None => return Ok(None),
            };
            let listed = store.list(&prefix, token).await?;
            Ok::<_, ReadError>(Some((listed.objects, listed.next.map_or(Page::None, Page::Next))))
        }
    })
    .map_ok(|objects| {
        let (markers, objects): (Vec<_>, Vec<_>) =
            objects.into_iter().partition(|object| object.size == 0 && object.location.key.ends_with('/'));
        if let Some(first) = markers.first() {
            let (first, count) = (&first.location, markers.len());
            tracing::warn!(count, %first, "left out of the items: objects without bytes that mark a folder");
        }
        stream::iter(objects).map(Ok)
    })
    .try_flatten()
    .boxed()
}

/// An object as Step Functions describes it, in its order of fields.
fn item(metadata: &Metadata) -> Result<Item, ReadError> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Description<'a> {
        /// With its quotes.
        etag: &'a str,
        key: &'a str,
        /// Seconds since 1970.
        #[serde(skip_serializing_if = "Option::is_none")]
        last_modified: Option<i64>,
        size: u64,
        storage_class: &'static str,
    }
    to_raw_value(&Description {
        etag: &metadata.etag,
        key: &metadata.location.key,
        last_modified: metadata.last_modified.map(time::OffsetDateTime::unix_timestamp),
        size: metadata.size,
        storage_class: "STANDARD",
    })
    .map(Item::from)
    .map_err(|error| ObjectError::Invalid(format!("{}: {error}", metadata.location)).into())
}
