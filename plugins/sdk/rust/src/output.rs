//! Where rows go.

use std::marker::PhantomData;

use serde::Serialize;

use crate::Failure;
use crate::bindings::gristmill::plugin::output as host;

/// A block is handed over when it has grown to this many bytes: large enough that crossing costs nothing.
const BLOCK: usize = 1 << 20;

/// Rows on their way to one of the outputs that the manifest names.
///
/// They are collected and handed to the host in blocks; the last block goes when this is dropped. That is no loss of
/// errors: an item whose rows the host refused has failed, whatever the plugin returns.
pub struct Rows<T> {
    output: &'static str,
    block: Vec<u8>,
    rows: PhantomData<fn(&T)>,
}

impl<T: Serialize> Rows<T> {
    /// Rows for this output.
    #[must_use]
    pub fn to(output: &'static str) -> Self {
        Self { output, block: Vec::new(), rows: PhantomData }
    }

    /// Adds a row: a struct or map whose keys are the output's columns.
    ///
    /// # Errors
    /// `OutputInvalid` where the row is no JSON object or the host refuses the block, `NoSuchOutput`, `OutputTooLarge`.
    pub fn emit(&mut self, row: &T) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.block, row)
            .map_err(|error| Failure::reject("OutputInvalid", format!("a row of {}: {error}", self.output)))?;
        self.block.push(b'\n');
        if self.block.len() < BLOCK {
            return Ok(());
        }
        self.flush()
    }
}

impl<T> Rows<T> {
    /// Hands over what was collected.
    ///
    /// # Errors
    /// As with [`Rows::emit`].
    pub fn flush(&mut self) -> Result<(), Failure> {
        if self.block.is_empty() {
            return Ok(());
        }
        let block = std::mem::take(&mut self.block);
        Ok(host::emit(self.output, &host::Rows::JsonLines(block))?)
    }
}

impl<T> Drop for Rows<T> {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}
