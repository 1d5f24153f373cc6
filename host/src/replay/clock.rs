//! The ledger of a batch that runs again.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::ledger::{Claim, ClaimRequest, Claimed, GiveBack, Ledger, LedgerError, Receipt, Record};

/// A ledger that remembers one thing: when the batch was begun.
pub(super) struct Clock(pub(super) SystemTime);

#[async_trait]
impl Ledger for Clock {
    async fn claim(&self, request: &ClaimRequest) -> Result<Claim, LedgerError> {
        let ClaimRequest { id, component, .. } = request.clone();
        Ok(Claim::Taken(Claimed { id, fence: 0, component, resumed: false, started: self.0 }))
    }

    async fn renew(&self, _: &Claimed, _: SystemTime, _: Duration) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn prepare(&self, _: &Claimed, _: &Record) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn commit(&self, _: &Claimed, _: &Receipt) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn release(&self, _: &Claimed, _: GiveBack) -> Result<(), LedgerError> {
        Ok(())
    }
}
