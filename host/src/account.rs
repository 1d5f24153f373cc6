//! Whether an account has what a dataset and its workers need, asked before anything runs. Every call changes nothing, or takes
//! back what it did; what cannot be asked that way is listed as not asked.

mod objects;
mod queue;
mod tables;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sfn::config::http::HttpResponse;
use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};

use crate::aws::{Calls, ServiceError};
use crate::dataset::Dataset;
use crate::sink::OutputSchema;

/// Somebody waits for the answer.
const CALLS: Calls =
    Calls { attempts: 3, adaptive: false, attempt: Duration::from_secs(10), whole: Duration::from_secs(20) };

/// One thing that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What: `queue https://...`, `table stations`.
    pub what: String,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it has to be; a few words on how it is.
    Fine(String),
    /// It works, and is rarely meant.
    Hint(String),
    /// Batches will fail: what is wrong, and what to do.
    Problem(String),
    /// Asking would have changed something.
    NotAsked(String),
}

impl Asked {
    fn new(what: impl Into<String>, verdict: Verdict) -> Self {
        Self { what: what.into(), verdict }
    }

    /// Whether batches will fail for it.
    pub fn is_problem(&self) -> bool {
        matches!(self.verdict, Verdict::Problem(_))
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, text) = match &self.verdict {
            Verdict::Fine(text) => ("ok", text),
            Verdict::Hint(text) => ("hint", text),
            Verdict::Problem(text) => ("problem", text),
            Verdict::NotAsked(text) => ("not asked", text),
        };
        write!(f, "{word:<10}{}: {text}", self.what)
    }
}

/// Asks for everything that the workers of these queues need for the dataset, whose outputs are known from its component.
pub async fn ask(
    config: &SdkConfig,
    dataset: &Dataset,
    outputs: &[Arc<OutputSchema>],
    queues: &[String],
    ledger: Option<&str>,
) -> Vec<Asked> {
    let config = &CALLS.limit(config);
    let mut asked = Vec::new();
    for url in queues {
        asked.extend(queue::ask(config, url).await);
    }
    if queues.is_empty() {
        asked.push(Asked::new("queue", Verdict::NotAsked("give `--queue URL`".into())));
    }
    asked.push(answers(config).await);
    match ledger {
        Some(table) => asked.extend(tables::ledger(config, table).await),
        None => asked.push(Asked::new("ledger", Verdict::NotAsked("give `--ledger TABLE`".into()))),
    }
    asked.extend(tables::outputs(config, outputs).await);
    asked.extend(objects::granted(config, &dataset.grants).await);
    asked.extend(objects::places(config, dataset).await);
    asked
}

/// Step Functions says of a token that it never made that it is invalid, if the caller may ask at all.
async fn answers(config: &SdkConfig) -> Asked {
    let client = aws_sdk_sfn::Client::new(config);
    let token = "gristmill-check";
    let heartbeat = client.send_task_heartbeat().task_token(token).send().await;
    let success = client.send_task_success().task_token(token).output("{}").send().await;
    let failure = client.send_task_failure().task_token(token).send().await;
    let verdict = allowed(heartbeat, "states:SendTaskHeartbeat")
        .and(allowed(success, "states:SendTaskSuccess"))
        .and(allowed(failure, "states:SendTaskFailure"));
    Asked::new("answers", verdict.map_or_else(|problem| problem, |_| Verdict::Fine("Step Functions takes them".into())))
}

/// The answer, or the problem that there is none: a permission that is missing is named.
fn answered<T, E>(result: Result<T, SdkError<E, HttpResponse>>, permission: &str) -> Result<T, Verdict>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    result.map_err(|error| Verdict::Problem(sentence(&ServiceError::new(&error), permission)))
}

/// Whether the caller may ask, whatever is answered.
fn allowed<T, E>(result: Result<T, SdkError<E, HttpResponse>>, permission: &str) -> Result<Option<T>, Verdict>
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::replay::{Replay, Response};

    fn refusal(code: &str) -> Response {
        Response::json(400, &format!(r#"{{"__type":"x#{code}","message":"why"}}"#))
    }

    #[tokio::test]
    async fn a_permission_that_is_missing_is_named() {
        let invalid = || refusal("InvalidToken");
        let ask = async |responses| answers(&Replay::start(responses).await.config).await.to_string();
        assert_eq!(ask(vec![invalid(), invalid(), invalid()]).await, "ok        answers: Step Functions takes them");
        assert_eq!(
            ask(vec![invalid(), refusal("AccessDeniedException"), invalid()]).await,
            "problem   answers: no permission: allow `states:SendTaskSuccess` (why (AccessDeniedException, HTTP 400))"
        );
        assert!(ask(vec![]).await.starts_with("problem   answers: no answer to `states:SendTaskHeartbeat`: "));
    }
}
