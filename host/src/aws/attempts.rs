//! How often requests to AWS were sent again, and how often they were throttled: counted for the whole process, by client.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_sdk_sqs::config::interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sqs::error::BoxError;
use aws_smithy_runtime_api::client::retries::RequestAttempts;

use super::service_error::is_throttled;

/// What was counted for one client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Attempts after the first one of their call.
    pub(crate) retries: u64,
    /// Attempts that were answered with a wish for fewer.
    pub(crate) throttles: u64,
}

static COUNTED: Mutex<BTreeMap<&str, Counted>> = Mutex::new(BTreeMap::new());

/// What was counted so far, by client.
pub(crate) fn attempts() -> BTreeMap<&'static str, Counted> {
    counted().clone()
}

fn counted() -> MutexGuard<'static, BTreeMap<&'static str, Counted>> {
    COUNTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts the attempts of one client, or of several under one name.
#[derive(Debug)]
pub(crate) struct Attempts(&'static str);

impl Attempts {
    /// Counts under this name, which is there from now on.
    pub(crate) fn of(client: &'static str) -> Self {
        counted().entry(client).or_default();
        Self(client)
    }

    fn count(&self, what: impl FnOnce(&mut Counted)) -> Result<(), BoxError> {
        what(counted().entry(self.0).or_default());
        Ok(())
    }
}

impl Intercept for Attempts {
    fn name(&self) -> &'static str {
        "counts attempts"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        state: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let again = state.load::<RequestAttempts>().is_some_and(|attempts| attempts.attempts() > 1);
        self.count(|counted| counted.retries += u64::from(again))
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let throttled = context.response().is_some_and(is_throttled);
        self.count(|counted| counted.throttles += u64::from(throttled))
    }
}
