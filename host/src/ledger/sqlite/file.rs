//! The file: its tables, how it is opened, and what its errors mean.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::super::LedgerError;
use super::super::owners::{self, Owner};
use crate::sqlite;

/// The ledger's path below its folder.
pub const FILE: &str = ".gristmill/ledger.sqlite";

/// The layout of the table below (`PRAGMA user_version`).
pub(super) const VERSION: i64 = 3;

/// Times are in milliseconds since 1970 and digests are text, so that people can read them with their own tools. A ledger of an
/// earlier layout is begun anew: its batches are done again, with the same rows.
const SCHEMA: &str = "
    DROP TABLE IF EXISTS batches;
    DROP TABLE IF EXISTS parts;
    CREATE TABLE batches (
        key         TEXT PRIMARY KEY,   -- execution#state
        execution   TEXT NOT NULL,
        state       TEXT NOT NULL,
        fence       INTEGER NOT NULL,
        lease_until INTEGER NOT NULL,
        started     INTEGER NOT NULL,
        component   TEXT,               -- none: nobody has begun, or it was given back
        fingerprint TEXT NOT NULL,
        owner       TEXT NOT NULL,      -- the process that claimed it
        prepared    BLOB,               -- how many parts what is about to become visible has; of an earlier gristmill its bytes
        output      TEXT,               -- set when the batch is committed
        evidence    TEXT                -- what it rests on
    ) WITHOUT ROWID;
    PRAGMA user_version = 3;";

/// A record is written and read part by part, because it may be large.
const PARTS: &str = "
    CREATE TABLE IF NOT EXISTS parts (
        key    TEXT NOT NULL,
        number INTEGER NOT NULL,
        bytes  BLOB NOT NULL,
        PRIMARY KEY (key, number)
    );";

/// Beside the batches: a ledger that is begun anew keeps them.
const REGISTERS: &str = "
    CREATE TABLE IF NOT EXISTS registers (
        name     TEXT PRIMARY KEY,
        revision INTEGER NOT NULL,
        text     TEXT NOT NULL
    ) WITHOUT ROWID;";

/// Opens the ledger of the folder, or begins one, and enters it as a process that is alive.
pub(super) fn open(directory: &Path) -> Result<(Connection, Owner), LedgerError> {
    let file = directory.join(FILE);
    let fault = |error: &dyn std::fmt::Display| {
        LedgerError::Unavailable(format!(
            "{}: {error}; once it is moved away, all batches of this folder count as not done",
            file.display()
        ))
    };
    let owners = file.with_file_name("owners");
    std::fs::create_dir_all(&owners).map_err(|error| fault(&error))?;
    let mut connection = sqlite::open(&file).map_err(|error| fault(&error))?;
    let version = layout(&connection).map_err(|error| fault(&error))?;
    if version > VERSION {
        return Err(fault(&format!("written by a later gristmill (layout {version}, this one knows {VERSION})")));
    }
    let enter = |connection: &Connection| {
        // Asked again: another process may have begun it in between.
        if layout(connection)? < VERSION {
            connection.execute_batch(SCHEMA)?;
        }
        connection.execute_batch(PARTS)?;
        connection.execute_batch(REGISTERS)?;
        let mut release = connection.prepare("UPDATE batches SET lease_until = 0 WHERE owner = ?1")?;
        for dead in owners::remove_dead(&owners).map_err(io_error)? {
            release.execute([dead])?;
        }
        Owner::enter(&owners).map_err(io_error)
    };
    let owner = immediately(&mut connection, enter).map_err(|error| fault(&error))?;
    Ok((connection, owner))
}

/// The layout of the file's table; 0 where there is none.
fn layout(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn io_error(error: std::io::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

/// Reads and writes in one transaction: nobody else writes in between.
pub(super) fn immediately<T>(
    connection: &mut Connection,
    call: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let result = call(&transaction)?;
    transaction.commit()?;
    Ok(result)
}

pub(super) fn forget_parts(connection: &Connection, key: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM parts WHERE key = ?1")?.execute([key]).map(|_| ())
}

/// What an error means for whoever waits.
pub(super) fn failed(connection: &Connection, error: &rusqlite::Error) -> LedgerError {
    let file = connection.path().unwrap_or(FILE);
    let why = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => format!("the disk with `{file}` is full: make room and run again"),
        _ => format!("`{file}`: {error}"),
    };
    if sqlite::may_pass(error) { LedgerError::Unavailable(why) } else { LedgerError::Refused(why) }
}
