//! How SQLite files are opened: for many small transactions, by several processes at once.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

/// How long a statement waits for another process that writes to the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether the same may succeed later without anybody doing anything. A full disk, a file that may not be written, or an error
/// of the disk itself does not pass like that.
pub(crate) fn may_pass(error: &rusqlite::Error) -> bool {
    let busy = [ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked, ErrorCode::FileLockingProtocolFailed];
    error.sqlite_error_code().is_some_and(|code| busy.contains(&code) || code == ErrorCode::OutOfMemory)
}

/// Opens or creates the file: a write-ahead log, synced when it is folded into the file. What was committed survives the end
/// of the process; a power cut may take the last transactions.
pub(crate) fn open(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // SQLite does not wait for other processes here: of two that begin the same file at once, one would fail.
    let give_up = Instant::now() + BUSY_TIMEOUT;
    while let Err(error) = connection.pragma_update(None, "journal_mode", "wal") {
        if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) || Instant::now() >= give_up {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    connection.pragma_update(None, "synchronous", "normal")?;
    Ok(connection)
}
