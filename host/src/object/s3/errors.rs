//! What an answer of Amazon S3 means for whoever asked.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::super::{Location, ObjectError};
use crate::aws::ServiceError;

/// Why a request about `at` failed; `done` is what it would have been: read, listed, written.
pub(super) fn object_error<E>(at: &Location, done: &str, error: &SdkError<E, HttpResponse>) -> ObjectError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let fault = ServiceError::new(error);
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

/// Another version lies there by now.
pub(super) fn changed(at: &Location) -> ObjectError {
    ObjectError::Changed(format!("{at} was changed while it was read: run again once nobody writes to it any more"))
}

#[cfg(test)]
mod tests {
    use super::super::S3Store;
    use super::*;
    use crate::aws::recorded::{Recorded, Response};
    use crate::object::ObjectStore as _;

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
            let body = format!("<Error><Code>{code}</Code><Message>why</Message></Error>");
            let replay = Recorded::start(vec![Response::new(status, body)]).await;
            let error = S3Store::new(&replay.config).open(&"s3://b/k".parse().unwrap(), 10).await.unwrap_err();
            assert!(expected(&error) && error.to_string().contains("s3://b/k"), "{code}: {error:?}");
        }
    }
}
