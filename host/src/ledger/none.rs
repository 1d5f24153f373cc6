//! No ledger: every delivery is work. Rows have keys and objects are named after their batch, so that a batch which is worked
//! on twice gives the same result twice. What is lost is time, and the protection against a late writer.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::registers::{Register, Registers};
use super::{Claim, ClaimRequest, Claimed, GiveBack, Ledger, LedgerError, Receipt, Record};

/// Remembers nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoLedger;

#[async_trait]
impl Registers for NoLedger {
    async fn register(&self, name: &str) -> Result<Option<Register>, LedgerError> {
        Err(nowhere(name))
    }

    async fn write_register(&self, name: &str, _: &str, _: u64) -> Result<bool, LedgerError> {
        Err(nowhere(name))
    }
}

fn nowhere(name: &str) -> LedgerError {
    LedgerError::Refused(format!("{name} is kept in the ledger, and this worker has none: start it with `--ledger`"))
}

#[async_trait]
impl Ledger for NoLedger {
    async fn claim(&self, request: &ClaimRequest) -> Result<Claim, LedgerError> {
        let ClaimRequest { id, component, now, .. } = request.clone();
        Ok(Claim::Taken(Claimed { id, fence: 0, component, resumed: false, started: now }))
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
