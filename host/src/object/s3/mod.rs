//! Objects in Amazon S3, or in anything that speaks its protocol (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_S3`).

mod errors;
mod read;
mod upload;

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use bytes::Bytes;

use self::errors::object_error;
use self::upload::S3Upload;
use super::{
    Cleanups, ContentType, Location, Metadata, ObjectError, ObjectStore, ObjectWriter, Page, Upload, Uploaded,
};
use crate::aws::{self, Calls};

/// The limits of a read. An item waits for it: within its default time (30 s) it can still say that the store was not
/// ready. `503 SlowDown` slows the client down.
const READS: Calls = Calls {
    attempts: Calls::UNTIL_TIME_IS_OVER,
    adaptive: true,
    attempt: Duration::from_secs(10),
    whole: Duration::from_secs(25),
};

/// The limits of a write. A batch waits for it with all its work done, so they are longer than AWS is usually away, and
/// than 8 MiB take on a slow line.
const WRITES: Calls = Calls { attempt: Duration::from_secs(90), whole: Duration::from_secs(180), ..READS };

/// Amazon S3.
#[derive(Clone, Debug)]
pub struct S3Store {
    client: Client,
    writer: Client,
    cleanups: Cleanups,
}

impl S3Store {
    /// The store that this configuration leads to.
    pub fn new(config: &SdkConfig) -> Self {
        let client = |calls: Calls| aws::s3_client(&calls.limit(config), "objects");
        Self { client: client(READS), writer: client(WRITES), cleanups: Cleanups::default() }
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn open(&self, at: &Location, first: u64) -> Result<(Metadata, Bytes), ObjectError> {
        at.names_an_object()?;
        read::open(&self.client, at, first).await
    }

    async fn read(&self, at: &Location, etag: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        at.names_an_object()?;
        read::range(&self.client, at, etag, range).await
    }

    async fn list(&self, prefix: &Location, next: Option<&str>) -> Result<Page, ObjectError> {
        read::list(&self.client, prefix, next).await
    }
}

#[async_trait]
impl ObjectWriter for S3Store {
    fn written(&self) -> &dyn ObjectStore {
        self
    }

    async fn upload(&self, at: &Location, holds: ContentType) -> Result<Box<dyn Upload>, ObjectError> {
        at.names_an_object()?;
        Ok(Box::new(S3Upload::new(self.writer.clone(), self.cleanups.clone(), at.clone(), holds)))
    }

    async fn complete(&self, upload: &Uploaded) -> Result<(), ObjectError> {
        upload.at.names_an_object()?;
        upload::complete(&self.writer, upload).await
    }

    async fn abort(&self, upload: &Uploaded) -> Result<(), ObjectError> {
        upload.at.names_an_object()?;
        upload::abort(&self.writer, &upload.at, upload.id.clone()).await
    }

    async fn abort_uploads(&self, at: &Location) -> Result<usize, ObjectError> {
        at.names_an_object()?;
        upload::abort_all(&self.writer, at).await
    }

    async fn abort_uploads_named(&self, prefix: &Location, name: &str) -> Result<usize, ObjectError> {
        upload::abort_named(&self.writer, prefix, name).await
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

    fn cleanups(&self) -> &Cleanups {
        &self.cleanups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::recorded::Recorded;

    /// A key comes from an item, and the store is not to blame for it.
    #[tokio::test]
    async fn what_no_request_can_be_made_of_is_invalid() {
        let replay = Recorded::start(vec![]).await;
        let store = S3Store::new(&replay.config);
        let at: Location = "s3://b/k".parse().unwrap();
        let error = read::range(&store.client, &at.with_key(" "), "\"e\"", 0..1).await.unwrap_err();
        assert!(
            matches!(&error, ObjectError::Invalid(text) if text.starts_with("s3://b/  could not be read")),
            "{error:?}"
        );
        for key in ["", " ", "\t", "\u{a0}", &"k".repeat(1025)] {
            let at = at.with_key(key);
            for first in [0, 10] {
                assert!(matches!(store.open(&at, first).await, Err(ObjectError::Invalid(_))), "{key:?}");
            }
            assert!(matches!(store.read(&at, "\"e\"", 0..1).await, Err(ObjectError::Invalid(_))), "{key:?}");
            assert!(matches!(store.delete(&at).await, Err(ObjectError::Invalid(_))), "{key:?}");
        }
        assert!(replay.requests().is_empty());
    }
}
