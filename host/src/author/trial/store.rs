//! The objects of a sample, of which one fails.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::fault::Fault;
use crate::object::{Location, Metadata, ObjectError, ObjectStore, Page};

/// A store that remembers what was opened, and fails for one object.
pub(super) struct TrialStore {
    inner: Arc<dyn ObjectStore>,
    failing: Option<(Fault, Location)>,
    opened: Mutex<Vec<Location>>,
}

impl TrialStore {
    pub(super) fn watching(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, failing: None, opened: Mutex::default() }
    }

    pub(super) fn failing(inner: Arc<dyn ObjectStore>, fault: Fault, at: Location) -> Self {
        Self { inner, failing: Some((fault, at)), opened: Mutex::default() }
    }

    /// What was opened and is there, in the order in which it was opened.
    pub(super) fn opened(&self) -> Vec<Location> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fault(&self, at: &Location) -> Option<Fault> {
        self.failing.as_ref().filter(|(_, failing)| failing == at).map(|(fault, _)| *fault)
    }

    /// The object as it is after an upload that broke off.
    async fn truncated(&self, at: &Location) -> Result<(Metadata, Bytes), ObjectError> {
        let (mut metadata, bytes) = self.inner.open(at, u64::MAX).await?;
        let bytes = bytes.slice(..middle(&bytes));
        metadata.size = bytes.len() as u64;
        Ok((metadata, bytes))
    }
}

/// Where an object of so many bytes breaks off. In lines that is just behind the beginning of one, so that what is left can be told
/// from a whole object.
fn middle(bytes: &[u8]) -> usize {
    let half = bytes.len() / 2;
    let line = bytes[..half].iter().rposition(|byte| *byte == b'\n');
    line.map_or(half, |line| line + 2).min(bytes.len().saturating_sub(1))
}

#[async_trait]
impl ObjectStore for TrialStore {
    async fn open(&self, at: &Location, first: u64) -> Result<(Metadata, Bytes), ObjectError> {
        match self.fault(at) {
            Some(Fault::Missing) => return Err(ObjectError::NotFound(format!("{at}: there is no such object"))),
            Some(Fault::Denied) => return Err(ObjectError::Denied(format!("{at}: the store refused to give it"))),
            Some(Fault::Away) => return Err(ObjectError::Unavailable(format!("{at}: the store did not answer"))),
            Some(Fault::Truncated) => {
                let (metadata, bytes) = self.truncated(at).await?;
                let first = usize::try_from(first).unwrap_or(usize::MAX).min(bytes.len());
                return Ok((metadata, bytes.slice(..first)));
            }
            Some(Fault::Changed) | None => {}
        }
        let (metadata, bytes) = self.inner.open(at, first).await?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if !opened.contains(at) {
            opened.push(at.clone());
        }
        // Of what changes, the rest is still to be read.
        let known = if self.fault(at) == Some(Fault::Changed) { bytes.len() / 2 } else { bytes.len() };
        Ok((metadata, bytes.slice(..known)))
    }

    async fn read(&self, at: &Location, etag: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        match self.fault(at) {
            Some(Fault::Changed) => Err(ObjectError::Changed(format!("{at}: another version took its place"))),
            Some(Fault::Truncated) => {
                let (_, bytes) = self.truncated(at).await?;
                let cut = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(bytes.len());
                let (start, end) = (cut(range.start), cut(range.end));
                Ok(bytes.slice(start..end.max(start)))
            }
            _ => self.inner.read(at, etag, range).await,
        }
    }

    async fn list(&self, prefix: &Location, next: Option<&str>) -> Result<Page, ObjectError> {
        self.inner.list(prefix, next).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_off_behind_the_beginning_of_one() {
        assert_eq!(middle(b"a,b\n1,2\n3,4\n5,6\n"), 9);
        for bytes in [&b""[..], b"x", b"\n", b"\n\n\n", b"binary"] {
            assert!(middle(bytes) <= bytes.len().saturating_sub(1), "{bytes:?}");
        }
    }
}
