//! The dead-letter queue: where it is, and what goes there.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::MessageAttributeValue;

use super::super::{Delivery, QueueError};
use super::error::queue_error;
use crate::job::MAX_MESSAGE_BYTES;

/// The longest reason that goes along with a dead letter, in bytes. Attributes count against the message's size.
pub(super) const MAX_REASON: usize = 1024;

/// Where messages go that nobody can work on.
#[derive(Debug)]
pub(super) struct DeadLetters {
    url: String,
    /// After how many deliveries SQS moves a message there by itself.
    pub(super) max_receives: u32,
}

impl DeadLetters {
    /// The queue that the policy names, or why there is none. An error means that the queue may be there in a moment.
    pub(super) async fn find(
        client: &Client,
        redrive_policy: Option<&str>,
    ) -> Result<Result<Self, String>, QueueError> {
        let policy = match redrive(redrive_policy) {
            Ok(policy) => policy,
            Err(reason) => return Ok(Err(reason)),
        };
        // arn:aws:sqs:region:account:name
        let mut parts = policy.arn.rsplit(':');
        let (name, account) = (parts.next().unwrap_or_default(), parts.next());
        let request = client.get_queue_url().queue_name(name).set_queue_owner_aws_account_id(account.map(Into::into));
        let (arn, max_receives) = (&policy.arn, policy.max_receives);
        Ok(match request.send().await.map_err(queue_error) {
            Ok(output) => match output.queue_url {
                Some(url) => Ok(Self { url, max_receives }),
                None => Err(format!("the dead-letter queue {arn} has no URL")),
            },
            Err(QueueError::Refused(why)) => Err(format!("the dead-letter queue {arn} is out of reach: {why}")),
            Err(unavailable) => return Err(unavailable),
        })
    }

    /// Sends a message there. The reason and the queue that it came from go along if there is room for them.
    pub(super) async fn send(
        &self,
        client: &Client,
        source: &str,
        delivery: &Delivery,
        reason: &str,
    ) -> Result<(), QueueError> {
        let mut request = client.send_message().queue_url(&self.url).message_body(&delivery.body);
        let attributes = [("gristmill-reason", attribute_text(reason)), ("gristmill-source", source.to_owned())];
        let size: usize = attributes.iter().map(|(name, value)| name.len() + value.len() + "String".len()).sum();
        if delivery.body.len() + size <= MAX_MESSAGE_BYTES {
            for (name, value) in attributes {
                let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
                request =
                    request.message_attributes(name, value.map_err(|error| QueueError::Refused(error.to_string()))?);
            }
        }
        request.send().await.map_err(queue_error).map(|_| ())
    }
}

/// What a redrive policy says.
struct Policy {
    arn: String,
    max_receives: u32,
}

fn redrive(policy: Option<&str>) -> Result<Policy, String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Redrive {
        dead_letter_target_arn: String,
        max_receive_count: serde_json::Value,
    }
    let policy = policy.ok_or("the queue has no dead-letter queue: give it a redrive policy")?;
    let policy: Redrive =
        serde_json::from_str(policy).map_err(|error| format!("the queue's redrive policy: {error}"))?;
    // SQS gives it as it was set: as a number or as a string of digits.
    let max_receives = match &policy.max_receive_count {
        serde_json::Value::String(digits) => digits.parse().ok(),
        number => number.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    let max_receives = max_receives
        .ok_or_else(|| format!("the queue's redrive policy: maxReceiveCount is {}", policy.max_receive_count))?;
    Ok(Policy { arn: policy.dead_letter_target_arn, max_receives })
}

/// The text without characters that SQS refuses, never empty, and short.
pub(super) fn attribute_text(text: &str) -> String {
    let allowed =
        |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    let mut text: String = text.chars().filter(allowed).collect();
    text.truncate(text.floor_char_boundary(MAX_REASON));
    if text.is_empty() { "unknown".into() } else { text }
}
