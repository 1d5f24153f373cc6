//! What SQS's errors mean for whoever waits.

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use super::super::QueueError;
use crate::aws::ServiceError;

pub(super) fn queue_error<E>(error: SdkError<E, HttpResponse>) -> QueueError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let fault = ServiceError::new(&error);
    match fault.is_refusal() {
        true => QueueError::Refused(fault.message),
        false => QueueError::Unavailable(fault.message),
    }
}
