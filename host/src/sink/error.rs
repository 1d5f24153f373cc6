//! Why rows could not be written.

use crate::object::ObjectError;

/// Rows could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The store did not answer, or throttles: worth another attempt.
    #[error("{0}")]
    Unavailable(String),
    /// The store refuses: no such table, a key that does not fit the table's schema, no permission, no room. It will refuse
    /// again until somebody changes something.
    #[error("{0}")]
    Refused(String),
    /// What was prepared is no more. The batch has to run again.
    #[error("{0}")]
    Gone(String),
    /// Our own clock says that the lease is over: nothing more is written.
    #[error("the claim ran out before everything was written")]
    Lost,
}

/// A store's error as the sink's. Its sentence names the object already.
pub(crate) fn object_error(error: ObjectError) -> SinkError {
    match error {
        ObjectError::Unavailable(_) | ObjectError::Changed(_) => SinkError::Unavailable(error.to_string()),
        ObjectError::Gone(_) => SinkError::Gone(error.to_string()),
        ObjectError::NotFound(_)
        | ObjectError::Denied(_)
        | ObjectError::Invalid(_)
        | ObjectError::TooLarge(_)
        | ObjectError::Exhausted(_) => SinkError::Refused(error.to_string()),
    }
}
