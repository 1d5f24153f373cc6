//! What every [`ObjectWriter`] has to do, as a suite that runs against the folder and against an S3.

// The suite fails by panicking.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;

use super::{ContentType, Location, ObjectError, ObjectWriter, Uploaded};

/// Runs the suite. Everything it writes lies under `prefix`, where nothing may be yet, in a bucket that exists.
pub async fn suite(store: &dyn ObjectWriter, prefix: &Location) {
    suite_without_order(store, prefix).await;
    listings_are_ordered(store, &prefix.with_key(format!("{}contract/", prefix.key))).await;
}

/// The suite for a store that lists its objects in an order of its own. Amazon S3 lists by the keys' bytes; SeaweedFS goes through
/// its folders.
pub async fn suite_without_order(store: &dyn ObjectWriter, prefix: &Location) {
    let base = prefix.with_key(format!("{}contract/", prefix.key));
    what_was_written_is_read(store, &base).await;
    ranges_are_cut_at_the_end(store, &base).await;
    an_empty_object_is_an_object(store, &base).await;
    what_is_missing_is_not_found(store, &base).await;
    a_replaced_object_is_changed(store, &base).await;
    finished_uploads_are_anybodys(store, &base).await;
    aborted_uploads_stay_aborted(store, &base).await;
    uploads_of_a_name_are_aborted_together(store, &base).await;
    uploads_are_invisible_until_complete(store, &base).await;
    large_uploads_are_whole(store, &base).await;
    listings_are_whole_and_paged(store, &base).await;
    deletes_can_be_repeated(store, &base).await;
}

async fn put(store: &dyn ObjectWriter, at: &Location, bytes: impl Into<Bytes>) {
    let mut upload = store.upload(at, ContentType::Csv).await.unwrap();
    let bytes = bytes.into();
    upload.write(bytes.clone()).await.unwrap();
    let uploaded = upload.finish().await.unwrap();
    assert_eq!(uploaded.size, bytes.len() as u64);
    store.complete(&uploaded).await.unwrap();
}

fn under(base: &Location, key: &str) -> Location {
    base.with_key(format!("{}{key}", base.key))
}

async fn what_was_written_is_read(store: &dyn ObjectWriter, base: &Location) {
    let at = under(base, "name with spaces, ümläuts & 100%+1.csv");
    put(store, &at, "0123456789").await;
    let (metadata, first) = store.open(&at, 4).await.unwrap();
    assert_eq!((metadata.size, &first[..]), (10, &b"0123"[..]));
    assert_eq!(metadata.location, at);
    assert!(metadata.etag.starts_with('"') && metadata.etag.ends_with('"'), "{}", metadata.etag);
    assert!(metadata.last_modified.is_some());
    assert_eq!(store.open(&at, 1000).await.unwrap().1, "0123456789");
    assert_eq!(store.open(&at, 0).await.unwrap(), (metadata.clone(), Bytes::new()));
    assert_eq!(store.read(&at, &metadata.etag, 4..7).await.unwrap(), "456");
}

async fn ranges_are_cut_at_the_end(store: &dyn ObjectWriter, base: &Location) {
    let at = under(base, "ranges");
    put(store, &at, "0123456789").await;
    let etag = store.open(&at, 0).await.unwrap().0.etag;
    for (range, expected) in
        [(0..10, "0123456789"), (8..20, "89"), (9..u64::MAX, "9"), (10..20, ""), (30..40, ""), (5..5, ""), (0..1, "0")]
    {
        assert_eq!(store.read(&at, &etag, range.clone()).await.unwrap(), expected, "{range:?}");
    }
}

async fn an_empty_object_is_an_object(store: &dyn ObjectWriter, base: &Location) {
    let at = under(base, "empty");
    put(store, &at, "").await;
    let (metadata, first) = store.open(&at, 100).await.unwrap();
    assert_eq!((metadata.size, first.len()), (0, 0));
    assert!(store.read(&at, &metadata.etag, 0..10).await.unwrap().is_empty());
}

async fn what_is_missing_is_not_found(store: &dyn ObjectWriter, base: &Location) {
    let missing = under(base, "missing");
    let nowhere = Location { bucket: "gristmill-no-such-bucket".into(), key: "k".into() };
    for at in [&missing, &nowhere] {
        for first in [0, 10] {
            let error = store.open(at, first).await.unwrap_err();
            assert!(matches!(&error, ObjectError::NotFound(text) if text.contains(&at.to_string())), "{error:?}");
        }
        let error = store.read(at, "\"x\"", 0..1).await.unwrap_err();
        assert!(matches!(error, ObjectError::NotFound(_)), "{error:?}");
    }
    assert!(matches!(store.list(&nowhere, None).await, Err(ObjectError::NotFound(_))));
    for key in ["", " ", "\n\t", &"k".repeat(1025)] {
        let error = store.open(&base.with_key(key), 1).await.unwrap_err();
        assert!(matches!(error, ObjectError::Invalid(_)), "{key:?}: {error:?}");
    }
    let page = store.list(&under(base, "nothing/here"), None).await.unwrap();
    assert!(page.objects.is_empty() && page.next.is_none());
}

async fn a_replaced_object_is_changed(store: &dyn ObjectWriter, base: &Location) {
    let at = under(base, "replaced");
    put(store, &at, "one").await;
    let old = store.open(&at, 3).await.unwrap().0.etag;
    put(store, &at, "two").await;
    let error = store.read(&at, &old, 0..3).await.unwrap_err();
    assert!(matches!(&error, ObjectError::Changed(text) if text.contains(&at.to_string())), "{error:?}");
    let (metadata, first) = store.open(&at, 3).await.unwrap();
    assert_eq!(first, "two");
    assert_eq!(store.read(&at, &metadata.etag, 0..3).await.unwrap(), "two");
}

async fn uploads_of_a_name_are_aborted_together(store: &dyn ObjectWriter, base: &Location) {
    let begin = async |key: &str| {
        let mut upload = store.upload(&under(base, key), ContentType::Csv).await.unwrap();
        upload.write(Bytes::from_static(b"x")).await.unwrap();
        upload.finish().await.unwrap()
    };
    let mut meant = Vec::new();
    for key in ["named/one.csv", "named/day=1/one.csv", "named/day=1/hour=%2F/one.2.csv"] {
        meant.push(begin(key).await);
    }
    let mut others = Vec::new();
    for key in ["named/one-more.csv", "named/one/two.csv", "named/day=1/.one"] {
        others.push(begin(key).await);
    }
    assert_eq!(store.abort_uploads_named(&under(base, "named/"), "one").await.unwrap(), meant.len());
    assert_eq!(store.abort_uploads_named(&under(base, "named/"), "one").await.unwrap(), 0);
    for upload in &meant {
        assert!(matches!(store.complete(upload).await, Err(ObjectError::Gone(_))), "{}", upload.at);
    }
    for upload in &others {
        store.complete(upload).await.unwrap();
    }
}

async fn uploads_are_invisible_until_complete(store: &dyn ObjectWriter, base: &Location) {
    let at = under(base, "uploads/kept");
    put(store, &at, "old").await;
    let mut aborted = store.upload(&at, ContentType::Csv).await.unwrap();
    aborted.write("new".into()).await.unwrap();
    assert_eq!(store.open(&at, 3).await.unwrap().1, "old");
    aborted.abort().await.unwrap();

    let never = under(base, "uploads/never");
    let mut dropped = store.upload(&never, ContentType::Csv).await.unwrap();
    dropped.write("new".into()).await.unwrap();
    drop(dropped);
    assert!(matches!(store.open(&never, 3).await, Err(ObjectError::NotFound(_))));

    let page = store.list(&under(base, "uploads/"), None).await.unwrap();
    assert_eq!(page.objects.len(), 1);
    assert_eq!(store.open(&at, 3).await.unwrap().1, "old");
}

/// What one process uploaded another makes visible, from the record alone, as often as it likes.
async fn finished_uploads_are_anybodys(store: &dyn ObjectWriter, base: &Location) {
    let at = under(base, "finished/by-another");
    put(store, &at, "old").await;
    let mut upload = store.upload(&at, ContentType::Csv).await.unwrap();
    upload.write("new".into()).await.unwrap();
    let record = serde_json::to_string(&upload.finish().await.unwrap()).unwrap();
    assert_eq!(store.open(&at, 3).await.unwrap().1, "old", "nothing is visible yet");
    let uploaded: Uploaded = serde_json::from_str(&record).unwrap();
    assert_eq!((&uploaded.at, uploaded.size), (&at, 3));
    for _ in 0..3 {
        store.complete(&uploaded).await.unwrap();
        assert_eq!(store.open(&at, 3).await.unwrap().1, "new");
    }

    // An empty object is one too.
    put(store, &under(base, "finished/empty"), "").await;
    assert_eq!(store.open(&under(base, "finished/empty"), 3).await.unwrap().0.size, 0);
}

/// What was aborted can neither go on nor be completed: this is what keeps out an attempt that lost its batch.
async fn aborted_uploads_stay_aborted(store: &dyn ObjectWriter, base: &Location) {
    let (at, neighbour) = (under(base, "aborted/all"), under(base, "aborted/all-but-this"));
    put(store, &at, "old").await;
    let mut finished = Vec::new();
    for at in [&at, &at, &neighbour] {
        let mut upload = store.upload(at, ContentType::Csv).await.unwrap();
        upload.write("new".into()).await.unwrap();
        finished.push(upload.finish().await.unwrap());
    }
    assert_eq!(store.abort_uploads(&at).await.unwrap(), 2);
    assert_eq!(store.abort_uploads(&at).await.unwrap(), 0);
    let mut one = store.upload(&at, ContentType::Csv).await.unwrap();
    one.write("new".into()).await.unwrap();
    finished.insert(0, one.finish().await.unwrap());
    for _ in 0..2 {
        store.abort(&finished[0]).await.unwrap();
    }
    for upload in &finished[..3] {
        let error = store.complete(upload).await.unwrap_err();
        assert!(matches!(&error, ObjectError::Gone(text) if text.contains(&at.to_string())), "{error:?}");
    }
    assert_eq!(store.open(&at, 3).await.unwrap().1, "old");
    store.complete(&finished[3]).await.unwrap();
    assert_eq!(store.abort_uploads(&neighbour).await.unwrap(), 0);
    store.abort(&finished[3]).await.unwrap();
    assert_eq!(store.open(&neighbour, 3).await.unwrap().1, "new");
}

/// 20 MiB in uneven pieces: more than one part of a multipart upload.
async fn large_uploads_are_whole(store: &dyn ObjectWriter, base: &Location) {
    let at = under(base, "large");
    let bytes: Bytes = (0..20 * 1024 * 1024_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut upload = store.upload(&at, ContentType::Csv).await.unwrap();
    for piece in bytes.chunks(3_000_001) {
        upload.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let uploaded = upload.finish().await.unwrap();
    assert_eq!(uploaded.size, bytes.len() as u64);
    store.complete(&uploaded).await.unwrap();
    let (metadata, first) = store.open(&at, 1024 * 1024).await.unwrap();
    assert_eq!(metadata.size, bytes.len() as u64);
    let rest = store.read(&at, &metadata.etag, first.len() as u64..u64::MAX).await.unwrap();
    assert!([first, rest].concat() == bytes, "the bytes differ");

    let mut aborted = store.upload(&under(base, "aborted"), ContentType::Csv).await.unwrap();
    aborted.write(bytes).await.unwrap();
    aborted.abort().await.unwrap();
    assert!(matches!(store.open(&under(base, "aborted"), 1).await, Err(ObjectError::NotFound(_))));
}

async fn listings_are_whole_and_paged(store: &dyn ObjectWriter, base: &Location) {
    let mut names: Vec<String> = ["a-b", "a/b", "a/c/d", "a0", "é"].map(Into::into).into();
    names.extend((0..1005).map(|n| format!("many/{n:04}")));
    let mut expected: Vec<String> = names.iter().map(|name| under(base, &format!("list/{name}")).key).collect();
    expected.sort_unstable();
    for key in &expected {
        put(store, &base.with_key(key.clone()), "x").await;
    }
    let (mut found, mut next, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = store.list(&under(base, "list/"), next.as_deref()).await.unwrap();
        assert!(page.objects.len() <= 1000);
        found.extend(page.objects);
        pages += 1;
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(pages, 2);
    found.sort_by(|a, b| a.location.key.cmp(&b.location.key));
    let keys = found.iter().map(|object| &object.location.key);
    assert!(keys.eq(&expected), "{} of {} objects, or others", found.len(), expected.len());
    // What a listing says of an object is what opening it says.
    let opened = store.open(&found[0].location, 0).await.unwrap().0;
    assert_eq!((&opened.etag, opened.size, &opened.location), (&found[0].etag, 1, &found[0].location));
    assert!(found[0].last_modified.is_some());

    // A prefix is not a directory.
    let mut keys = names_under(store, base, "list/a").await;
    keys.sort_unstable();
    assert_eq!(keys, ["list/a-b", "list/a/b", "list/a/c/d", "list/a0"]);
}

/// Slashes sort as bytes: `a-b` comes before `a/b`. What was listed before is listed again.
async fn listings_are_ordered(store: &dyn ObjectWriter, base: &Location) {
    let keys = names_under(store, base, "list/").await;
    assert!(keys.is_sorted(), "{:?} ...", &keys[..10]);
}

/// The first page of a listing, without the base.
async fn names_under(store: &dyn ObjectWriter, base: &Location, prefix: &str) -> Vec<String> {
    let page = store.list(&under(base, prefix), None).await.unwrap();
    page.objects.iter().map(|object| object.location.key[base.key.len()..].to_owned()).collect()
}

async fn deletes_can_be_repeated(store: &dyn ObjectWriter, base: &Location) {
    let at = under(base, "deleted");
    put(store, &at, "x").await;
    for _ in 0..2 {
        store.delete(&at).await.unwrap();
        assert!(matches!(store.open(&at, 1).await, Err(ObjectError::NotFound(_))));
    }
}
