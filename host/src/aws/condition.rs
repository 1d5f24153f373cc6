//! A condition for requests: asked before every attempt, also before those by which the SDK repeats a call by itself. Between two
//! of them a lease may end.

use std::sync::Arc;

use aws_sdk_sqs::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sqs::error::BoxError;

/// Whether requests may still be sent.
pub(crate) type Condition = Arc<dyn Fn() -> bool + Send + Sync>;

tokio::task_local! {
    /// Of what this task is doing right now. The SDK makes its attempts in the task that made the call.
    static CONDITION: Condition;
}

/// Does the work, and sends no request of it after the condition has ended: those of clients that have [`OnlyWhile`].
pub(crate) async fn only_while<T>(condition: Condition, work: impl Future<Output = T>) -> T {
    CONDITION.scope(condition, work).await
}

/// Holds a client to the condition of [`only_while`]. A request that is held back is an error that is not repeated.
#[derive(Debug)]
pub(crate) struct OnlyWhile;

impl Intercept for OnlyWhile {
    fn name(&self) -> &'static str {
        "only while a condition holds"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        match CONDITION.try_with(|condition| condition()) {
            Ok(false) => Err("the claim ran out: no further attempt is made".into()),
            // Outside of any condition everything may be sent.
            Ok(true) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::super::recorded::{Recorded, Response};
    use super::super::{Calls, ServiceError, s3_client};
    use super::*;

    const CALLS: Calls =
        Calls { attempts: 10, adaptive: true, attempt: Duration::from_secs(10), whole: Duration::from_secs(60) };

    /// A condition that holds so many times.
    fn times(most: usize) -> Condition {
        let asked = AtomicUsize::new(0);
        Arc::new(move || asked.fetch_add(1, Ordering::SeqCst) < most)
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_not_repeated_once_its_condition_has_ended() {
        let replay = Recorded::start(vec![]).await;
        let config = replay.config.clone().into_builder().retry_config(CALLS.retries()).build();
        let client = s3_client(&CALLS.limit(&config), "test");
        let delete = async || client.delete_object().bucket("b").key("k").send().await;
        let error = only_while(times(3), delete()).await.unwrap_err();
        assert_eq!(replay.requests().len(), 3, "{error:?}");
        let fault = ServiceError::new(&error);
        assert!(!fault.is_refusal() && fault.message.contains("the claim ran out"), "{fault:?}");
        only_while(times(0), delete()).await.unwrap_err();
        assert_eq!(replay.requests().len(), 3);
        delete().await.unwrap_err();
        assert_eq!(replay.requests().len(), 13, "without a condition all attempts are made");
    }

    #[tokio::test]
    async fn a_condition_that_holds_changes_nothing() {
        let replay = Recorded::start(vec![Response::new(204, "")]).await;
        let client = s3_client(&replay.config, "test");
        only_while(times(1), client.delete_object().bucket("b").key("k").send()).await.unwrap();
    }
}
