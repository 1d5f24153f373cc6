//! Where the bytes come from: the host in a guest, memory in a test.

use crate::Failure;

/// An object's bytes in order, cut anywhere.
pub trait Source {
    /// The object's name for error messages, usually its URI.
    fn name(&self) -> &str;

    /// The next chunk; none at the end.
    ///
    /// # Errors
    /// Whatever kept the bytes from coming. It ends the reading.
    fn next(&mut self) -> Result<Option<Vec<u8>>, Failure>;
}

impl<S: Source + ?Sized> Source for &mut S {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        (**self).next()
    }
}

/// An object in memory, so that a plugin's logic is tested and measured natively, without a host.
pub struct Memory {
    name: String,
    chunks: std::vec::IntoIter<Vec<u8>>,
}

impl Memory {
    /// An object of this name with these chunks.
    pub fn new<C: Into<Vec<u8>>>(name: &str, chunks: impl IntoIterator<Item = C>) -> Self {
        let chunks: Vec<_> = chunks.into_iter().map(Into::into).collect();
        Self { name: name.to_owned(), chunks: chunks.into_iter() }
    }
}

impl Source for Memory {
    fn name(&self) -> &str {
        &self.name
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.chunks.next())
    }
}
