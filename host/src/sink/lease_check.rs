//! The check that keeps a worker from writing after its lease is over.

use std::sync::Arc;

use super::error::SinkError;
use crate::aws::{Condition, only_while};

/// Whether this worker still holds the lease on the batch. Asked right before everything that is seen from outside.
#[derive(Clone)]
pub struct LeaseCheck(Condition);

impl LeaseCheck {
    /// Holds as long as this says so.
    pub fn new(holds: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(holds))
    }

    /// An error when the lease is over.
    pub fn check(&self) -> Result<(), SinkError> {
        if (self.0)() { Ok(()) } else { Err(SinkError::Lost) }
    }

    /// Does what is seen from outside. The lease is checked again before each attempt at a request that this takes, however
    /// often a client repeats it.
    pub(super) async fn during(&self, work: impl Future<Output = Result<(), SinkError>>) -> Result<(), SinkError> {
        self.check()?;
        match only_while(self.0.clone(), work).await {
            // A request that was not repeated may have got through or not. Whoever holds the lease now will see.
            Err(SinkError::Unavailable(_)) if self.check().is_err() => Err(SinkError::Lost),
            ended => ended,
        }
    }
}
