//! What later runs in the same folder ask and change: which batches are committed, what they rest on, and which no longer
//! count.

use rusqlite::{Row, params};

use super::SqliteLedger;
use super::claim::digest;
use super::file::forget_parts;
use crate::job::{BatchId, Digest};
use crate::ledger::{LedgerError, Receipt};

/// A committed batch with what it rests on.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Which batch.
    pub id: BatchId,
    /// The claim that committed it.
    fence: i64,
    /// As [`Receipt::evidence`].
    pub evidence: Option<String>,
}

impl SqliteLedger {
    /// The next committed batches whose execution starts with `prefix`, in the order of their keys, after the one that is
    /// given. At most `most` come back, because each may rest on much.
    pub async fn kept_under(
        &self,
        prefix: &str,
        behind: Option<&BatchId>,
        most: usize,
    ) -> Result<Vec<Kept>, LedgerError> {
        let (first, end) = (prefix.to_owned(), format!("{prefix}\u{10ffff}"));
        let behind = behind.map(BatchId::key).unwrap_or_default();
        self.with(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT execution, state, fence, evidence FROM batches
                 WHERE key >= ?1 AND key < ?2 AND key > ?3 AND output IS NOT NULL ORDER BY key LIMIT ?4",
            )?;
            let kept = |row: &Row<'_>| {
                let id = BatchId { execution: row.get(0)?, state: row.get(1)? };
                Ok(Kept { id, fence: row.get(2)?, evidence: row.get(3)? })
            };
            statement.query_map(params![first, end, behind, most as i64], kept)?.collect()
        })
        .await
    }

    /// Makes a committed batch count as not done, unless somebody has done it again meanwhile.
    pub async fn outdate(&self, kept: &Kept) -> Result<(), LedgerError> {
        let (key, fence) = (kept.id.key(), kept.fence);
        // No work has the digest of nothing, so whatever is claimed is new work.
        let nothing = Digest::of(b"").to_string();
        self.with(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE batches SET fingerprint = ?3 WHERE key = ?1 AND fence = ?2 AND output IS NOT NULL",
                )?
                .execute(params![key, fence, nothing])
                .map(|_| ())
        })
        .await
    }

    /// The committed batches whose execution starts with `prefix`, in the order of their keys. What they rest on stays there.
    pub async fn committed_under(&self, prefix: &str) -> Result<Vec<(BatchId, Receipt)>, LedgerError> {
        // Text compares by its UTF-8 bytes, and no text has a character behind this one.
        let (first, behind) = (prefix.to_owned(), format!("{prefix}\u{10ffff}"));
        self.with(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT execution, state, output, fingerprint FROM batches
                 WHERE key >= ?1 AND key < ?2 AND output IS NOT NULL ORDER BY key",
            )?;
            let entry = |row: &Row<'_>| {
                let id = BatchId { execution: row.get(0)?, state: row.get(1)? };
                Ok((id, Receipt { output: row.get(2)?, fingerprint: digest(row, 3)?, evidence: None }))
            };
            statement.query_map([first, behind], entry)?.collect()
        })
        .await
    }

    /// Forgets a batch, so that it counts as never done.
    pub async fn forget(&self, id: &BatchId) -> Result<(), LedgerError> {
        let key = id.key();
        self.with(move |connection| {
            forget_parts(connection, &key)?;
            connection.prepare_cached("DELETE FROM batches WHERE key = ?1")?.execute([key]).map(|_| ())
        })
        .await
    }
}
