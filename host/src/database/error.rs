//! Why a database gave no rows.

/// What went wrong. Each sentence names the connection, says what to do, and has PostgreSQL's own code (SQLSTATE) where there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// The connections file has no such connection.
    #[error("{0}")]
    NoSuchConnection(String),
    /// The database lets nobody in this way: a wrong password, no permission, no such database, a certificate that is not trusted.
    #[error("{0}")]
    Denied(String),
    /// The statement or a value makes no sense there: syntax, no such table or column, a value without a type.
    #[error("{0}")]
    Invalid(String),
    /// It did not answer, or broke off: worth another attempt.
    #[error("{0}")]
    Unavailable(String),
    /// A row is larger than a block may be.
    #[error("{0}")]
    TooLarge(String),
}

impl DatabaseError {
    /// Whether another attempt may go better although nobody changes anything.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
