//! Why a registry did not do what it was asked for.

use std::fmt;

/// The registry did not do what it was asked for. Each sentence names the place and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// There is no such version, blob, or registry.
    #[error("{0}")]
    NotFound(String),
    /// The version exists, and is something else.
    #[error("{0}")]
    Taken(String),
    /// The registry refuses us.
    #[error("{0}")]
    Denied(String),
    /// What was read is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// A name, a version or a URI that is none, or that this kind of registry cannot carry.
    #[error("{0}")]
    Invalid(String),
    /// It did not answer, after retries. The same may work later.
    #[error("{0}")]
    Unavailable(String),
}

impl RegistryError {
    /// Whether this is about the one thing that was asked for, and not about the whole registry: others may be read all the same.
    pub fn is_of_one_entry(&self) -> bool {
        !matches!(self, Self::Unavailable(_))
    }

    /// That something is larger than it may be, of which no more was read.
    pub(super) fn too_large(place: &str, max: u64) -> Self {
        Self::Damaged(format!(
            "{place} has more than the {max} bytes that it may have: it was not written by gristmill"
        ))
    }
}

/// What a parser says of a document, in so many characters at most: it may show what it found, and that may be a megabyte.
const MAX_REASON: usize = 500;

/// See [`MAX_REASON`].
pub(super) fn in_short(why: &dyn fmt::Display) -> String {
    let mut text = why.to_string();
    if let Some((end, _)) = text.char_indices().nth(MAX_REASON) {
        text.truncate(end);
        text.push('…');
    }
    text
}
