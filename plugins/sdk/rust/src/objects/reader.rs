//! One object as a file that can be read anywhere: for formats that ship with a plugin.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Object, open};
use crate::Failure;

/// The most that the host reads at once.
const LARGEST: u64 = 8 << 20;
/// Objects up to this size are read in the largest pieces: they come in few requests, whatever is wanted of them.
const SMALL: u64 = 32 << 20;
/// The pieces of larger ones, of which formats read their directories here and there.
const PIECE: u64 = 256 << 10;
/// How many bytes are kept.
const KEPT: u64 = SMALL;

/// Opens an object to be read anywhere.
///
/// # Errors
/// `ObjectNotFound`, `ObjectDenied`, ... where it cannot be opened.
pub fn reader(uri: &str) -> Result<Reader, Failure> {
    let object = open(uri)?;
    let size = object.metadata().size;
    Ok(Reader::new(uri, size, object))
}

/// What can be read in ranges: an object, or in tests anything else.
pub trait Ranges: Send {
    /// Exactly these bytes, which lie within it.
    ///
    /// # Errors
    /// Whatever the host says.
    fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>, Failure>;
}

impl Ranges for Object {
    fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>, Failure> {
        Ok(Self::read(self, offset, length)?)
    }
}

/// A place in one version of an object. What was read is kept, up to 32 MiB; clones are places of their own that share it.
///
/// Libraries turn what goes wrong into errors of theirs. [`Reader::take_error`] has the host's, so that an object that was
/// not available is a retry and not a bad file.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Mutex<Shared>>,
    size: u64,
    at: u64,
}

/// What a reader asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How many reads of the object there were.
    pub reads: u64,
    /// How many bytes they had.
    pub bytes: u64,
}

struct Shared {
    name: String,
    ranges: Box<dyn Ranges>,
    /// How much is read at least.
    unit: u64,
    /// The bytes from a place on. They may overlap.
    pieces: BTreeMap<u64, Arc<[u8]>>,
    /// Where they begin, the oldest first.
    order: VecDeque<u64>,
    kept: u64,
    stats: Stats,
    error: Option<Failure>,
}

impl Reader {
    /// A reader of anything that has ranges.
    pub fn new(name: &str, size: u64, ranges: impl Ranges + 'static) -> Self {
        let shared = Shared {
            name: name.to_owned(),
            ranges: Box::new(ranges),
            unit: if size <= SMALL { LARGEST } else { PIECE },
            pieces: BTreeMap::new(),
            order: VecDeque::new(),
            kept: 0,
            stats: Stats::default(),
            error: None,
        };
        Self { shared: Arc::new(Mutex::new(shared)), size, at: 0 }
    }

    /// Reads pieces of this size, at most 8 MiB, instead of those that the object's size suggests: for an object that is not
    /// large, but of which little is wanted.
    #[must_use]
    pub fn pieces(self, bytes: u64) -> Self {
        self.shared().unit = bytes.clamp(1, LARGEST);
        self
    }

    /// The size of the object in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fills the buffer with the bytes from there on.
    ///
    /// # Errors
    /// `ObjectInvalid` where the object ends before, and what the host says.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Failure> {
        let (mut shared, size) = (self.shared(), self.size);
        let read = shared.fill(offset, buffer, size);
        read.inspect_err(|failure| shared.error = Some(failure.clone()))
    }

    /// Reads what will be wanted: ranges with gaps of at most so many bytes between them come at once.
    ///
    /// # Errors
    /// As with [`Reader::read_at`].
    pub fn prefetch(&self, ranges: impl IntoIterator<Item = Range<u64>>, gap: u64) -> Result<(), Failure> {
        let (mut shared, size) = (self.shared(), self.size);
        let read = merged(ranges, gap).into_iter().try_for_each(|range| shared.prefetch(range, size));
        read.inspect_err(|failure| shared.error = Some(failure.clone()))
    }

    /// What went wrong last, once.
    #[must_use]
    pub fn take_error(&self) -> Option<Failure> {
        self.shared().error.take()
    }

    /// What was asked of the object so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared().stats
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn fill(&mut self, offset: u64, buffer: &mut [u8], size: u64) -> Result<(), Failure> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= size);
        let end = end.ok_or_else(|| self.ends(offset, buffer.len() as u64, size))?;
        let mut at = offset;
        while at < end {
            let (start, piece) = self.piece(at, end, size)?;
            let from = (at - start) as usize;
            let count = (piece.len() - from).min((end - at) as usize);
            let to = (at - offset) as usize;
            buffer[to..to + count].copy_from_slice(&piece[from..from + count]);
            at += count as u64;
        }
        Ok(())
    }

    /// A piece that has the byte `at`, where `end` says how far it is wanted.
    fn piece(&mut self, at: u64, end: u64, size: u64) -> Result<(u64, Arc<[u8]>), Failure> {
        let kept = self.pieces.range(..=at).next_back();
        if let Some((start, piece)) = kept.filter(|(start, piece)| at - **start < piece.len() as u64) {
            return Ok((*start, piece.clone()));
        }
        let unit = self.unit;
        let start = at / unit * unit;
        // What is wanted beyond this piece is read along.
        let stop = end.next_multiple_of(unit).clamp(start + unit, start + LARGEST).min(size);
        Ok((start, self.fetch(start..stop)?))
    }

    fn prefetch(&mut self, range: Range<u64>, size: u64) -> Result<(), Failure> {
        if range.end > size {
            return Err(self.ends(range.start, range.end - range.start, size));
        }
        let mut start = range.start;
        while start < range.end {
            let kept = self.pieces.range(..=start).next_back().map(|(at, piece)| at + piece.len() as u64);
            match kept.filter(|end| *end > start) {
                Some(end) => start = end,
                None => {
                    let stop = range.end.min(start + LARGEST);
                    self.fetch(start..stop)?;
                    start = stop;
                }
            }
        }
        Ok(())
    }

    fn fetch(&mut self, range: Range<u64>) -> Result<Arc<[u8]>, Failure> {
        let wanted = range.end - range.start;
        let bytes = self.ranges.read(range.start, u32::try_from(wanted).unwrap_or(u32::MAX))?;
        self.stats.reads += 1;
        self.stats.bytes += bytes.len() as u64;
        if bytes.len() as u64 != wanted {
            let (name, came) = (&self.name, bytes.len());
            return Err(Failure::retry("ObjectUnavailable", format!("{name}: of bytes {range:?}, {came} came")));
        }
        while self.kept + wanted > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.kept -= self.pieces.remove(&oldest).map_or(0, |piece| piece.len() as u64);
        }
        let piece: Arc<[u8]> = bytes.into();
        if let Some(before) = self.pieces.insert(range.start, piece.clone()) {
            self.order.retain(|start| *start != range.start);
            self.kept -= before.len() as u64;
        }
        self.order.push_back(range.start);
        self.kept += wanted;
        Ok(piece)
    }

    fn ends(&self, offset: u64, wanted: u64, size: u64) -> Failure {
        let name = &self.name;
        Failure::reject("ObjectInvalid", format!("{name}: {wanted} bytes from {offset} on are wanted of {size}"))
    }
}

/// The ranges in order, those with small gaps between them as one.
fn merged(ranges: impl IntoIterator<Item = Range<u64>>, gap: u64) -> Vec<Range<u64>> {
    let mut sorted: Vec<_> = ranges.into_iter().filter(|range| range.start < range.end).collect();
    sorted.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(gap) => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(self.at).min(buffer.len() as u64);
        let part = &mut buffer[..left as usize];
        self.read_at(self.at, part).map_err(io::Error::other)?;
        self.at += left;
        Ok(left as usize)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("size", &self.size).field("at", &self.at).finish_non_exhaustive()
    }
}
