//! The records of one chunk at a time, split where they stand.
//!
//! Not generic and apart from where chunks come from, so that the loop below is compiled once, alone: guests are
//! compiled by a compiler that keeps the variables of a small function in registers and those of a large one in memory.

use super::error::{Error, ErrorKind};
use super::filter::Filter;
use super::look::{self, Look};
use super::pieces::Pieces;

/// The state of a reader, and with it the record that was read last.
pub(super) struct Scanner {
    /// The object's name, for errors.
    pub(super) object: String,
    pub(super) delimiter: u8,
    pub(super) columns: Vec<String>,
    pub(super) filter: Option<Filter>,
    /// The number of records so far.
    pub(super) records: u64,
    pub(super) chunk: Vec<u8>,
    /// Where in `chunk` the next record starts, or an empty line before it.
    pub(super) at: usize,
    /// The number of line ends before `counted`, which is a place in `chunk`.
    pub(super) lines: u64,
    pub(super) counted: usize,
    pub(super) current: Current,
    /// The ends of the fields of a [`Current::Long`].
    pub(super) ends: Vec<usize>,
    pub(super) pieces: Pieces,
}

/// Where the record that was read last lies.
#[derive(Clone, Copy)]
pub(super) enum Current {
    /// In `chunk`, seen in one look.
    Short {
        start: usize,
        length: usize,
        delimiters: u64,
    },
    /// In `chunk`, longer than a look; the fields' ends are in `ends`.
    Long { start: usize },
    /// In `pieces`, and from `start` on in `chunk`.
    Pieces { start: usize },
    /// In `pieces`, and from an earlier chunk on.
    Straddling { line: u64 },
}

/// What a scan came to.
pub(super) enum Step {
    /// A record that is wanted: it is the current one.
    Record,
    /// A record, or the beginning of one, that takes more than a look.
    Difficult,
    /// The end of the chunk.
    Nothing,
}

impl Scanner {
    /// Goes through the chunk up to a record that is wanted. The loop that the speed of everything depends on.
    #[inline(never)]
    pub(super) fn scan(&mut self) -> Step {
        let expected = self.columns.len() - 1;
        let chunk = self.chunk.as_slice();
        let mut at = self.at;
        let mut records = self.records;
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
            records += 1;
            if let Some(filter) = &self.filter
                && !filter.matches(chunk, start, length, delimiters)
            {
                continue;
            }
            self.current = Current::Short {
                start,
                length,
                delimiters,
            };
            break Step::Record;
        };
        self.at = at;
        self.records = records;
        step
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
            if line.quotes != 0
                || passed > self.pieces.limit()
                || self.ends.len() > self.columns.len()
            {
                return false;
            }
            self.ends
                .extend(look::positions(line.delimiters).map(|position| from + position));
            if let Some(end) = end {
                self.ends.push(from + end);
                self.at = from + end + 1;
                self.current = Current::Long { start };
                return true;
            }
        }
        false
    }

    /// A field of the current record.
    #[inline(always)]
    pub(super) fn field(&self, index: usize) -> &[u8] {
        if let Current::Short {
            start,
            length,
            delimiters,
        } = self.current
        {
            let (from, to) = look::field(delimiters, index, length);
            return self.chunk.get(start + from..start + to).unwrap_or_default();
        }
        self.field_by_ends(index)
    }

    #[cold]
    fn field_by_ends(&self, index: usize) -> &[u8] {
        let (bytes, ends, start, gap) = match self.current {
            Current::Long { start } => (self.chunk.as_slice(), self.ends.as_slice(), start, 1),
            _ => (self.pieces.bytes(), self.pieces.ends(), 0, 0),
        };
        let before = index.checked_sub(1).and_then(|before| ends.get(before));
        let from = before.map_or(start, |end| end + gap);
        let to = ends.get(index).copied().unwrap_or(from);
        bytes.get(from..to).unwrap_or_default()
    }

    /// The number of fields of the current record.
    pub(super) fn fields(&self) -> usize {
        match self.current {
            Current::Short { delimiters, .. } => delimiters.count_ones() as usize + 1,
            Current::Long { .. } => self.ends.len(),
            Current::Pieces { .. } | Current::Straddling { .. } => self.pieces.ends().len(),
        }
    }

    /// The line on which the current record starts, from 1. Counted only when somebody wants to know.
    #[cold]
    pub(super) fn line(&self) -> u64 {
        match self.current {
            Current::Short { start, .. } | Current::Long { start } | Current::Pieces { start } => {
                self.lines + line_ends(&self.chunk[self.counted..start]) + 1
            }
            Current::Straddling { line } => line,
        }
    }

    /// Counts the line ends before `at`, so that nobody has to count them again.
    pub(super) fn count_lines(&mut self, at: usize) {
        self.lines += line_ends(&self.chunk[self.counted..at]);
        self.counted = at;
    }

    /// An error of the current record.
    #[cold]
    pub(super) fn error(&self, kind: ErrorKind) -> Error {
        Error::new(&self.object, Some(self.line()), kind)
    }

    pub(super) fn is_wanted(&self) -> bool {
        let matches = |filter: &Filter| self.field(filter.column()) == filter.value();
        self.filter.as_ref().is_none_or(matches)
    }
}

fn line_ends(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
