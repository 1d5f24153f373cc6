//! Step Functions, which takes the answers.

use aws_config::SdkConfig;

use super::asked::{Asked, Verdict};
use super::permission::allowed;

/// Asks with a token that Step Functions never made. It says that the token is invalid, if the caller may ask at all.
pub(super) async fn ask(config: &SdkConfig) -> Asked {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::recorded::{Recorded, Response};

    fn refusal(code: &str) -> Response {
        Response::json(400, &format!(r#"{{"__type":"x#{code}","message":"why"}}"#))
    }

    #[tokio::test]
    async fn a_permission_that_is_missing_is_named() {
        let invalid = || refusal("InvalidToken");
        let said = async |responses| ask(&Recorded::start(responses).await.config).await.to_string();
        assert_eq!(said(vec![invalid(), invalid(), invalid()]).await, "ok        answers: Step Functions takes them");
        assert_eq!(
            said(vec![invalid(), refusal("AccessDeniedException"), invalid()]).await,
            "problem   answers: no permission: allow `states:SendTaskSuccess` (why (AccessDeniedException, HTTP 400))"
        );
        assert!(said(vec![]).await.starts_with("problem   answers: no answer to `states:SendTaskHeartbeat`: "));
    }
}
