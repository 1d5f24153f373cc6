//! Reading from Amazon S3: one request opens an object, ranges of its version follow, and an answer that breaks off is resumed.

use std::ops::Range;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use bytes::Bytes;
use time::OffsetDateTime;

use super::super::{Location, Metadata, ObjectError, Page};
use super::errors::{changed, object_error};

/// How often an answer that broke off is resumed. The SDK's own retries end with the headers.
const MAX_RESUMES: u32 = 5;

/// What the object is, and its first bytes (at most `first`).
pub(super) async fn open(client: &Client, at: &Location, first: u64) -> Result<(Metadata, Bytes), ObjectError> {
    if first == 0 {
        return Ok((head(client, at).await?, Bytes::new()));
    }
    // An empty object has no first byte to ask for.
    let Some(part) = get(client, at, 0..first, None).await? else {
        return Ok((head(client, at).await?, Bytes::new()));
    };
    let metadata = part.metadata.clone();
    let (end, mut bytes) = (first.min(metadata.size), Vec::new());
    let (read, _) = part.append(end, &mut bytes).await?;
    fill(client, at, &metadata.etag, read..end, &mut bytes).await?;
    Ok((metadata, bytes.into()))
}

/// Exactly the range of the version with this `etag`, cut at the object's end.
pub(super) async fn range(client: &Client, at: &Location, etag: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
    let mut bytes = Vec::new();
    fill(client, at, etag, range, &mut bytes).await?;
    Ok(bytes.into())
}

/// Up to 1,000 objects whose key starts with the prefix's, from where the page before ended.
pub(super) async fn list(client: &Client, prefix: &Location, next: Option<&str>) -> Result<Page, ObjectError> {
    let request = client.list_objects_v2().bucket(&prefix.bucket).prefix(&prefix.key);
    let output = request.set_continuation_token(next.map(Into::into)).send().await;
    let output = output.map_err(|error| object_error(prefix, "listed", &error))?;
    let objects = output.contents.unwrap_or_default().into_iter().map(|object| {
        let at = prefix.with_key(object.key.unwrap_or_default());
        metadata(&at, object.size.and_then(|size| size.try_into().ok()), object.e_tag, object.last_modified)
    });
    Ok(Page { objects: objects.collect::<Result<_, _>>()?, next: output.next_continuation_token })
}

/// Requests a range once. None if it starts behind the object's end.
async fn get(
    client: &Client,
    at: &Location,
    range: Range<u64>,
    etag: Option<&str>,
) -> Result<Option<Part>, ObjectError> {
    let request = client
        .get_object()
        .bucket(&at.bucket)
        .key(&at.key)
        .range(byte_range(&range))
        .set_if_match(etag.map(Into::into));
    match request.send().await {
        Ok(output) => Part::new(at, output, range, etag).map(Some),
        Err(error) if error.raw_response().is_some_and(|response| response.status().as_u16() == 416) => Ok(None),
        Err(error) => Err(object_error(at, "read", &error)),
    }
}

async fn head(client: &Client, at: &Location) -> Result<Metadata, ObjectError> {
    let request = client.head_object().bucket(&at.bucket).key(&at.key);
    let output = request.send().await.map_err(|error| object_error(at, "read", &error))?;
    let size = output.content_length.and_then(|length| length.try_into().ok());
    metadata(at, size, output.e_tag, output.last_modified)
}

/// Appends the range, cut at the object's end, to `bytes`. An answer that breaks off is resumed where it ended, which
/// is safe because the version is pinned.
async fn fill(
    client: &Client,
    at: &Location,
    etag: &str,
    mut range: Range<u64>,
    bytes: &mut Vec<u8>,
) -> Result<(), ObjectError> {
    let mut resumes = 0;
    while range.start < range.end {
        let Some(part) = get(client, at, range.clone(), Some(etag)).await? else {
            return Ok(());
        };
        range.end = range.end.min(part.metadata.size);
        let (read, cut) = part.append(range.end - range.start, bytes).await?;
        range.start += read;
        if let Some(cut) = cut {
            resumes += 1;
            if resumes > MAX_RESUMES {
                return Err(ObjectError::Unavailable(format!(
                    "{at} could not be read: the answer broke off {resumes} times, the last time because of {cut}"
                )));
            }
        }
    }
    Ok(())
}

/// The range as HTTP writes it (RFC 9110, 14.1.2), with its last byte. An end that is no signed number is left out,
/// because stores read signed ones.
fn byte_range(range: &Range<u64>) -> String {
    match i64::try_from(range.end) {
        Ok(end) => format!("bytes={}-{}", range.start, end - 1),
        Err(_) => format!("bytes={}-", range.start),
    }
}

/// An answer to a request for a range.
struct Part {
    /// Of the whole object.
    metadata: Metadata,
    /// The answer's `Content-Length`.
    length: u64,
    body: ByteStream,
}

impl Part {
    fn new(
        at: &Location,
        output: GetObjectOutput,
        asked: Range<u64>,
        pinned: Option<&str>,
    ) -> Result<Self, ObjectError> {
        let length = output.content_length.and_then(|length| length.try_into().ok()).unwrap_or(0);
        // `bytes 0-99/1234`. An answer without it is the whole object.
        let (start, size) = match output.content_range.as_deref().and_then(|text| text.strip_prefix("bytes ")) {
            Some(text) => {
                let start = text.split('-').next().and_then(|start| start.parse().ok());
                (start, text.rsplit('/').next().and_then(|size| size.parse().ok()))
            }
            None => (Some(0), Some(length)),
        };
        if start != Some(asked.start) {
            return Err(ObjectError::Unavailable(format!(
                "{at} could not be read: asked for bytes from {}, the store answered with others ({})",
                asked.start,
                output.content_range.as_deref().unwrap_or("all")
            )));
        }
        let metadata = metadata(at, size, output.e_tag, output.last_modified)?;
        match pinned {
            // A store that ignores `If-Match` would mix two versions here.
            Some(etag) if etag != metadata.etag => Err(changed(at)),
            _ => Ok(Self { metadata, length, body: output.body }),
        }
    }

    /// Appends the first `wanted` bytes. Returns how many came, and why that was not all.
    async fn append(mut self, wanted: u64, bytes: &mut Vec<u8>) -> Result<(u64, Option<String>), ObjectError> {
        let fault =
            |error| ObjectError::Unavailable(format!("{} does not fit into memory: {error}", self.metadata.location));
        let room = usize::try_from(wanted.min(self.length)).unwrap_or(usize::MAX);
        bytes.try_reserve_exact(room).map_err(fault)?;
        let mut read = 0;
        while read < wanted {
            match self.body.try_next().await {
                Ok(Some(mut piece)) => {
                    piece.truncate(usize::try_from(wanted - read).unwrap_or(usize::MAX));
                    bytes.extend_from_slice(&piece);
                    read += piece.len() as u64;
                }
                Ok(None) => return Ok((read, Some("its end".into()))),
                Err(error) => return Ok((read, Some(error.to_string()))),
            }
        }
        Ok((read, None))
    }
}

fn metadata(
    at: &Location,
    size: Option<u64>,
    etag: Option<String>,
    modified: Option<DateTime>,
) -> Result<Metadata, ObjectError> {
    let (Some(size), Some(etag)) = (size, etag) else {
        return Err(ObjectError::Unavailable(format!("{at}: the store's answer has no size or no entity tag")));
    };
    let last_modified = modified.and_then(|time| OffsetDateTime::from_unix_timestamp_nanos(time.as_nanos()).ok());
    Ok(Metadata { location: at.clone(), size, etag, last_modified })
}

#[cfg(test)]
mod tests {
    use super::super::S3Store;
    use super::*;
    use crate::aws::recorded::{Recorded, Response};
    use crate::object::ObjectStore as _;

    fn at() -> Location {
        "s3://b/k".parse().unwrap()
    }

    fn part(range: &str, body: &str) -> Response {
        version("\"e\"", range, body)
    }

    fn version(etag: &str, range: &str, body: &str) -> Response {
        Response::new(206, body).header("etag", etag).header("content-range", format!("bytes {range}"))
    }

    fn xml(status: u16, code: &str) -> Response {
        Response::new(status, format!("<Error><Code>{code}</Code><Message>why</Message></Error>"))
    }

    async fn open(responses: Vec<Response>) -> (Result<(Metadata, Bytes), ObjectError>, Vec<String>) {
        let replay = Recorded::start(responses).await;
        let result = S3Store::new(&replay.config).open(&at(), 10).await;
        (result, replay.requests().iter().map(|request| asked(&request.head)).collect())
    }

    /// The method, the range, and the version that it is pinned to.
    fn asked(head: &str) -> String {
        let method = head.split(' ').next().unwrap_or_default();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        format!("{method} {} {}", header("range: "), header("if-match: ")).trim().into()
    }

    #[tokio::test]
    async fn an_object_is_opened_with_one_request() {
        let (opened, asked) = open(vec![part("0-9/100", "0123456789")]).await;
        let (metadata, first) = opened.unwrap();
        assert_eq!((metadata.size, &*metadata.etag, &first[..]), (100, "\"e\"", &b"0123456789"[..]));
        assert_eq!(asked, ["GET bytes=0-9"]);
    }

    #[test]
    fn a_range_without_an_end_has_none_in_the_request() {
        assert_eq!(byte_range(&(8..20)), "bytes=8-19");
        assert_eq!(byte_range(&(9..u64::MAX)), "bytes=9-");
    }

    #[tokio::test]
    async fn an_empty_object_costs_a_second_request() {
        let head = Response::new(200, "").header("etag", "\"e\"");
        let (opened, asked) = open(vec![xml(416, "InvalidRange"), head]).await;
        assert_eq!(opened.unwrap().0.size, 0);
        assert_eq!(asked, ["GET bytes=0-9", "HEAD"]);
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_taken_up_where_it_ended() {
        let responses =
            vec![part("0-9/10", "0123456789").cut(4), part("4-9/10", "456789").cut(1), part("5-9/10", "56789")];
        let (opened, asked) = open(responses).await;
        assert_eq!(opened.unwrap().1, "0123456789");
        assert_eq!(asked, ["GET bytes=0-9", "GET bytes=4-9 \"e\"", "GET bytes=5-9 \"e\""]);
    }

    #[tokio::test]
    async fn an_answer_that_always_breaks_off_is_given_up() {
        let (opened, asked) = open((0..20).map(|_| part("0-9/10", "0123456789").cut(0)).collect()).await;
        assert!(
            matches!(&opened, Err(ObjectError::Unavailable(text)) if text.contains("broke off 6 times")),
            "{opened:?}"
        );
        assert_eq!(asked.len(), 7);
    }

    #[tokio::test]
    async fn another_version_is_never_mixed_in() {
        for second in [xml(412, "PreconditionFailed"), version("\"f\"", "4-9/10", "XXXXXX")] {
            let (opened, _) = open(vec![part("0-9/10", "0123456789").cut(4), second]).await;
            assert!(matches!(opened, Err(ObjectError::Changed(_))), "{opened:?}");
        }
    }

    #[tokio::test]
    async fn a_store_that_ignores_ranges_is_noticed() {
        let whole = || Response::new(200, "0123456789abc").header("etag", "\"e\"");
        let (opened, _) = open(vec![whole()]).await;
        let (metadata, first) = opened.unwrap();
        assert_eq!((metadata.size, &first[..]), (13, &b"0123456789"[..]));
        let replay = Recorded::start(vec![whole()]).await;
        let read = S3Store::new(&replay.config).read(&at(), "\"e\"", 5..7).await;
        assert!(matches!(read, Err(ObjectError::Unavailable(_))), "{read:?}");
    }
}
