//! What the errors of a registry of containers mean.

use oci_client::errors::{DigestError, OciDistributionError, OciErrorCode};

/// What an error means.
pub(super) enum OciError {
    Missing,
    Denied,
    /// What came has another digest.
    Damaged {
        expected: String,
        found: String,
    },
    /// The world may cure it.
    Passing,
    Wrong,
}

impl OciError {
    pub(super) fn of(error: &OciDistributionError) -> Self {
        let by_status = |status: u16| match status {
            404 => Self::Missing,
            401 | 403 => Self::Denied,
            408 | 429 | 500.. => Self::Passing,
            _ => Self::Wrong,
        };
        let by_digest = |error: &DigestError| match error {
            DigestError::VerificationError { expected, actual } => {
                Self::Damaged { expected: expected.clone(), found: actual.clone() }
            }
            _ => Self::Wrong,
        };
        match error {
            OciDistributionError::ImageManifestNotFoundError(_) => Self::Missing,
            OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
                Self::Denied
            }
            OciDistributionError::DigestError(error) => by_digest(error),
            OciDistributionError::IoError(error) => {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
                inner.map_or(Self::Passing, by_digest)
            }
            OciDistributionError::RequestError(error) => {
                error.status().map_or(Self::Passing, |status| by_status(status.as_u16()))
            }
            OciDistributionError::RegistryTokenDecodeError(_) => Self::Passing,
            OciDistributionError::ServerError { code, .. } => by_status(*code),
            OciDistributionError::RegistryError { envelope, .. } => {
                match envelope.errors.first().map(|error| &error.code) {
                    Some(OciErrorCode::Unauthorized | OciErrorCode::Denied) => Self::Denied,
                    Some(OciErrorCode::Toomanyrequests) => Self::Passing,
                    Some(
                        OciErrorCode::ManifestUnknown
                        | OciErrorCode::NameUnknown
                        | OciErrorCode::BlobUnknown
                        | OciErrorCode::ManifestBlobUnknown
                        | OciErrorCode::NotFound,
                    ) => Self::Missing,
                    _ => Self::Wrong,
                }
            }
            _ => Self::Wrong,
        }
    }
}
