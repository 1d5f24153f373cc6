//! Why there is no state machine.

use crate::dataset::TemplateError;

/// Why there is no state machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AslError {
    /// The queue's URL is none.
    #[error("`{0}` is not the URL of a queue: expected `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`")]
    QueueUrl(String),
    /// A template that Step Functions cannot evaluate; a dataset that was parsed has none.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Items that no state can hold, with what to do.
    #[error("{0}")]
    Range(String),
}
