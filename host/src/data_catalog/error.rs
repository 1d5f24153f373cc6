//! Why a catalog did not do what it was asked for.

/// The catalog did not do what it was asked for. Each sentence names the table and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// It did not answer, throttles, or somebody else changes the same table: worth another attempt.
    #[error("{0}")]
    Unavailable(String),
    /// It refuses, or the table there is not the one that is published. It will be so until somebody changes something.
    #[error("{0}")]
    Refused(String),
}
