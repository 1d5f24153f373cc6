//! Why a stage could not be concluded.

use crate::object::ObjectError;

/// Why a stage could not be concluded.
#[derive(Debug, thiserror::Error)]
pub enum ConcludeError {
    /// Another attempt may read it.
    #[error("what the stage's batches answered could not be read: {0}")]
    Unavailable(ObjectError),
    /// Somebody has to change something.
    #[error("{0}")]
    Refused(String),
}
