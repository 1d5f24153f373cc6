//! `output`: the rows that a guest emits. They are typed at once, so that a bad row is the fault of its item and of
//! nobody else.

use std::sync::Arc;

use arrow::array::RecordBatch;
use wasmtime::component::{HasSelf, Linker};

use super::bindings::gristmill::plugin::output::{self as wit, Error, Host, Rows};
use crate::job::{FailureKind, error_names};
use crate::runtime::{BatchContext, GuestRows, ItemFault, RowDecoder, RowsRefused};

/// Rows wait in memory until their item is done, where a null takes as much room as a number. They may take so many
/// times the bytes that may be emitted, and always this much.
const ROOM: u64 = 8;
const LEAST_ROOM: u64 = 16 << 20;

/// What an item has emitted.
pub(in crate::runtime) struct OutputCtx {
    decoder: Arc<dyn RowDecoder>,
    /// The most that an item may emit, in bytes.
    limit: u64,
    /// Each with the number of its output, in the order in which they were emitted.
    rows: Vec<(usize, RecordBatch)>,
    /// The bytes that the guest emitted.
    emitted: u64,
    /// The bytes that its rows take.
    rows_memory: u64,
    /// The first emission that was refused: the item fails even if the guest goes on.
    refused: Option<ItemFault>,
}

impl OutputCtx {
    pub(super) fn new(batch: &BatchContext) -> Self {
        let (decoder, limit) = (batch.rows.clone(), batch.limits.max_output);
        Self { decoder, limit, rows: Vec::new(), emitted: 0, rows_memory: 0, refused: None }
    }

    /// Forgets what the item before emitted.
    pub(super) fn next_item(&mut self) {
        self.rows.clear();
        self.emitted = 0;
        self.rows_memory = 0;
        self.refused = None;
    }

    /// Why the item fails whatever it returns, if so.
    pub(in crate::runtime) fn take_refusal(&mut self) -> Option<ItemFault> {
        self.refused.take()
    }

    /// The item's rows.
    pub(in crate::runtime) fn take_rows(&mut self) -> Vec<(usize, RecordBatch)> {
        std::mem::take(&mut self.rows)
    }
}

/// Offers the interface to the components of this linker.
pub(super) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    ctx: fn(&mut T) -> &mut OutputCtx,
) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, HasSelf<OutputCtx>>(linker, ctx)
}

impl Host for OutputCtx {
    fn emit(&mut self, output: String, rows: Rows) -> wasmtime::Result<Result<(), Error>> {
        let result = self.take(&output, &rows);
        if let Err(error) = &result
            && self.refused.is_none()
        {
            let (code, message) = match error {
                Error::NoSuchOutput(message) | Error::Invalid(message) => (error_names::BAD_OUTPUT, message),
                Error::TooLarge(message) => (error_names::OUTPUT_LIMIT, message),
            };
            self.refused = Some(ItemFault { code: code.into(), message: message.clone(), kind: FailureKind::Rejected });
        }
        Ok(result)
    }
}

impl OutputCtx {
    fn take(&mut self, output: &str, rows: &Rows) -> Result<(), Error> {
        let rows = match rows {
            Rows::JsonLines(bytes) => GuestRows::JsonLines(bytes),
            Rows::ArrowIpc(bytes) => GuestRows::ArrowIpc(bytes),
        };
        let (GuestRows::JsonLines(bytes) | GuestRows::ArrowIpc(bytes)) = rows;
        let limit = self.limit;
        self.emitted = self.emitted.saturating_add(bytes.len() as u64);
        if self.emitted > limit {
            // The item has failed: its rows only take memory.
            self.rows.clear();
            return Err(Error::TooLarge(format!(
                "the item emitted {} bytes; `[plugin] max_output` allows {limit}",
                self.emitted
            )));
        }
        if self.refused.is_some() {
            return Err(Error::Invalid("rows of this item were refused before".into()));
        }
        let (output, rows) = self.decoder.decode(output, rows).map_err(|refused| match refused {
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
