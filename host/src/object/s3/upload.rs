//! Writing an object to Amazon S3. It is always a multipart upload: all parts are stored before there is an object, so
//! that another process can make it visible.

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::oneshot;

use super::super::{Cleanups, ContentType, Location, ObjectError, Upload, Uploaded, UploadedPart};
use super::errors::object_error;

/// The size of the first parts. S3 wants at least 5 MiB, but for the last.
const PART: usize = 8 * 1024 * 1024;

/// S3 takes at most 10,000 parts ("Amazon S3 multipart upload limits"). Parts double after every thousand, so that 10,000
/// parts reach 8 TB, and what is held in memory stays near a thousandth of what was written.
const PARTS_OF_A_SIZE: usize = 1000;

/// How many uploads are aborted at once, and how many pages of 1,000 are looked through in vain for those of one name.
const AT_ONCE: usize = 16;
const PAGES: usize = 20;

/// The user metadata (`x-amz-meta-...`) by which an object is recognized as the one of an upload. The entity tag would
/// not do: how it is computed depends on the bucket's encryption.
const MARK: &str = "gristmill-upload";

/// An object on its way. One part is held in memory.
pub(super) struct S3Upload {
    client: Client,
    cleanups: Cleanups,
    at: Location,
    holds: ContentType,
    buffer: Vec<u8>,
    size: u64,
    mark: String,
    /// None before the first part is sent.
    multipart: Option<Begun>,
    parts: Vec<UploadedPart>,
}

impl S3Upload {
    pub(super) fn new(client: Client, cleanups: Cleanups, at: Location, holds: ContentType) -> Self {
        let mark = format!("{:032x}", fastrand::u128(..));
        Self { client, cleanups, at, holds, buffer: Vec::new(), size: 0, mark, multipart: None, parts: Vec::new() }
    }

    fn part_size(&self) -> usize {
        PART << (self.parts.len() / PARTS_OF_A_SIZE)
    }

    async fn begin(&mut self) -> Result<String, ObjectError> {
        if let Some(begun) = &self.multipart {
            return Ok(begun.id.clone());
        }
        let (client, cleanups) = (self.client.clone(), self.cleanups.clone());
        let begun = Begun::create(client, cleanups, self.at.clone(), self.holds, self.mark.clone()).await?;
        Ok(self.multipart.insert(begun).id.clone())
    }

    async fn send_part(&mut self) -> Result<(), ObjectError> {
        let id = self.begin().await?;
        let number = number(self.parts.len());
        let body = Bytes::from(std::mem::take(&mut self.buffer));
        let request =
            self.client.upload_part().bucket(&self.at.bucket).key(&self.at.key).upload_id(id).part_number(number);
        let request = request.checksum_algorithm(ChecksumAlgorithm::Crc32);
        let output = request.body(ByteStream::from(body)).send().await;
        let output = output.map_err(|error| match object_error(&self.at, "written", &error) {
            ObjectError::NotFound(_) => removed(&self.at),
            error => error,
        })?;
        self.parts.push(UploadedPart { etag: output.e_tag.unwrap_or_default(), crc32: output.checksum_crc32 });
        Ok(())
    }
}

#[async_trait]
impl Upload for S3Upload {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), ObjectError> {
        self.size += bytes.len() as u64;
        loop {
            let room = self.part_size() - self.buffer.len();
            if bytes.len() <= room {
                self.buffer.extend_from_slice(&bytes);
                return Ok(());
            }
            self.buffer.extend_from_slice(&bytes.split_to(room));
            self.send_part().await?;
        }
    }

    async fn finish(mut self: Box<Self>) -> Result<Uploaded, ObjectError> {
        // The last part is empty only if the whole object is: `write` sends a part only when more bytes follow.
        self.send_part().await?;
        let id = self.begin().await?;
        self.multipart.take().map(Begun::forget);
        let (parts, mark) = (std::mem::take(&mut self.parts), std::mem::take(&mut self.mark));
        Ok(Uploaded { at: self.at.clone(), id, parts, mark, size: self.size })
    }

    async fn abort(mut self: Box<Self>) -> Result<(), ObjectError> {
        let Some(begun) = self.multipart.take() else { return Ok(()) };
        abort(&self.client, &self.at, begun.forget()).await
    }
}

/// An upload that was begun. Dropping this removes it: parts that nobody completes cost money until a lifecycle rule
/// removes them.
struct Begun {
    client: Client,
    cleanups: Cleanups,
    at: Location,
    id: String,
}

impl Begun {
    /// CreateMultipartUpload, in a task of its own: if the batch is given up meanwhile, the task still learns the id
    /// and removes the upload.
    async fn create(
        client: Client,
        cleanups: Cleanups,
        at: Location,
        holds: ContentType,
        mark: String,
    ) -> Result<Self, ObjectError> {
        let (tell, told) = oneshot::channel();
        let task = cleanups.clone();
        task.run(async move {
            let request = client
                .create_multipart_upload()
                .bucket(&at.bucket)
                .key(&at.key)
                .content_type(holds.name())
                .checksum_algorithm(ChecksumAlgorithm::Crc32)
                .metadata(MARK, mark);
            let created = match request.send().await {
                Ok(output) => match output.upload_id {
                    Some(id) => Ok(Self { client, cleanups, at, id }),
                    None => {
                        let message = format!("{at} could not be written: the store gave no upload id");
                        Err(ObjectError::Unavailable(message))
                    }
                },
                Err(error) => Err(object_error(&at, "written", &error)),
            };
            // What nobody waits for any more is dropped here, which removes it.
            let _ = tell.send(created);
        });
        told.await.unwrap_or_else(|error| Err(ObjectError::Unavailable(format!("the upload was not begun: {error}"))))
    }

    /// The id. The upload is not removed on drop any more.
    fn forget(mut self) -> String {
        std::mem::take(&mut self.id)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let (client, at, id) = (self.client.clone(), self.at.clone(), std::mem::take(&mut self.id));
        if id.is_empty() {
            return;
        }
        self.cleanups.run(async move {
            if let Err(error) = abort(&client, &at, id).await {
                tracing::warn!(%error, "an unfinished multipart upload was left behind");
            }
        });
    }
}

/// CompleteMultipartUpload. Any process that has the record may call this.
pub(super) async fn complete(client: &Client, upload: &Uploaded) -> Result<(), ObjectError> {
    let at = &upload.at;
    let part = |(index, part): (usize, &UploadedPart)| {
        let completed = CompletedPart::builder().part_number(number(index)).e_tag(&part.etag);
        completed.set_checksum_crc32(part.crc32.clone()).build()
    };
    let parts = upload.parts.iter().enumerate().map(part).collect();
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let request = client.complete_multipart_upload().bucket(&at.bucket).key(&at.key).upload_id(&upload.id);
    match request.multipart_upload(parts).send().await {
        Ok(_) => Ok(()),
        Err(error) => match object_error(at, "written", &error) {
            // There is no such upload: it is complete, or it was removed. The object tells which.
            ObjectError::NotFound(_) if is_there(client, upload).await? => Ok(()),
            ObjectError::NotFound(_) => Err(removed(at)),
            error => Err(error),
        },
    }
}

/// Whether the object is the one of this upload.
async fn is_there(client: &Client, upload: &Uploaded) -> Result<bool, ObjectError> {
    match client.head_object().bucket(&upload.at.bucket).key(&upload.at.key).send().await {
        Ok(head) => Ok(head.metadata.is_some_and(|metadata| metadata.get(MARK) == Some(&upload.mark))),
        Err(error) => match object_error(&upload.at, "looked at", &error) {
            // Without s3:ListBucket, S3 says of a missing object that it may not be looked at.
            ObjectError::NotFound(_) | ObjectError::Denied(_) => Ok(false),
            error => Err(error),
        },
    }
}

fn removed(at: &Location) -> ObjectError {
    ObjectError::Gone(format!("{at} could not be written: its multipart upload was removed before it was complete"))
}

/// AbortMultipartUpload for every upload of exactly this key.
pub(super) async fn abort_all(client: &Client, at: &Location) -> Result<usize, ObjectError> {
    abort_those(client, at, usize::MAX, |key| key == at.key).await
}

/// The same for every key below the prefix whose last part has this name. Where very many uploads of others are under way, it
/// ends after [`PAGES`]; what is left costs its storage until a rule of the bucket removes it, and can become nothing.
pub(super) async fn abort_named(client: &Client, prefix: &Location, name: &str) -> Result<usize, ObjectError> {
    abort_those(client, prefix, PAGES, |key| prefix.with_key(key).name() == name).await
}

async fn abort_those(
    client: &Client,
    prefix: &Location,
    pages: usize,
    is_meant: impl Fn(&str) -> bool,
) -> Result<usize, ObjectError> {
    let (mut aborted, mut key_marker, mut id_marker) = (0, None, None);
    let mut in_vain = 0;
    loop {
        let request = client.list_multipart_uploads().bucket(&prefix.bucket).prefix(&prefix.key);
        let request = request.set_key_marker(key_marker).set_upload_id_marker(id_marker);
        let found = request.send().await.map_err(|error| object_error(prefix, "looked for", &error))?;
        let uploads = found.uploads.unwrap_or_default().into_iter();
        let meant =
            uploads.filter_map(|upload| Some((upload.key?, upload.upload_id?))).filter(|(key, _)| is_meant(key));
        let abort = |(key, id): (String, String)| async move { abort(client, &prefix.with_key(key), id).await }.boxed();
        let aborts: Vec<_> = meant.map(abort).collect();
        aborted += aborts.len();
        in_vain += usize::from(aborts.is_empty());
        stream::iter(aborts).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        (key_marker, id_marker) = (found.next_key_marker, found.next_upload_id_marker);
        if found.is_truncated != Some(true) || in_vain >= pages {
            return Ok(aborted);
        }
    }
}

pub(super) async fn abort(client: &Client, at: &Location, id: String) -> Result<(), ObjectError> {
    let request = client.abort_multipart_upload().bucket(&at.bucket).key(&at.key).upload_id(id);
    match request.send().await.map_err(|error| object_error(at, "given up", &error)) {
        Ok(_) | Err(ObjectError::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Parts are numbered from 1.
fn number(index: usize) -> i32 {
    i32::try_from(index + 1).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::S3Store;
    use super::*;
    use crate::aws::recorded::{Recorded, Response};
    use crate::object::ObjectWriter as _;

    fn created() -> Response {
        Response::new(200, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
    }

    fn tagged(etag: &str) -> Response {
        Response::new(200, "").header("etag", etag)
    }

    fn gone() -> Response {
        Response::new(404, "<Error><Code>NoSuchUpload</Code></Error>")
    }

    fn asked(replay: &Recorded) -> Vec<String> {
        let line = |head: &str| head.split(" HTTP/").next().unwrap_or_default().to_owned();
        replay.requests().iter().map(|request| line(&request.head)).collect()
    }

    fn uploaded() -> Uploaded {
        let parts = ["\"1\"", "\"2\""].map(|etag| UploadedPart { etag: etag.into(), crc32: None }).into();
        Uploaded { at: "s3://b/k".parse().unwrap(), id: "u".into(), parts, mark: "mine".into(), size: 2 }
    }

    async fn upload(replay: &Recorded) -> Box<dyn Upload> {
        let mut upload =
            S3Store::new(&replay.config).upload(&"s3://b/k".parse().unwrap(), ContentType::Gzip).await.unwrap();
        upload.write(vec![0; PART + 1].into()).await.unwrap();
        upload
    }

    /// Clients would undo a content encoding unasked.
    #[tokio::test]
    async fn an_upload_says_what_the_object_holds_and_not_how_to_decode_it() {
        let replay = Recorded::start(vec![created(), tagged("\"1\""), tagged("\"2\"")]).await;
        upload(&replay).await.finish().await.unwrap();
        let head = replay.requests()[0].head.to_lowercase();
        assert!(head.contains("content-type: application/gzip\r\n"), "{head}");
        assert!(!head.contains("content-encoding"), "{head}");
    }

    #[tokio::test]
    async fn what_is_there_already_is_complete() {
        let head = |mark: &str| Response::head("\"x\"", "2").header("x-amz-meta-gristmill-upload", mark);
        for (head, there) in [
            (head("mine"), true),
            (head("another"), false),
            (Response::new(404, ""), false),
            (Response::new(403, ""), false),
        ] {
            let replay = Recorded::start(vec![gone(), head]).await;
            let completed = S3Store::new(&replay.config).complete(&uploaded()).await;
            assert_eq!(completed.is_ok(), there, "{completed:?}");
            assert!(there || matches!(completed, Err(ObjectError::Gone(_))), "{completed:?}");
        }
    }

    #[tokio::test]
    async fn an_upload_that_somebody_removed_is_gone() {
        let replay = Recorded::start(vec![created(), gone()]).await;
        let mut upload =
            S3Store::new(&replay.config).upload(&"s3://b/k".parse().unwrap(), ContentType::Gzip).await.unwrap();
        upload.write("x".into()).await.unwrap();
        assert!(matches!(upload.finish().await, Err(ObjectError::Gone(_))));
    }

    #[tokio::test]
    async fn only_uploads_of_the_very_key_are_aborted() {
        let page = |more: bool, uploads: &[(&str, &str)]| {
            let uploads =
                uploads.iter().map(|(key, id)| format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>"));
            let uploads: String = uploads.collect();
            let next = "<NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>2</NextUploadIdMarker>";
            Response::new(
                200,
                format!(
                    "<ListMultipartUploadsResult><IsTruncated>{more}</IsTruncated>{next}{uploads}</ListMultipartUploadsResult>"
                ),
            )
        };
        let aborted = || Response::new(204, "");
        let first = page(true, &[("k", "1"), ("k2", "other")]);
        let replay = Recorded::start(vec![first, aborted(), page(false, &[("k", "3")]), aborted()]).await;
        let at = "s3://b/k".parse().unwrap();
        assert_eq!(S3Store::new(&replay.config).abort_uploads(&at).await.unwrap(), 2);
        let asked = asked(&replay);
        assert!(asked[1].starts_with("DELETE /b/k?") && asked[1].ends_with("uploadId=1"), "{asked:?}");
        assert!(asked[2].contains("key-marker=k") && asked[2].contains("upload-id-marker=2"), "{asked:?}");
        assert!(asked[3].ends_with("uploadId=3"), "{asked:?}");
    }

    #[tokio::test]
    async fn an_upload_that_is_given_up_is_aborted() {
        let replay = Recorded::start(vec![created(), tagged("\"1\""), Response::new(204, "")]).await;
        upload(&replay).await.abort().await.unwrap();
        assert_eq!(asked(&replay)[2], "DELETE /b/k?x-id=AbortMultipartUpload&uploadId=u");
    }

    #[tokio::test]
    async fn an_upload_that_is_dropped_is_aborted() {
        let replay = Recorded::start(vec![created(), tagged("\"1\""), Response::new(204, "")]).await;
        drop(upload(&replay).await);
        while asked(&replay).len() < 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(asked(&replay)[2], "DELETE /b/k?x-id=AbortMultipartUpload&uploadId=u");
    }

    #[tokio::test]
    async fn an_upload_that_is_given_up_while_it_begins_is_aborted() {
        let replay = Recorded::start(vec![created(), Response::new(204, "")]).await;
        let mut upload =
            S3Store::new(&replay.config).upload(&"s3://b/k".parse().unwrap(), ContentType::Gzip).await.unwrap();
        let mut writing = upload.write(vec![0; PART + 1].into());
        // The first poll sends the task on its way; nobody comes for what it brings.
        assert!(futures::poll!(&mut writing).is_pending());
        drop(writing);
        drop(upload);
        while asked(&replay).len() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(asked(&replay)[1], "DELETE /b/k?x-id=AbortMultipartUpload&uploadId=u");
    }

    #[test]
    fn ten_thousand_parts_are_enough_for_the_largest_object() {
        let largest = 5 * 1024_u64.pow(4);
        let total: u64 = (0..10_000).map(|number| (PART << (number / PARTS_OF_A_SIZE)) as u64).sum();
        assert!(total > largest);
    }
}
