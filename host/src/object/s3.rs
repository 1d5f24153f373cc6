//! Objects in Amazon S3, or in anything that speaks its protocol (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_S3`).

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use bytes::Bytes;
use time::OffsetDateTime;

use super::s3_upload::{self, S3Upload};
use super::{Location, Metadata, ObjectError, ObjectStore, ObjectWriter, Page, Upload, Uploaded};
use crate::aws::{self, Calls, Fault};

/// How often the rest of an answer is asked for that broke off in the middle; the SDK's own retries end with the headers.
const RESUMES: u32 = 5;

/// An item waits for a read, and its time is limited: within the default (30 s) it can still say that the store was not
/// ready. `503 SlowDown` slows the client down.
const READS: Calls = Calls {
    attempts: Calls::UNTIL_TIME_IS_OVER,
    adaptive: true,
    attempt: Duration::from_secs(10),
    whole: Duration::from_secs(25),
};

/// A batch waits for a write, with all its work done: longer than AWS is usually away, and than 8 MiB take on a slow line.
const WRITES: Calls = Calls { attempt: Duration::from_secs(90), whole: Duration::from_secs(180), ..READS };

/// Amazon S3.
#[derive(Clone, Debug)]
pub struct S3Store {
    client: Client,
    writer: Client,
}

impl S3Store {
    /// The store that this configuration leads to.
    pub fn new(config: &SdkConfig) -> Self {
        let client = |calls: Calls| aws::s3_client(&calls.limit(config), "objects");
        Self { client: client(READS), writer: client(WRITES) }
    }

    /// One request for a range; none when the range starts behind the object's end.
    async fn get(&self, at: &Location, range: Range<u64>, etag: Option<&str>) -> Result<Option<Part>, ObjectError> {
        let request = self
            .client
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

    async fn head(&self, at: &Location) -> Result<Metadata, ObjectError> {
        let request = self.client.head_object().bucket(&at.bucket).key(&at.key);
        let output = request.send().await.map_err(|error| object_error(at, "read", &error))?;
        let size = output.content_length.and_then(|length| length.try_into().ok());
        metadata(at, size, output.e_tag, output.last_modified)
    }

    /// Appends the range, cut at the object's end, to `bytes`. An answer that breaks off is taken up where it ended, which
    /// is safe because the version is pinned.
    async fn fill(
        &self,
        at: &Location,
        etag: &str,
        mut range: Range<u64>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), ObjectError> {
        let mut resumes = 0;
        while range.start < range.end {
            let Some(part) = self.get(at, range.clone(), Some(etag)).await? else {
                return Ok(());
            };
            range.end = range.end.min(part.metadata.size);
            let (read, cut) = part.append(range.end - range.start, bytes).await?;
            range.start += read;
            if let Some(cut) = cut {
                resumes += 1;
                if resumes > RESUMES {
                    return Err(ObjectError::Unavailable(format!(
                        "{at} could not be read: the answer broke off {resumes} times, the last time because of {cut}"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// The range as HTTP has it (RFC 9110, 14.1.2), whose last byte is meant. One that goes on for ever has no end: stores read the
/// numbers as signed ones.
fn byte_range(range: &Range<u64>) -> String {
    match i64::try_from(range.end) {
        Ok(end) => format!("bytes={}-{}", range.start, end - 1),
        Err(_) => format!("bytes={}-", range.start),
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn open(&self, at: &Location, first: u64) -> Result<(Metadata, Bytes), ObjectError> {
        at.names_an_object()?;
        if first == 0 {
            return Ok((self.head(at).await?, Bytes::new()));
        }
        // An empty object has no first byte to ask for.
        let Some(part) = self.get(at, 0..first, None).await? else {
            return Ok((self.head(at).await?, Bytes::new()));
        };
        let metadata = part.metadata.clone();
        let (end, mut bytes) = (first.min(metadata.size), Vec::new());
        let (read, _) = part.append(end, &mut bytes).await?;
        self.fill(at, &metadata.etag, read..end, &mut bytes).await?;
        Ok((metadata, bytes.into()))
    }

    async fn read(&self, at: &Location, etag: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        at.names_an_object()?;
        let mut bytes = Vec::new();
        self.fill(at, etag, range, &mut bytes).await?;
        Ok(bytes.into())
    }

    async fn list(&self, prefix: &Location, next: Option<&str>) -> Result<Page, ObjectError> {
        let request = self.client.list_objects_v2().bucket(&prefix.bucket).prefix(&prefix.key);
        let output = request.set_continuation_token(next.map(Into::into)).send().await;
        let output = output.map_err(|error| object_error(prefix, "listed", &error))?;
        let objects = output.contents.unwrap_or_default().into_iter().map(|object| {
            let at = prefix.with_key(object.key.unwrap_or_default());
            metadata(&at, object.size.and_then(|size| size.try_into().ok()), object.e_tag, object.last_modified)
        });
        Ok(Page { objects: objects.collect::<Result<_, _>>()?, next: output.next_continuation_token })
    }
}

#[async_trait]
impl ObjectWriter for S3Store {
    async fn upload(&self, at: &Location) -> Result<Box<dyn Upload>, ObjectError> {
        at.names_an_object()?;
        Ok(Box::new(S3Upload::new(self.writer.clone(), at.clone())))
    }

    async fn complete(&self, upload: &Uploaded) -> Result<(), ObjectError> {
        upload.at.names_an_object()?;
        s3_upload::complete(&self.writer, upload).await
    }

    async fn abort(&self, upload: &Uploaded) -> Result<(), ObjectError> {
        upload.at.names_an_object()?;
        s3_upload::abort(&self.writer, &upload.at, upload.id.clone()).await
    }

    async fn abort_uploads(&self, at: &Location) -> Result<usize, ObjectError> {
        at.names_an_object()?;
        s3_upload::abort_all(&self.writer, at).await
    }

    async fn delete(&self, at: &Location) -> Result<(), ObjectError> {
        at.names_an_object()?;
        match self.writer.delete_object().bucket(&at.bucket).key(&at.key).send().await {
            Ok(_) => Ok(()),
            Err(error) => match object_error(at, "deleted", &error) {
                ObjectError::NotFound(_) => Ok(()),
                error => Err(error),
            },
        }
    }
}

/// An answer to a request for a range.
struct Part {
    /// Of the whole object.
    metadata: Metadata,
    /// How many bytes the answer says that it has.
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
            // A store that does not know `If-Match` would mix two versions here.
            Some(etag) if etag != metadata.etag => Err(changed(at)),
            _ => Ok(Self { metadata, length, body: output.body }),
        }
    }

    /// Appends the first `wanted` bytes. Returns how many came, and why it was not all.
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

fn changed(at: &Location) -> ObjectError {
    ObjectError::Changed(format!("{at} was changed while it was read: run again once nobody writes to it any more"))
}

pub(super) fn object_error<E>(at: &Location, done: &str, error: &SdkError<E, HttpResponse>) -> ObjectError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let fault = Fault::new(error);
    let text = format!("{at} could not be {done}: {}", fault.message);
    match (fault.status.unwrap_or_default(), fault.code.as_str()) {
        (_, "NoSuchBucket") => ObjectError::NotFound(format!("{at}: there is no bucket `{}`", at.bucket)),
        (404, _) => ObjectError::NotFound(format!("there is no object {at}")),
        (412, _) => changed(at),
        (_, "EntityTooLarge") => ObjectError::TooLarge(text),
        (_, "InvalidObjectState") => {
            ObjectError::Invalid(format!("{text}. It is archived: restore it before it is read"))
        }
        (301, _) => ObjectError::Invalid(format!("{text}. The bucket is in another region")),
        _ if !fault.is_refusal() => ObjectError::Unavailable(text),
        (401 | 403, _) => ObjectError::Denied(format!(
            "{text}. The worker's role needs the permission; without s3:ListBucket, S3 says this of a missing object too"
        )),
        _ => ObjectError::Invalid(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::recorded::{Recorded, Response};

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

    /// A key comes from an item, and the store is not to blame for it.
    #[tokio::test]
    async fn what_no_request_can_be_made_of_is_invalid() {
        let replay = Recorded::start(vec![]).await;
        let store = S3Store::new(&replay.config);
        let error = store.get(&at().with_key(" "), 0..1, None).await.map(|_| ()).unwrap_err();
        assert!(
            matches!(&error, ObjectError::Invalid(text) if text.starts_with("s3://b/  could not be read")),
            "{error:?}"
        );
        for key in ["", " ", "\t", "\u{a0}", &"k".repeat(1025)] {
            let at = at().with_key(key);
            for first in [0, 10] {
                assert!(matches!(store.open(&at, first).await, Err(ObjectError::Invalid(_))), "{key:?}");
            }
            assert!(matches!(store.read(&at, "\"e\"", 0..1).await, Err(ObjectError::Invalid(_))), "{key:?}");
            assert!(matches!(store.delete(&at).await, Err(ObjectError::Invalid(_))), "{key:?}");
        }
        assert!(replay.requests().is_empty());
    }

    #[tokio::test]
    async fn errors_are_told_apart() {
        type Is = fn(&ObjectError) -> bool;
        let cases: [(u16, &str, Is); 9] = [
            (
                403,
                "InvalidObjectState",
                |error| matches!(error, ObjectError::Invalid(text) if text.contains("archived")),
            ),
            (404, "NoSuchKey", |error| matches!(error, ObjectError::NotFound(_))),
            (404, "NoSuchBucket", |error| matches!(error, ObjectError::NotFound(text) if text.contains("bucket"))),
            (403, "AccessDenied", |error| matches!(error, ObjectError::Denied(_))),
            (400, "ExpiredToken", |error| matches!(error, ObjectError::Unavailable(_))),
            (503, "SlowDown", |error| matches!(error, ObjectError::Unavailable(_))),
            (500, "InternalError", |error| matches!(error, ObjectError::Unavailable(_))),
            (400, "KeyTooLongError", |error| matches!(error, ObjectError::Invalid(_))),
            (301, "PermanentRedirect", |error| matches!(error, ObjectError::Invalid(text) if text.contains("region"))),
        ];
        for (status, code, expected) in cases {
            let error = open(vec![xml(status, code)]).await.0.unwrap_err();
            assert!(expected(&error) && error.to_string().contains("s3://b/k"), "{code}: {error:?}");
        }
    }
}
