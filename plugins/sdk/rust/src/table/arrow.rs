//! Record batches of arrow-rs, for plugins that compute with its kernels: the feature `arrow` of this crate.
//!
//! The types are those of arrow 60, so that a plugin may depend on any of its crates. Reading columns from a [`Block`]
//! needs none of this, and makes a smaller component.
//!
//! ```no_run
//! use gristmill_plugin::table::{self, arrow};
//!
//! # fn main() -> Result<(), gristmill_plugin::Failure> {
//! for block in table::open("s3://sensors/part-0").columns(["deviceid"]).blocks()? {
//!     let batch = block?.into_arrow()?;
//!     arrow::emit("devices", &batch)?;
//! }
//! # Ok(())
//! # }
//! ```

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;

use super::Block;
use crate::Failure;
use crate::bindings::gristmill::plugin::output as host;

impl Block {
    /// The rows as a record batch. Columns stay where they lie, unless the host put them where Arrow cannot use them.
    ///
    /// # Errors
    /// `TableInvalid` where Arrow finds no batch.
    pub fn into_arrow(self) -> Result<RecordBatch, Failure> {
        let mut bytes = Buffer::from_vec(self.into_bytes());
        match StreamDecoder::new().decode(&mut bytes) {
            Ok(Some(batch)) => Ok(batch),
            Ok(None) => Err(Failure::reject("TableInvalid", "a block is no record batch")),
            Err(error) => Err(Failure::reject("TableInvalid", format!("a block is no record batch: {error}"))),
        }
    }
}

/// Emits a batch whose columns are those of an output. It may have smaller types than the output, which are widened.
///
/// # Errors
/// `OutputInvalid` where it cannot be written or the host refuses it, `NoSuchOutput`, `OutputTooLarge`.
pub fn emit(output: &str, batch: &RecordBatch) -> Result<(), Failure> {
    Ok(host::emit(output, &host::Rows::ArrowIpc(stream(batch)?))?)
}

/// What [`emit`] hands over: the batch as an Arrow IPC stream, of which [`Block::new`] makes a block.
///
/// # Errors
/// `OutputInvalid` where it cannot be written.
pub fn stream(batch: &RecordBatch) -> Result<Vec<u8>, Failure> {
    let write = || {
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
        writer.write(batch)?;
        writer.into_inner()
    };
    write().map_err(|error: ArrowError| Failure::reject("OutputInvalid", error))
}
