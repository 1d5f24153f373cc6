//! Answers through Step Functions' task token API.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::config::Builder;
use aws_sdk_sfn::config::http::HttpResponse;
use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};

use super::{Answer, Callback, CallbackError, Waiting};
use crate::aws::{self, Calls, ServiceError};
use crate::job::TaskToken;

/// Limits of `SendTaskFailure`, in characters ("AWS Step Functions API Reference").
const MAX_ERROR: usize = 256;
const MAX_CAUSE: usize = 32_768;

/// What Step Functions calls a token that nobody waits for.
const NOBODY_WAITS: [&str; 3] = ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"];

/// What an execution is that has not ended. One that waits for its redrive goes on.
const UNDER_WAY: [&str; 2] = ["RUNNING", "PENDING_REDRIVE"];

/// All attempts end before a message becomes visible again by itself. An answer that does not get through is given by the next
/// delivery.
const CALLS: Calls = Calls {
    attempts: Calls::UNTIL_TIME_IS_OVER,
    adaptive: false,
    attempt: Duration::from_secs(5),
    whole: Duration::from_secs(20),
};

/// AWS Step Functions.
#[derive(Clone, Debug)]
pub struct StepFunctions {
    client: Client,
}

impl StepFunctions {
    /// The service that this configuration leads to.
    pub fn new(config: &SdkConfig) -> Self {
        let builder = Builder::from(&CALLS.limit(config))
            .retry_partition(aws::retry_budget("answers"))
            .interceptor(aws::Attempts::of("answers"))
            .retry_classifier(aws::LapsedCredentials);
        Self { client: Client::from_conf(builder.build()) }
    }
}

#[async_trait]
impl Callback for StepFunctions {
    async fn answer(&self, token: &TaskToken, answer: &Answer) -> Result<Waiting, CallbackError> {
        match answer {
            Answer::Success { output } => {
                waiting(self.client.send_task_success().task_token(token.reveal()).output(output).send().await)
            }
            Answer::Failure { error, cause } => {
                let request = self.client.send_task_failure().task_token(token.reveal());
                waiting(request.error(cut(error, MAX_ERROR)).cause(cut(cause, MAX_CAUSE)).send().await)
            }
        }
    }

    async fn heartbeat(&self, token: &TaskToken) -> Result<Waiting, CallbackError> {
        waiting(self.client.send_task_heartbeat().task_token(token.reveal()).send().await)
    }

    async fn is_running(&self, execution: &str) -> Result<Option<bool>, CallbackError> {
        let error = match self.client.describe_execution().execution_arn(execution).send().await {
            Ok(described) => return Ok(Some(UNDER_WAY.contains(&described.status().as_str()))),
            Err(error) => error,
        };
        let fault = ServiceError::new(&error);
        match fault.code.as_str() {
            // Step Functions forgets executions 90 days after their end.
            "ExecutionDoesNotExist" => Ok(None),
            _ if fault.is_refusal() => {
                tracing::warn!(
                    execution,
                    why = fault.message,
                    "whether an execution is over cannot be asked: allow states:DescribeExecution"
                );
                Ok(Some(true))
            }
            _ => Err(CallbackError(fault.message)),
        }
    }
}

fn waiting<T, E>(result: Result<T, SdkError<E, HttpResponse>>) -> Result<Waiting, CallbackError>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Err(error) = result else { return Ok(Waiting::Yes) };
    let fault = ServiceError::new(&error);
    // A token comes from a message. If no state can have it, the message is at fault and not the service.
    let impossible = fault.code == "ValidationException" && fault.message.contains("taskToken");
    match impossible || NOBODY_WAITS.contains(&fault.code.as_str()) {
        true => Ok(Waiting::No),
        false => Err(CallbackError(fault.message)),
    }
}

/// The first `max` characters. Step Functions refuses a longer text, and with it the answer.
fn cut(text: &str, max: usize) -> &str {
    text.char_indices().nth(max).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::recorded::{Recorded, Response};

    fn refusal(code: &str) -> Response {
        Response::json(400, &format!(r#"{{"__type":"com.amazonaws.swf.service.v2.model#{code}","message":"why"}}"#))
    }

    fn token() -> TaskToken {
        TaskToken::new("secret-token")
    }

    #[tokio::test]
    async fn a_token_that_nobody_waits_for_settles_the_matter() {
        let success = Answer::Success { output: "{}".into() };
        for code in NOBODY_WAITS {
            let recorded = Recorded::start(vec![refusal(code), refusal(code)]).await;
            let callback = StepFunctions::new(&recorded.config);
            assert_eq!(callback.answer(&token(), &success).await.unwrap(), Waiting::No, "{code}");
            assert_eq!(callback.heartbeat(&token()).await.unwrap(), Waiting::No, "{code}");
        }
    }

    #[tokio::test]
    async fn nobody_waits_with_a_token_that_cannot_be_one() {
        let why = "Value at 'taskToken' failed to satisfy constraint: Member must satisfy a pattern";
        let refusal = Response::json(400, &format!(r#"{{"__type":"x#ValidationException","message":"{why}"}}"#));
        let recorded = Recorded::start(vec![refusal]).await;
        assert_eq!(StepFunctions::new(&recorded.config).heartbeat(&token()).await.unwrap(), Waiting::No);
    }

    #[tokio::test]
    async fn everything_else_is_an_error_without_the_token() {
        for response in [
            refusal("InvalidOutput"),
            refusal("ValidationException"),
            refusal("AccessDeniedException"),
            Response::json(500, "{}"),
        ] {
            let recorded = Recorded::start(vec![response]).await;
            let callback = StepFunctions::new(&recorded.config);
            let error = callback.answer(&token(), &Answer::Success { output: "{".into() }).await.unwrap_err();
            assert!(!format!("{error:?}").contains("secret-token"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_failure_fits_into_the_limits() {
        let recorded = Recorded::start(vec![Response::json(200, "{}")]).await;
        let answer = Answer::Failure { error: "é".repeat(300), cause: "ü".repeat(40_000) };
        assert_eq!(StepFunctions::new(&recorded.config).answer(&token(), &answer).await.unwrap(), Waiting::Yes);
        let sent: serde_json::Value = serde_json::from_str(&recorded.requests()[0].body).unwrap();
        assert_eq!(sent["error"], "é".repeat(256));
        assert_eq!(sent["cause"], "ü".repeat(32_768));
        assert_eq!(sent["taskToken"], "secret-token");
    }

    #[test]
    fn a_short_text_is_not_cut() {
        assert_eq!((cut("", 2), cut("ab", 2), cut("äb", 1), cut("abc", 2)), ("", "ab", "ä", "ab"));
    }
}
