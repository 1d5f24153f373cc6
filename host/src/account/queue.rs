//! A queue, and where its dead letters go.

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Name;
use serde_json::Value;

use super::asked::{Asked, Verdict};
use super::permission::{allowed, answered};

/// The shortest visibility time-out, in seconds. Below it a renewal that is late by a moment loses the message.
const SHORTEST_VISIBILITY: u32 = 30;

/// The fewest deliveries that outlast a service which is away for minutes.
const FEWEST_DELIVERIES: u64 = 10;

pub(super) async fn ask(config: &SdkConfig, url: &str) -> Vec<Asked> {
    let client = Client::new(config);
    let what = format!("queue {url}");
    let attributes = client.get_queue_attributes().queue_url(url).attribute_names(Name::VisibilityTimeout);
    let attributes = attributes.attribute_names(Name::RedrivePolicy).send().await;
    let attributes = match answered(attributes, "sqs:GetQueueAttributes") {
        Ok(answer) => answer.attributes.unwrap_or_default(),
        Err(problem) => return vec![Asked::new(what, problem)],
    };
    let visibility = attributes.get(&Name::VisibilityTimeout).and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    let mut asked = vec![Asked::new(&what, visibility_of(visibility))];
    let (verdict, arn) = redrive(attributes.get(&Name::RedrivePolicy).map(String::as_str));
    asked.push(Asked::new(format!("{what}: redrive policy"), verdict));
    if let Some(arn) = arn {
        // arn:aws:sqs:region:account:name
        let mut parts = arn.rsplit(':');
        let (name, account) = (parts.next().unwrap_or_default(), parts.next());
        let found = client.get_queue_url().queue_name(name).set_queue_owner_aws_account_id(account.map(Into::into));
        let verdict = answered(found.send().await, "sqs:GetQueueUrl");
        let verdict = verdict.map_or_else(|problem| problem, |_| Verdict::Fine("it is there".into()));
        asked.push(Asked::new(format!("dead-letter queue {arn}"), verdict));
    }
    // SQS refuses a receipt that it never gave, but checks the permission first.
    let handle = "gristmill-check";
    let change = client.change_message_visibility().queue_url(url).receipt_handle(handle).visibility_timeout(0);
    let delete = client.delete_message().queue_url(url).receipt_handle(handle);
    let verdict = allowed(change.send().await, "sqs:ChangeMessageVisibility")
        .and(allowed(delete.send().await, "sqs:DeleteMessage"));
    let fine = |_| Verdict::Fine("messages may be extended and deleted".into());
    asked.push(Asked::new(&what, verdict.map_or_else(|problem| problem, fine)));
    let not = "`sqs:ReceiveMessage` here and `sqs:SendMessage` on the dead-letter queue";
    asked.push(Asked::new(what, Verdict::NotAsked(not.into())));
    asked
}

fn visibility_of(seconds: u32) -> Verdict {
    match seconds {
        0 => {
            Verdict::Problem("its visibility time-out is zero: every message would be worked on again and again".into())
        }
        1..SHORTEST_VISIBILITY => Verdict::Problem(format!(
            "its visibility time-out is {seconds} s: make it {SHORTEST_VISIBILITY} s or more, workers extend it"
        )),
        _ => Verdict::Fine(format!("its visibility time-out is {seconds} s")),
    }
}

/// The verdict on a redrive policy, and the dead-letter queue's ARN.
fn redrive(policy: Option<&str>) -> (Verdict, Option<String>) {
    let remedy = format!("give it one with a dead-letter queue and a `maxReceiveCount` of {FEWEST_DELIVERIES}");
    let Some(policy) = policy else {
        return (Verdict::Problem(format!("there is none, so that nothing can be set aside: {remedy}")), None);
    };
    let Ok(policy) = serde_json::from_str::<Value>(policy) else {
        return (Verdict::Problem(format!("it cannot be read: {remedy}")), None);
    };
    let Some(arn) = policy["deadLetterTargetArn"].as_str() else {
        return (Verdict::Problem(format!("it names no dead-letter queue: {remedy}")), None);
    };
    // SQS gives it as it was set: as a number or as a string of digits.
    let count = &policy["maxReceiveCount"];
    let verdict = match count.as_u64().or_else(|| count.as_str()?.parse().ok()) {
        Some(count) if count >= FEWEST_DELIVERIES => Verdict::Fine(format!("dead letters after {count} deliveries")),
        Some(count) => Verdict::Hint(format!(
            "dead letters after {count} deliveries: with fewer than {FEWEST_DELIVERIES} a store that is away for minutes costs batches"
        )),
        None => Verdict::Problem(format!("it has no `maxReceiveCount`: {remedy}")),
    };
    (verdict, Some(arn.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_weighed() {
        let of = |policy: Option<&str>| redrive(policy).0;
        let arn = "\"deadLetterTargetArn\":\"arn:aws:sqs:r:1:dead\"";
        assert_eq!(
            redrive(Some(&format!("{{{arn},\"maxReceiveCount\":\"10\"}}"))),
            (Verdict::Fine("dead letters after 10 deliveries".into()), Some("arn:aws:sqs:r:1:dead".into()))
        );
        assert!(matches!(of(Some(&format!("{{{arn},\"maxReceiveCount\":3}}"))), Verdict::Hint(_)));
        for wrong in [None, Some("{"), Some("{}"), Some("{\"deadLetterTargetArn\":\"arn:x\"}")] {
            assert!(matches!(of(wrong), Verdict::Problem(_)), "{wrong:?}");
        }
        assert!(matches!(visibility_of(30), Verdict::Fine(_)));
        assert!([0, 1, 29].iter().all(|seconds| matches!(visibility_of(*seconds), Verdict::Problem(_))));
    }
}
