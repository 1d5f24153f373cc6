//! The ledger of `gristmill map --local DIR`: one SQLite file that every process working on `DIR` shares.
//!
//! It survives the death of a process at any instruction. A power cut may lose the last entries (`synchronous = NORMAL`);
//! their batches are then done again, which leaves the same rows.

mod claim;
mod committed;
mod file;
mod registers;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use rusqlite::{Connection, params};

pub use self::committed::Kept;
pub use self::file::FILE;
use self::file::{failed, forget_parts, immediately};
use super::owners::Owner;
use super::{Claim, ClaimRequest, Claimed, GiveBack, Ledger, LedgerError, Receipt, Record, millis};

/// A ledger in a file.
#[derive(Clone, Debug)]
pub struct SqliteLedger {
    connection: Arc<Mutex<Connection>>,
    owner: Arc<Owner>,
}

impl SqliteLedger {
    /// Opens the ledger of the folder `directory`, or begins one. Claims of processes that are gone are given back.
    pub fn open(directory: &Path) -> Result<Self, LedgerError> {
        let (connection, owner) = file::open(directory)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), owner: Arc::new(owner) })
    }

    /// Runs statements where they may block: another process may be writing.
    async fn with<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let connection = Arc::clone(&self.connection);
        tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            call(&mut connection).map_err(|error| failed(&connection, &error))
        })
        .await
        .map_err(|error| LedgerError::Unavailable(error.to_string()))?
    }

    /// Changes the entry of a claim, if nobody has taken the batch over.
    async fn update(
        &self,
        claimed: &Claimed,
        call: impl FnOnce(&Connection, &str, i64) -> rusqlite::Result<usize> + Send + 'static,
    ) -> Result<(), LedgerError> {
        let (key, fence) = (claimed.id.key(), claimed.fence.cast_signed());
        let call =
            move |connection: &mut Connection| immediately(connection, |transaction| call(transaction, &key, fence));
        match self.with(call).await? {
            0 => Err(LedgerError::Lost(claimed.id.clone())),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn claim(&self, request: &ClaimRequest) -> Result<Claim, LedgerError> {
        let (request, owner) = (request.clone(), Arc::clone(&self.owner));
        self.with(move |connection| {
            immediately(connection, |transaction| claim::claim(transaction, &request, &owner.name))
        })
        .await
    }

    async fn renew(&self, claimed: &Claimed, now: SystemTime, lease: Duration) -> Result<(), LedgerError> {
        let until = millis(now) + lease.as_millis() as i64;
        self.update(claimed, move |connection, key, fence| {
            connection
                .prepare_cached("UPDATE batches SET lease_until = ?3 WHERE key = ?1 AND fence = ?2")?
                .execute(params![key, fence, until])
        })
        .await
    }

    async fn prepare(&self, claimed: &Claimed, record: &Record) -> Result<(), LedgerError> {
        let record = record.clone();
        self.update(claimed, move |connection, key, fence| {
            let mut ours = connection.prepare_cached("SELECT 1 FROM batches WHERE key = ?1 AND fence = ?2")?;
            if !ours.exists(params![key, fence])? {
                return Ok(0);
            }
            forget_parts(connection, key)?;
            let mut put = connection.prepare_cached("INSERT INTO parts (key, number, bytes) VALUES (?1, ?2, ?3)")?;
            let mut count = 0_i64;
            for part in record.parts() {
                put.execute(params![key, count, &*part])?;
                count += 1;
            }
            connection
                .prepare_cached("UPDATE batches SET prepared = ?3 WHERE key = ?1 AND fence = ?2")?
                .execute(params![key, fence, count])
        })
        .await
    }

    async fn commit(&self, claimed: &Claimed, receipt: &Receipt) -> Result<(), LedgerError> {
        let receipt = receipt.clone();
        self.update(claimed, move |connection, key, fence| {
            let ours = connection
                .prepare_cached(
                    "UPDATE batches SET output = ?3, fingerprint = ?4, evidence = ?5, prepared = NULL
                     WHERE key = ?1 AND fence = ?2",
                )?
                .execute(params![key, fence, receipt.output, receipt.fingerprint.to_string(), receipt.evidence])?;
            if ours > 0 {
                forget_parts(connection, key)?;
            }
            Ok(ours)
        })
        .await
    }

    async fn release(&self, claimed: &Claimed, state: GiveBack) -> Result<(), LedgerError> {
        self.update(claimed, move |connection, key, fence| {
            let update = match state {
                GiveBack::Unfinished => "UPDATE batches SET lease_until = 0 WHERE key = ?1 AND fence = ?2",
                GiveBack::Afresh => {
                    "UPDATE batches SET lease_until = 0, component = NULL, prepared = NULL WHERE key = ?1 AND fence = ?2"
                }
            };
            let ours = connection.prepare_cached(update)?.execute(params![key, fence])?;
            if ours > 0 && state == GiveBack::Afresh {
                forget_parts(connection, key)?;
            }
            Ok(ours)
        })
        .await
    }
}
