//! Registers in the same file.

use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, params};

use super::SqliteLedger;
use super::file::immediately;
use crate::ledger::LedgerError;
use crate::ledger::registers::{Register, Registers};

#[async_trait]
impl Registers for SqliteLedger {
    async fn register(&self, name: &str) -> Result<Option<Register>, LedgerError> {
        let name = name.to_owned();
        self.with(move |connection| {
            let mut found = connection.prepare_cached("SELECT text, revision FROM registers WHERE name = ?1")?;
            let register = found.query_row([name], |row| {
                Ok(Register { text: row.get(0)?, revision: row.get::<_, i64>(1)?.cast_unsigned() })
            });
            register.optional()
        })
        .await
    }

    async fn write_register(&self, name: &str, text: &str, behind: u64) -> Result<bool, LedgerError> {
        let (name, text, behind) = (name.to_owned(), text.to_owned(), behind.cast_signed());
        self.with(move |connection| {
            immediately(connection, |transaction| {
                let written = match behind {
                    0 => transaction
                        .prepare_cached("INSERT OR IGNORE INTO registers (name, text, revision) VALUES (?1, ?2, 1)")?
                        .execute(params![name, text])?,
                    _ => transaction
                        .prepare_cached(
                            "UPDATE registers SET text = ?2, revision = ?3 + 1 WHERE name = ?1 AND revision = ?3",
                        )?
                        .execute(params![name, text, behind])?,
                };
                Ok(written > 0)
            })
        })
        .await
    }
}
