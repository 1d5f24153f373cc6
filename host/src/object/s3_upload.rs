//! Writing an object to Amazon S3: small ones with one request, others in parts.

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;

use super::s3::object_error;
use super::{Location, ObjectError, Upload};

/// The size of the first parts. S3 wants at least 5 MiB.
const PART: usize = 8 * 1024 * 1024;

/// S3 takes at most 10,000 parts ("Amazon S3 multipart upload limits"). Parts double after every thousand, so that 10,000
/// parts reach 8 TB, and what is held in memory stays near a thousandth of what was written.
const PARTS_OF_A_SIZE: usize = 1000;

/// An object on its way. One part is held in memory.
pub(super) struct S3Upload {
    client: Client,
    at: Location,
    buffer: Vec<u8>,
    size: u64,
    /// The id, once there is more than one part.
    multipart: Option<String>,
    parts: Vec<CompletedPart>,
}

impl S3Upload {
    pub(super) fn new(client: Client, at: Location) -> Self {
        Self { client, at, buffer: Vec::new(), size: 0, multipart: None, parts: Vec::new() }
    }

    fn part_size(&self) -> usize {
        PART << (self.parts.len() / PARTS_OF_A_SIZE)
    }

    async fn begin(&mut self) -> Result<String, ObjectError> {
        if let Some(id) = &self.multipart {
            return Ok(id.clone());
        }
        let request = self.client.create_multipart_upload().bucket(&self.at.bucket).key(&self.at.key);
        let output = request.send().await.map_err(|error| object_error(&self.at, "written", &error))?;
        let id = output.upload_id.ok_or_else(|| {
            ObjectError::Unavailable(format!("{} could not be written: the store gave no upload id", self.at))
        })?;
        self.multipart = Some(id.clone());
        Ok(id)
    }

    async fn send_part(&mut self) -> Result<(), ObjectError> {
        let id = self.begin().await?;
        let number = i32::try_from(self.parts.len() + 1).unwrap_or(i32::MAX);
        let body = Bytes::from(std::mem::take(&mut self.buffer));
        let request =
            self.client.upload_part().bucket(&self.at.bucket).key(&self.at.key).upload_id(id).part_number(number);
        let output = request.body(ByteStream::from(body)).send().await;
        let output = output.map_err(|error| object_error(&self.at, "written", &error))?;
        let part = CompletedPart::builder().part_number(number).set_e_tag(output.e_tag);
        self.parts.push(part.set_checksum_crc32(output.checksum_crc32).build());
        Ok(())
    }

    async fn put(&mut self) -> Result<(), ObjectError> {
        let body = ByteStream::from(std::mem::take(&mut self.buffer));
        let request = self.client.put_object().bucket(&self.at.bucket).key(&self.at.key).body(body);
        request.send().await.map(|_| ()).map_err(|error| object_error(&self.at, "written", &error))
    }

    async fn complete_multipart(&mut self, id: &str) -> Result<(), ObjectError> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(self.parts.clone())).build();
        let request = self.client.complete_multipart_upload().bucket(&self.at.bucket).key(&self.at.key);
        match request.upload_id(id).multipart_upload(parts).send().await {
            Ok(_) => Ok(()),
            // The answer to an earlier attempt may have been lost: then the upload is gone because it is complete.
            Err(error) => match object_error(&self.at, "written", &error) {
                ObjectError::NotFound(_) if self.is_there().await => Ok(()),
                ObjectError::NotFound(_) => Err(ObjectError::Unavailable(format!(
                    "{} could not be written: its multipart upload was removed before it was complete",
                    self.at
                ))),
                error => Err(error),
            },
        }
    }

    /// Whether the object is the one that these parts make: their number is in its entity tag.
    async fn is_there(&self) -> bool {
        let head = self.client.head_object().bucket(&self.at.bucket).key(&self.at.key).send().await;
        head.is_ok_and(|head| {
            let parts = format!("-{}\"", self.parts.len());
            head.content_length.is_some_and(|length| length.cast_unsigned() == self.size)
                && head.e_tag.is_some_and(|etag| etag.ends_with(&parts))
        })
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

    async fn complete(mut self: Box<Self>) -> Result<u64, ObjectError> {
        if self.multipart.is_none() {
            self.put().await?;
            return Ok(self.size);
        }
        // Never empty: a part is only sent when more bytes follow.
        self.send_part().await?;
        let id = self.begin().await?;
        self.complete_multipart(&id).await?;
        self.multipart = None;
        Ok(self.size)
    }

    async fn abort(mut self: Box<Self>) -> Result<(), ObjectError> {
        let Some(id) = self.multipart.take() else { return Ok(()) };
        abort(&self.client, &self.at, id).await
    }
}

impl Drop for S3Upload {
    /// Parts that nobody completes cost money until a lifecycle rule removes them.
    fn drop(&mut self) {
        if let (Some(id), Ok(runtime)) = (self.multipart.take(), tokio::runtime::Handle::try_current()) {
            let (client, at) = (self.client.clone(), self.at.clone());
            runtime.spawn(async move {
                if let Err(error) = abort(&client, &at, id).await {
                    tracing::warn!(%error, "an unfinished multipart upload was left behind");
                }
            });
        }
    }
}

async fn abort(client: &Client, at: &Location, id: String) -> Result<(), ObjectError> {
    let request = client.abort_multipart_upload().bucket(&at.bucket).key(&at.key).upload_id(id);
    match request.send().await.map_err(|error| object_error(at, "given up", &error)) {
        Ok(_) | Err(ObjectError::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ObjectStore;
    use super::super::s3::S3Store;
    use super::*;
    use crate::aws::replay::{Replay, Response};

    fn created() -> Response {
        Response::new(200, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
    }

    fn tagged(etag: &str) -> Response {
        Response::new(200, "").header("etag", etag)
    }

    fn asked(replay: &Replay) -> Vec<String> {
        let line = |head: &str| head.split(" HTTP/").next().unwrap_or_default().to_owned();
        replay.requests().iter().map(|request| line(&request.head)).collect()
    }

    async fn upload(replay: &Replay) -> Box<dyn Upload> {
        let mut upload = S3Store::new(&replay.config).upload(&"s3://b/k".parse().unwrap()).await.unwrap();
        upload.write(vec![0; PART + 1].into()).await.unwrap();
        upload
    }

    #[tokio::test]
    async fn a_completion_whose_answer_was_lost_is_one() {
        let gone = || Response::new(404, "<Error><Code>NoSuchUpload</Code></Error>");
        let size = (PART + 1).to_string();
        for (etag, whole) in [("\"x-2\"", true), ("\"x-3\"", false), ("\"x\"", false)] {
            let head = Response::head(etag, &size);
            let replay = Replay::start(vec![created(), tagged("\"1\""), tagged("\"2\""), gone(), head]).await;
            let completed = upload(&replay).await.complete().await;
            assert_eq!(completed.is_ok(), whole, "{etag}: {completed:?}");
            assert!(whole || matches!(completed, Err(ObjectError::Unavailable(_))));
        }
    }

    #[tokio::test]
    async fn an_upload_that_is_given_up_is_aborted() {
        let replay = Replay::start(vec![created(), tagged("\"1\""), Response::new(204, "")]).await;
        upload(&replay).await.abort().await.unwrap();
        assert_eq!(asked(&replay)[2], "DELETE /b/k?x-id=AbortMultipartUpload&uploadId=u");
    }

    #[tokio::test]
    async fn an_upload_that_is_dropped_is_aborted() {
        let replay = Replay::start(vec![created(), tagged("\"1\""), Response::new(204, "")]).await;
        drop(upload(&replay).await);
        while asked(&replay).len() < 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(asked(&replay)[2], "DELETE /b/k?x-id=AbortMultipartUpload&uploadId=u");
    }

    #[test]
    fn ten_thousand_parts_are_enough_for_the_largest_object() {
        let largest = 5 * 1024_u64.pow(4);
        let total: u64 = (0..10_000).map(|number| (PART << (number / PARTS_OF_A_SIZE)) as u64).sum();
        assert!(total > largest);
    }
}
