//! Why something is not trusted.

/// A release is not trusted, or it cannot be known whether it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// A key, a signature or a policy that is none, or that we are refused: somebody has to change something.
    #[error("{0}")]
    Invalid(String),
    /// AWS KMS did not answer, after retries. The same may work later.
    #[error("{0}")]
    Unavailable(String),
    /// Signatures that the policy demands are missing.
    #[error("{0}")]
    Untrusted(String),
}

impl TrustError {
    /// The same, with the place before it.
    pub(super) fn within(self, place: &str) -> Self {
        match self {
            Self::Invalid(why) => Self::Invalid(format!("{place}: {why}")),
            Self::Unavailable(why) => Self::Unavailable(format!("{place}: {why}")),
            Self::Untrusted(why) => Self::Untrusted(format!("{place}: {why}")),
        }
    }
}
