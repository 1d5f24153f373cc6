//! A registry under a prefix of Amazon S3, or of anything that speaks its protocol and has conditional writes
//! (`If-None-Match: *`): those decide who of two is first.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use bytes::Bytes;

use super::RegistryError;
use super::layout::Keys;
use crate::aws::{self, Calls, SdkConfig, ServiceError};

/// A worker asks for the next head all the time, and asks again if this failed; people wait for the rest.
const READS: Calls = Calls {
    attempts: Calls::UNTIL_TIME_IS_OVER,
    adaptive: false,
    attempt: Duration::from_secs(5),
    whole: Duration::from_secs(15),
};

/// For 256 MiB on a slow line.
const WRITES: Calls = Calls { attempt: Duration::from_secs(120), whole: Duration::from_secs(300), ..READS };

/// How often an object is asked for again whose bytes broke off; the SDK's own retries end with the headers.
const RESUMES: u32 = 3;

/// How often a write is repeated that met another one under way (`409 ConditionalRequestConflict`), and the pause before.
const CONFLICTS: u32 = 10;
const CONFLICT_PAUSE: Duration = Duration::from_millis(100);

/// Keys that are objects.
pub(super) struct S3 {
    reader: Client,
    writer: Client,
    bucket: String,
    /// Empty, or with a `/` at the end.
    prefix: String,
}

impl S3 {
    /// The prefix of this bucket.
    pub(super) fn new(config: &SdkConfig, bucket: &str, prefix: &str) -> Self {
        let client = |calls: Calls| aws::s3_client(&calls.limit(config), "registry");
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self { reader: client(READS), writer: client(WRITES), bucket: bucket.into(), prefix }
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The bytes of an answer; none if it broke off.
    async fn read(&self, key: &str, mut output: GetObjectOutput, max: u64) -> Result<Option<Bytes>, RegistryError> {
        let too_large = || RegistryError::too_large(&self.place(key), max);
        let expected = output.content_length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0);
        if expected > max {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        while let Ok(piece) = output.body.try_next().await {
            let Some(piece) = piece else {
                return Ok(Some(bytes.into()));
            };
            if (bytes.len() + piece.len()) as u64 > max {
                return Err(too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(None)
    }

    fn fault<E>(&self, key: &str, done: &str, error: &SdkError<E, HttpResponse>) -> RegistryError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let (place, bucket, fault) = (self.place(key), &self.bucket, ServiceError::new(error));
        let text = format!("{place} could not be {done}: {}", fault.message);
        match (fault.status.unwrap_or_default(), fault.code.as_str()) {
            (_, "NoSuchBucket") => RegistryError::NotFound(format!("{place}: there is no bucket `{bucket}`")),
            (301, _) => RegistryError::Invalid(format!("{text}. The bucket is in another region: set AWS_REGION")),
            _ if !fault.is_refusal() => RegistryError::Unavailable(text),
            (401 | 403, _) => RegistryError::Denied(format!(
                "{text}. Workers need s3:GetObject on {0} and s3:ListBucket on the bucket; whoever publishes and promotes \
                 needs s3:PutObject on {0} too",
                self.place("*")
            )),
            _ => RegistryError::Invalid(text),
        }
    }
}

#[async_trait]
impl Keys for S3 {
    async fn get(&self, key: &str, max: u64) -> Result<Option<Bytes>, RegistryError> {
        for _ in 0..=RESUMES {
            let request = self.reader.get_object().bucket(&self.bucket).key(self.key(key));
            let output = match request.send().await {
                Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => return Ok(None),
                output => output.map_err(|error| self.fault(key, "read", &error))?,
            };
            if let Some(bytes) = self.read(key, output, max).await? {
                return Ok(Some(bytes));
            }
        }
        let place = self.place(key);
        Err(RegistryError::Unavailable(format!("{place} could not be read: its bytes broke off, again and again")))
    }

    async fn create(&self, key: &str, bytes: Bytes) -> Result<bool, RegistryError> {
        for _ in 0..CONFLICTS {
            let request = self.writer.put_object().bucket(&self.bucket).key(self.key(key)).if_none_match("*");
            let Err(error) = request.body(bytes.clone().into()).send().await else {
                return Ok(true);
            };
            match error.raw_response().map(|response| response.status().as_u16()) {
                Some(412) => return Ok(false),
                // Another write of this key is not through yet, and may still fail.
                Some(409) => tokio::time::sleep(CONFLICT_PAUSE).await,
                _ => return Err(self.fault(key, "written", &error)),
            }
        }
        let place = self.place(key);
        Err(RegistryError::Unavailable(format!("{place} could not be written: others write to it all the time")))
    }

    async fn list(&self, folder: &str, after: &str) -> Result<Vec<String>, RegistryError> {
        let prefix = format!("{}/", self.key(folder));
        let request = self.reader.list_objects_v2().bucket(&self.bucket).prefix(&prefix);
        let mut pages = request.start_after(format!("{prefix}{after}")).into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.fault(folder, "listed", &error))?;
            let keys = page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key);
            let below = keys.filter_map(|key| Some(key.strip_prefix(&prefix)?.to_owned()));
            names.extend(below.filter(|name| !name.contains('/')));
        }
        Ok(names)
    }

    async fn any(&self, folder: &str) -> Result<bool, RegistryError> {
        let prefix = format!("{}/", self.key(folder));
        let request = self.reader.list_objects_v2().bucket(&self.bucket).prefix(&prefix).max_keys(1);
        let page = request.send().await.map_err(|error| self.fault(folder, "listed", &error))?;
        Ok(page.contents.is_some_and(|objects| !objects.is_empty()))
    }

    fn place(&self, key: &str) -> String {
        format!("s3://{}/{}{key}", self.bucket, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::recorded::{Recorded, Response};

    fn xml(status: u16, code: &str) -> Response {
        Response::new(status, format!("<Error><Code>{code}</Code><Message>why</Message></Error>"))
    }

    async fn place(responses: Vec<Response>) -> (S3, Recorded) {
        let replay = Recorded::start(responses).await;
        (S3::new(&replay.config, "b", "/some/prefix/"), replay)
    }

    #[tokio::test]
    async fn what_is_refused_says_what_to_grant() {
        let (s3, _replay) = place(vec![xml(403, "AccessDenied")]).await;
        let refused = s3.get("heads/1", 10).await.unwrap_err();
        assert!(
            matches!(&refused, RegistryError::Denied(text) if text.contains("s3://b/some/prefix/heads/1")
            && text.contains("s3:GetObject on s3://b/some/prefix/*")),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn what_is_missing_is_nothing_and_a_missing_bucket_is_an_error() {
        let (s3, _replay) =
            place(vec![xml(404, "NoSuchKey"), xml(404, "NoSuchBucket"), xml(500, "InternalError")]).await;
        assert_eq!(s3.get("k", 10).await.unwrap(), None);
        assert!(matches!(s3.get("k", 10).await, Err(RegistryError::NotFound(text)) if text.contains("no bucket `b`")));
        assert!(matches!(s3.get("k", 10).await, Err(RegistryError::Unavailable(_))));
    }

    #[tokio::test]
    async fn nothing_larger_than_allowed_is_read() {
        let (s3, _replay) = place(vec![Response::new(200, "0123456789"), Response::new(200, "0123456789")]).await;
        assert_eq!(s3.get("k", 10).await.unwrap().unwrap(), "0123456789");
        assert!(matches!(s3.get("k", 9).await, Err(RegistryError::Damaged(text)) if text.contains("9 bytes")));
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_asked_for_again() {
        let (s3, replay) = place(vec![Response::new(200, "whole").cut(2), Response::new(200, "whole")]).await;
        assert_eq!(s3.get("k", 10).await.unwrap().unwrap(), "whole");
        assert_eq!(replay.requests().len(), 2);
        let (s3, replay) = place((0..9).map(|_| Response::new(200, "whole").cut(2)).collect()).await;
        assert!(matches!(s3.get("k", 10).await, Err(RegistryError::Unavailable(_))));
        assert_eq!(replay.requests().len(), 4);
    }

    #[tokio::test]
    async fn a_write_that_meets_another_one_waits_for_its_end() {
        let (s3, replay) = place(vec![xml(409, "ConditionalRequestConflict"), xml(412, "PreconditionFailed")]).await;
        assert!(!s3.create("k", "x".into()).await.unwrap());
        let asked = replay.requests();
        assert!(asked.len() == 2 && asked.iter().all(|request| request.head.contains("if-none-match: *")), "{asked:?}");
    }
}
