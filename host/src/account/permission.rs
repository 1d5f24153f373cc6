//! What an answer says of the caller's permissions.

use aws_sdk_sfn::config::http::HttpResponse;
use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};

use super::asked::Verdict;
use crate::aws::ServiceError;

/// The answer, or the problem. A missing permission is named.
pub(super) fn answered<T, E>(result: Result<T, SdkError<E, HttpResponse>>, permission: &str) -> Result<T, Verdict>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    result.map_err(|error| Verdict::Problem(sentence(&ServiceError::new(&error), permission)))
}

/// Whether the caller may ask, whatever is answered.
pub(super) fn allowed<T, E>(
    result: Result<T, SdkError<E, HttpResponse>>,
    permission: &str,
) -> Result<Option<T>, Verdict>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match result {
        Ok(answer) => Ok(Some(answer)),
        Err(error) => match ServiceError::new(&error) {
            fault if is_denial(&fault) || !fault.is_refusal() => Err(Verdict::Problem(sentence(&fault, permission))),
            _ => Ok(None),
        },
    }
}

fn is_denial(fault: &ServiceError) -> bool {
    fault.status == Some(403) || fault.code.contains("AccessDenied") || fault.code.contains("NotAuthorized")
}

fn sentence(fault: &ServiceError, permission: &str) -> String {
    if is_denial(fault) {
        format!("no permission: allow `{permission}` ({})", fault.message)
    } else if fault.is_refusal() {
        fault.message.clone()
    } else {
        format!("no answer to `{permission}`: {}", fault.message)
    }
}
