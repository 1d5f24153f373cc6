//! The records of one chunk at a time, split where they stand.
//!
//! Not generic and apart from where chunks come from, so that the loop below is compiled once, alone: guests are
//! compiled by a compiler that keeps the variables of a small function in registers and those of a large one in memory.

use super::error::{Error, ErrorKind};
use super::filter::Filter;
use super::look::{self, Look};
use super::pieces::Pieces;
use super::reader::Options;

/// The state of a reader, and with it the record that was read last.
pub(super) struct Scanner {
    /// The object's name, for errors.
    pub(super) object: String,
    pub(super) delimiter: u8,
    pub(super) columns: Vec<String>,
    pub(super) filter: Option<Filter>,
    /// The number of records up to the current one.
    pub(super) records: u64,
    /// The number of records up to `at`.
    pub(super) scanned: u64,
    pub(super) chunk: Vec<u8>,
    /// Where in `chunk` the next record starts, or an empty line before it.
    pub(super) at: usize,
    /// The number of line ends before `counted`, which is a place in `chunk`.
    pub(super) lines: u64,
    pub(super) counted: usize,
    pub(super) current: Current,
    /// Records that were found and not yet read: those from `next` on.
    found: Vec<Found>,
    next: usize,
    /// The ends of the fields of a [`Current::Long`].
    pub(super) ends: Vec<usize>,
    pub(super) pieces: Pieces,
}

/// A record that was found.
#[derive(Clone, Copy)]
pub(super) struct Found {
    /// Which of its bytes are delimiters, or `DIFFICULT`: then it is the one that `current` says.
    delimiters: u64,
    /// Its number.
    record: u64,
    /// Where it lies in the chunk.
    start: usize,
    length: usize,
}

/// No mask of a record that was seen in one look: one of the 64 bytes is the line's end.
const DIFFICULT: u64 = u64::MAX;

/// Where the difficult record that was read last lies.
#[derive(Clone, Copy)]
pub(super) enum Current {
    /// In `chunk`, longer than a look; the fields' ends are in `ends`.
    Long { start: usize },
    /// In `pieces`, and from `start` on in `chunk`.
    Pieces { start: usize },
    /// In `pieces`, and from an earlier chunk on.
    Straddling { line: u64 },
}

/// What a scan came to.
pub(super) enum Step {
    /// Records that are wanted, to be taken one by one.
    Records,
    /// A record, or the beginning of one, that takes more than a look.
    Difficult,
    /// The end of the chunk.
    Nothing,
}

/// How many records a scan finds at once: enough that what a call costs is shared by many, few enough to stay at hand.
const BATCH: usize = 64;

impl Scanner {
    pub(super) fn new(object: &str, options: &Options) -> Self {
        Self {
            object: object.to_owned(),
            delimiter: options.delimiter,
            columns: Vec::new(),
            filter: None,
            records: 0,
            scanned: 0,
            chunk: Vec::new(),
            at: 0,
            lines: 0,
            counted: 0,
            current: Current::Pieces { start: 0 },
            found: Vec::with_capacity(BATCH),
            next: 0,
            ends: Vec::new(),
            pieces: Pieces::new(options.delimiter, options.record_limit),
        }
    }

    /// The next of the records that were found.
    #[inline(always)]
    pub(super) fn take(&mut self) -> Option<Found> {
        let found = self.found.get(self.next)?;
        self.next += 1;
        self.records = found.record;
        Some(*found)
    }

    /// Makes the difficult record, which was read otherwise, the one that is found.
    pub(super) fn find_difficult(&mut self) {
        let (record, start, length) = (self.scanned, 0, 0);
        self.found.push(Found { delimiters: DIFFICULT, record, start, length });
    }

    /// Goes through the chunk for records that are wanted. The loop that the speed of everything depends on.
    #[inline(never)]
    pub(super) fn scan(&mut self) -> Step {
        self.found.clear();
        self.next = 0;
        let expected = self.columns.len() - 1;
        let chunk = self.chunk.as_slice();
        let mut at = self.at;
        let mut scanned = self.scanned;
        let step = loop {
            if at >= chunk.len() {
                break Step::Nothing;
            }
            let look = Look::new(chunk, at, self.delimiter);
            let Some(length) = look.end() else {
                break Step::Difficult;
            };
            let line = look.before(length);
            if line.quotes != 0 {
                break Step::Difficult;
            }
            let start = at;
            // An empty line after a record, such as the one between \r and \n, goes with it.
            at += length + 1 + look.is_end(length + 1);
            if length == 0 {
                continue;
            }
            let delimiters = line.delimiters;
            if delimiters.count_ones() as usize != expected {
                at = start;
                break Step::Difficult;
            }
            scanned += 1;
            if let Some(filter) = &self.filter
                && !filter.matches(chunk, start, length, delimiters)
            {
                continue;
            }
            self.found.push(Found { delimiters, record: scanned, start, length });
            if self.found.len() == BATCH {
                break Step::Records;
            }
        };
        self.at = at;
        self.scanned = scanned;
        if self.found.is_empty() {
            self.records = scanned;
            return step;
        }
        Step::Records
    }

    /// Splits a record that is longer than a look but lies in the chunk and has no quotes.
    pub(super) fn split_long(&mut self) -> bool {
        let start = self.at;
        self.ends.clear();
        for from in (start..self.chunk.len()).step_by(look::WIDTH) {
            let look = Look::new(&self.chunk, from, self.delimiter);
            let end = look.end();
            let line = end.map_or(look, |end| look.before(end));
            let passed = from - start;
            if line.quotes != 0 || passed > self.pieces.limit() || self.ends.len() > self.columns.len() {
                return false;
            }
            self.ends.extend(look::positions(line.delimiters).map(|position| from + position));
            if let Some(end) = end {
                self.ends.push(from + end);
                self.at = from + end + 1;
                self.current = Current::Long { start };
                return true;
            }
        }
        false
    }

    /// Where a field lies in the chunk; none in the difficult record.
    #[inline(always)]
    pub(super) fn place(&self, found: Found, index: usize) -> Option<(usize, usize)> {
        if found.delimiters == DIFFICULT {
            return None;
        }
        let (from, to) = look::field(found.delimiters, index, found.length);
        Some((found.start + from, found.start + to))
    }

    /// A field of the difficult record.
    #[cold]
    pub(super) fn difficult_field(&self, index: usize) -> &[u8] {
        let (bytes, ends, start, gap) = match self.current {
            Current::Long { start } => (self.chunk.as_slice(), self.ends.as_slice(), start, 1),
            _ => (self.pieces.bytes(), self.pieces.ends(), 0, 0),
        };
        let before = index.checked_sub(1).and_then(|before| ends.get(before));
        let from = before.map_or(start, |end| end + gap);
        let to = ends.get(index).copied().unwrap_or(from);
        bytes.get(from..to).unwrap_or_default()
    }

    /// The number of fields of the difficult record.
    pub(super) fn difficult_fields(&self) -> usize {
        match self.current {
            Current::Long { .. } => self.ends.len(),
            Current::Pieces { .. } | Current::Straddling { .. } => self.pieces.ends().len(),
        }
    }

    /// The line on which a record starts, from 1. Counted only when somebody wants to know.
    #[cold]
    pub(super) fn line(&self, found: Found) -> u64 {
        if found.delimiters == DIFFICULT {
            return self.difficult_line();
        }
        self.line_at(found.start)
    }

    /// The line on which the difficult record starts.
    pub(super) fn difficult_line(&self) -> u64 {
        match self.current {
            Current::Straddling { line } => line,
            Current::Long { start } | Current::Pieces { start } => self.line_at(start),
        }
    }

    fn line_at(&self, start: usize) -> u64 {
        self.lines + line_ends(&self.chunk[self.counted..start]) + 1
    }

    /// Counts the line ends before `at`, so that nobody has to count them again.
    pub(super) fn count_lines(&mut self, at: usize) {
        self.lines += line_ends(&self.chunk[self.counted..at]);
        self.counted = at;
    }

    /// An error of the difficult record.
    #[cold]
    pub(super) fn error(&self, kind: ErrorKind) -> Error {
        Error::new(&self.object, Some(self.difficult_line()), kind)
    }

    /// Whether the difficult record is wanted.
    pub(super) fn is_wanted(&self) -> bool {
        let matches = |filter: &Filter| self.difficult_field(filter.column()) == filter.value();
        self.filter.as_ref().is_none_or(matches)
    }
}

fn line_ends(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
