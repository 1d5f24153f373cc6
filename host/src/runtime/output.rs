//! Rows that a guest emits. They are typed here, at once, so that a bad row is the item's fault and nobody else's.

use super::bindings::gristmill::plugin::output::{Error, Host, Rows};
use super::guest::Guest;
use super::{Fault, GuestRows, RowsRefused};
use crate::job::{FailureKind, error_names};

/// Rows wait in memory until their item is done, and there a null takes as much room as a number: so many times the
/// bytes that may be emitted, but at least this much.
const ROOM: u64 = 8;
const LEAST_ROOM: u64 = 16 << 20;

impl Host for Guest {
    fn emit(&mut self, output: String, rows: Rows) -> wasmtime::Result<Result<(), Error>> {
        let result = self.take(&output, &rows);
        if let Err(error) = &result
            && self.refused.is_none()
        {
            let (code, message) = match error {
                Error::NoSuchOutput(message) | Error::Invalid(message) => (error_names::BAD_OUTPUT, message),
                Error::TooLarge(message) => (error_names::OUTPUT_LIMIT, message),
            };
            self.refused = Some(Fault { code: code.into(), message: message.clone(), kind: FailureKind::Rejected });
        }
        Ok(result)
    }
}

impl Guest {
    fn take(&mut self, output: &str, rows: &Rows) -> Result<(), Error> {
        let rows = match rows {
            Rows::JsonLines(bytes) => GuestRows::JsonLines(bytes),
            Rows::ArrowIpc(bytes) => GuestRows::ArrowIpc(bytes),
        };
        let (GuestRows::JsonLines(bytes) | GuestRows::ArrowIpc(bytes)) = rows;
        let limit = self.context.limits.max_output;
        self.emitted = self.emitted.saturating_add(bytes.len() as u64);
        if self.emitted > limit {
            // What was emitted so far is of no use any more, and its memory is.
            self.rows.clear();
            return Err(Error::TooLarge(format!(
                "the item emitted {} bytes; `[plugin] max_output` allows {limit}",
                self.emitted
            )));
        }
        if self.refused.is_some() {
            return Err(Error::Invalid("rows of this item were refused before".into()));
        }
        let (output, rows) = self.context.rows.decode(output, rows).map_err(|refused| match refused {
            RowsRefused::NoSuchOutput(message) => Error::NoSuchOutput(message),
            RowsRefused::Invalid(message) => Error::Invalid(message),
        })?;
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.rows_memory = self.rows_memory.saturating_add(rows.get_array_memory_size() as u64);
        let room = limit.saturating_mul(ROOM).max(LEAST_ROOM);
        if self.rows_memory > room {
            self.rows.clear();
            return Err(Error::TooLarge(format!(
                "the item's rows take more than {room} bytes of memory, {ROOM} times what `[plugin] max_output` allows: emit \
                 many rows in one block, or raise the limit"
            )));
        }
        self.rows.push((output, rows));
        Ok(())
    }
}
