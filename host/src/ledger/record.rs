//! What a batch is about to show, on its way to a ledger and back.

use std::collections::VecDeque;
use std::fmt;
use std::io::Read;
use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};

/// The size of a part, in bytes; the last may be smaller.
pub const PART: usize = 256 * 1024;

type Made = dyn Fn() -> Box<dyn Iterator<Item = Vec<u8>> + Send> + Send + Sync;

/// What is about to become visible: everything that another process needs to finish the batch. The ledger does not look into
/// it. It comes in parts, and each part is made when it is asked for, so that the whole is never in memory.
#[derive(Clone)]
pub struct Record(Source);

#[derive(Clone)]
enum Source {
    Made(Arc<Made>),
    Found(Vec<Bytes>),
}

impl Record {
    /// A record whose bytes come from `make`: the same bytes each time, in pieces of any size.
    pub fn made<I>(make: impl Fn() -> I + Send + Sync + 'static) -> Self
    where
        I: Iterator<Item = Vec<u8>> + Send + 'static,
    {
        Self(Source::Made(Arc::new(move || Box::new(make()))))
    }

    /// The parts of [`PART`] bytes, in order. There is one at least.
    pub fn parts(&self) -> impl Iterator<Item = Bytes> + Send + use<> {
        let pieces: Box<dyn Iterator<Item = Bytes> + Send> = match &self.0 {
            Source::Made(make) => Box::new(make().map(Bytes::from)),
            Source::Found(found) => Box::new(found.clone().into_iter()),
        };
        Parts { pieces, ready: BytesMut::new(), first: true }
    }

    /// How many bytes were found, or 0 for a record that is not written yet.
    pub fn found(&self) -> usize {
        match &self.0 {
            Source::Made(_) => 0,
            Source::Found(parts) => parts.iter().map(Bytes::len).sum(),
        }
    }

    /// Reads it, and frees what was read.
    pub fn into_reader(self) -> impl Read {
        let parts = match self.0 {
            Source::Found(parts) => parts.into(),
            Source::Made(_) => self.parts().collect(),
        };
        Reader(parts)
    }
}

/// Pieces that are joined and cut into parts of one size.
struct Parts {
    pieces: Box<dyn Iterator<Item = Bytes> + Send>,
    ready: BytesMut,
    first: bool,
}

impl Iterator for Parts {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        while self.ready.len() < PART
            && let Some(piece) = self.pieces.next()
        {
            self.ready.extend_from_slice(&piece);
        }
        let first = std::mem::take(&mut self.first);
        let part = self.ready.split_to(self.ready.len().min(PART));
        (first || !part.is_empty()).then(|| part.freeze())
    }
}

struct Reader(VecDeque<Bytes>);

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while let Some(part) = self.0.front_mut() {
            if part.has_remaining() {
                let length = part.len().min(into.len());
                part.copy_to_slice(&mut into[..length]);
                return Ok(length);
            }
            self.0.pop_front();
        }
        Ok(0)
    }
}

impl FromIterator<Bytes> for Record {
    /// A record that was found.
    fn from_iter<T: IntoIterator<Item = Bytes>>(parts: T) -> Self {
        Self(Source::Found(parts.into_iter().collect()))
    }
}

impl From<Vec<u8>> for Record {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Source::Found(vec![bytes.into()]))
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.parts().eq(other.parts())
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({} bytes)", self.parts().map(|part| part.len()).sum::<usize>())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_have_one_size_and_the_bytes_in_order(sizes in prop::collection::vec(0..2 * PART + 2, 0..5)) {
            let pieces: Vec<Vec<u8>> = sizes.iter().map(|size| (0..*size).map(|n| (n % 251) as u8).collect()).collect();
            let whole = pieces.concat();
            let made = Record::made(move || pieces.clone().into_iter());
            let parts: Vec<_> = made.parts().collect();
            prop_assert_eq!(parts.concat(), &whole[..]);
            let (last, before) = parts.split_last().unwrap();
            prop_assert!(before.iter().all(|part| part.len() == PART) && last.len() <= PART);
            let found: Record = parts.into_iter().collect();
            prop_assert!(found == made && found.found() == whole.len());
            let mut read = Vec::new();
            found.into_reader().read_to_end(&mut read).unwrap();
            prop_assert_eq!(read, whole);
        }
    }
}
