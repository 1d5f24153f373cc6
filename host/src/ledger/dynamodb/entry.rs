//! Entries of the table: their attributes, and what it means when an update of one fails.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::super::{LedgerError, millis};
use crate::aws::ServiceError;
use crate::job::Digest;

/// How long entries are kept: longer than SQS keeps a message (14 days), so that no late delivery finds its batch
/// forgotten.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// An entry as the table has it.
pub(super) type Attributes = HashMap<String, AttributeValue>;

/// Updates an entry. The inner error is the entry that did not meet the condition.
pub(super) async fn entry(update: UpdateItemFluentBuilder) -> Result<Result<Attributes, Attributes>, LedgerError> {
    match update.return_values(ReturnValue::AllNew).send().await {
        Ok(output) => Ok(Ok(output.attributes.unwrap_or_default())),
        Err(error) => Ok(Err(in_the_way(error)?)),
    }
}

/// The entry that did not meet the condition; empty when there is none.
pub(super) fn in_the_way(error: SdkError<UpdateItemError, HttpResponse>) -> Result<Attributes, LedgerError> {
    let fault = ServiceError::new(&error);
    match error.into_service_error() {
        UpdateItemError::ConditionalCheckFailedException(failed) => Ok(failed.item.unwrap_or_default()),
        other if fault.is_refusal() => Err(LedgerError::Refused(refusal(&other, fault))),
        _ => Err(LedgerError::Unavailable(fault.message)),
    }
}

fn refusal(error: &UpdateItemError, fault: ServiceError) -> String {
    match error.code() {
        Some("ResourceNotFoundException" | "ValidationException") => {
            format!(
                "{}. The ledger needs a table in this account and region with the partition key `pk` of type S (string) and \
                 no sort key",
                fault.message
            )
        }
        _ => fault.message,
    }
}

pub(super) fn unavailable(fault: ServiceError) -> LedgerError {
    if fault.is_refusal() { LedgerError::Refused(fault.message) } else { LedgerError::Unavailable(fault.message) }
}

pub(super) fn bytes(bytes: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Time to live is in seconds.
pub(super) fn expires(now: SystemTime) -> AttributeValue {
    number(millis(now + KEPT) / 1000)
}

pub(super) fn text<'a>(entry: &'a Attributes, name: &str) -> Result<&'a String, LedgerError> {
    let value = entry.get(name).and_then(|value| value.as_s().ok());
    value.ok_or_else(|| foreign(name, "a string"))
}

pub(super) fn digest(entry: &Attributes, name: &str) -> Result<Digest, LedgerError> {
    text(entry, name)?.parse().map_err(|_| foreign(name, "a digest"))
}

pub(super) fn signed(entry: &Attributes, name: &str) -> Result<i64, LedgerError> {
    let value = entry.get(name).and_then(|value| value.as_n().ok()).and_then(|number| number.parse().ok());
    value.ok_or_else(|| foreign(name, "a number"))
}

pub(super) fn foreign(name: &str, expected: &str) -> LedgerError {
    LedgerError::Refused(format!(
        "the attribute `{name}` of the batch's entry is not {expected}: is the table the ledger's own, and of this version?"
    ))
}
