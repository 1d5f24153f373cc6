//! Texts that outlive batches and runs. Each is changed only by whoever has read the latest.

use async_trait::async_trait;

use super::LedgerError;

/// What a register holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// The text.
    pub text: String,
    /// How often it was written; 0 is a register that nobody has written yet.
    pub revision: u64,
}

/// Registers by their names.
#[async_trait]
pub trait Registers: Send + Sync + 'static {
    /// The latest text. None if nobody has written any.
    async fn register(&self, name: &str) -> Result<Option<Register>, LedgerError>;

    /// Writes the text if nobody else has written since the revision `behind`, and says whether it did. When an answer is lost, it
    /// may have been written all the same: whoever reads again sees it.
    async fn write_register(&self, name: &str, text: &str, behind: u64) -> Result<bool, LedgerError>;
}
