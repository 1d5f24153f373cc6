//! A SQLite file for many small transactions, and what its errors mean for whoever waits.

use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use super::super::error::SinkError;
use crate::sqlite::may_pass;

/// Opens or creates a SQLite file, its folder included.
pub fn open_sqlite(path: &Path) -> Result<Connection, SinkError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull => SinkError::Refused(disk_full(folder)),
            _ => SinkError::Refused(format!("the folder `{}` cannot be made: {error}", folder.display())),
        })?;
    }
    crate::sqlite::open(path).map_err(|error| sqlite_error(path, "open the file", &error))
}

/// What SQLite's error means for whoever waits, with the file and what was tried.
pub fn sqlite_error(path: &Path, tried: &str, error: &rusqlite::Error) -> SinkError {
    let file = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => SinkError::Refused(disk_full(path)),
        Some(ErrorCode::SystemIoFailure) => SinkError::Refused(format!(
            "`{file}`: cannot {tried}: {error}: the disk is damaged, or it is a quota or a limit on the size of files \
             (`ulimit -f`) that is used up; what was committed stays"
        )),
        Some(ErrorCode::ReadOnly) => SinkError::Refused(format!(
            "`{file}`: cannot {tried}: this user may not write the file or its folder, or the file system is read-only"
        )),
        _ if may_pass(error) => {
            SinkError::Unavailable(format!("`{file}`: cannot {tried}: {error}; try again when nothing else uses it"))
        }
        _ => SinkError::Refused(format!("`{file}`: cannot {tried}: {error}")),
    }
}

pub(super) fn disk_full(path: &Path) -> String {
    format!("the disk with `{}` is full: make room and run again; what was committed stays", path.display())
}
