//! Rows on their way to an output that become columns as they come.

use serde::Serialize;

use super::column::Column;
use super::encode;
use super::row::{self, Refused};
use crate::Failure;
use crate::bindings::gristmill::plugin::output as host;

/// A block is handed over when its columns have grown to this many bytes: enough that crossing the sandbox's border costs
/// nothing, and little enough to stay in a core's cache. What an item never touches, its host need not clear.
const BLOCK: usize = 256 << 10;

/// Rows of an output that are handed over as columns: [`Rows`](crate::Rows) for many rows, which spares the host a parse of JSON.
///
/// A row is a struct (or a map) whose fields are the output's columns. Texts, integers, numbers and booleans become
/// columns of that type, [`Date`](super::Date) and [`Timestamp`](super::Timestamp) too, and whatever has a structure
/// becomes JSON. `None` and a number that is not finite are null, and so is a field that a row leaves out.
///
/// Blocks are bounded; the last one goes when this is dropped. That is no loss of errors: an item whose rows the host
/// refused has failed, whatever the plugin returns.
///
/// ```no_run
/// #[derive(serde::Serialize)]
/// struct Hot<'a> {
///     deviceid: &'a str,
///     temperature: Option<f64>,
/// }
///
/// # fn main() -> Result<(), gristmill_plugin::Failure> {
/// let mut hot = gristmill_plugin::table::Columnar::to("hot");
/// hot.emit(&Hot { deviceid: "a", temperature: Some(35.5) })
/// # }
/// ```
pub struct Columnar {
    output: &'static str,
    columns: Vec<Column>,
    rows: usize,
}

impl Columnar {
    /// Rows for this output.
    #[must_use]
    pub fn to(output: &'static str) -> Self {
        Self { output, columns: Vec::new(), rows: 0 }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// `OutputInvalid` where the row has no columns, or a value of another type than the rows before: such a row is not
    /// added. `OutputInvalid`, `NoSuchOutput` and `OutputTooLarge` where the host refuses the block.
    pub fn emit<T: Serialize>(&mut self, row: &T) -> Result<(), Failure> {
        match row::push(&mut self.columns, self.rows, row) {
            Ok(bytes) => {
                self.rows += 1;
                // A null takes room, too.
                if bytes + self.rows < BLOCK { Ok(()) } else { self.flush() }
            }
            Err(refused) => Err(self.failure(&refused)),
        }
    }

    /// Hands over what was collected.
    ///
    /// # Errors
    /// Where the host refuses it.
    pub fn flush(&mut self) -> Result<(), Failure> {
        if self.rows == 0 {
            return Ok(());
        }
        let block = self.take_block();
        Ok(host::emit(self.output, &host::Rows::ArrowIpc(block))?)
    }

    /// What would be handed over, an Arrow IPC stream; the rows are gone afterwards. For tests.
    #[must_use]
    pub fn take_block(&mut self) -> Vec<u8> {
        let block = encode::block(self.rows, &self.columns);
        self.rows = 0;
        self.columns.iter_mut().for_each(Column::clear);
        block
    }

    #[cold]
    fn failure(&self, refused: &Refused) -> Failure {
        Failure::reject("OutputInvalid", format!("a row of {}: {refused}", self.output))
    }
}

impl Drop for Columnar {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}
