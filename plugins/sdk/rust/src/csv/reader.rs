//! The reader: records out of chunks.
//!
//! Two ways lead to a record. Nearly all of them lie within one chunk and have no quotes: these are split where they
//! stand, with bit masks ([`scan`]). Everything else (a quote, a chunk's border, a last line without an end, a record
//! that is too long) goes through csv-core, which takes its input in [`pieces`]. Both agree on what CSV is; a property
//! test holds them to it.

use super::error::{Error, ErrorKind, excerpt};
use super::filter::Filter;
use super::pieces::{Pieces, Progress};
use super::record::{Column, Layout, Place, Record, line_ends};
use super::scan::{self, Look};
use super::source::Source;

/// How to read.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What separates fields; a comma by default. Neither a quote nor a line end.
    pub delimiter: u8,
    /// The most bytes that the fields of one record may have; 8 MiB by default. This bounds the reader's memory.
    pub record_limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            delimiter: b',',
            record_limit: 8 << 20,
        }
    }
}

/// Reads the records of one object. See the [module](super) for an example.
pub struct Reader<S> {
    source: S,
    delimiter: u8,
    columns: Vec<String>,
    filter: Option<Filter>,
    chunk: Vec<u8>,
    /// Where in `chunk` the next record starts, or an empty line before it.
    at: usize,
    /// The number of line ends in the chunks before `chunk`.
    lines: u64,
    ended: bool,
    records: u64,
    current: Current,
    /// The ends of the fields of a [`Current::Long`].
    ends: Vec<usize>,
    pieces: Pieces,
}

/// Where the record that was read last lies.
#[derive(Clone, Copy)]
enum Current {
    /// In `chunk`, seen in one look.
    Short {
        start: usize,
        length: usize,
        delimiters: u64,
    },
    /// In `chunk`, longer than a look.
    Long { start: usize, length: usize },
    /// In `pieces`. It started on the line after `lines` and those in the first `prefix` bytes of `chunk`.
    Pieces { lines: u64, prefix: usize },
}

/// What a scan came to.
enum Step {
    /// A record: it is the current one.
    Record,
    /// A record, or the beginning of one, that only csv-core can read.
    Difficult,
    /// The end of the chunk.
    Nothing,
}

impl<S: Source> Reader<S> {
    /// Reads the header of an object.
    ///
    /// # Errors
    /// [`ErrorKind::Empty`] where there is no header, [`ErrorKind::Read`] where there are no bytes.
    pub fn new(source: S) -> Result<Self, Error> {
        Self::with_options(source, Options::default())
    }

    /// Reads the header of an object in a format of its own.
    ///
    /// # Errors
    /// As with [`Reader::new`].
    pub fn with_options(source: S, options: Options) -> Result<Self, Error> {
        let mut reader = Self {
            source,
            delimiter: options.delimiter,
            columns: Vec::new(),
            filter: None,
            chunk: Vec::new(),
            at: 0,
            lines: 0,
            ended: false,
            records: 0,
            current: Current::Pieces {
                lines: 0,
                prefix: 0,
            },
            ends: Vec::new(),
            pieces: Pieces::new(options.delimiter, options.record_limit),
        };
        reader.skip_byte_order_mark()?;
        reader.read_header()?;
        Ok(reader)
    }

    /// The names in the header, in order.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Looks up a column by its name, the first one where several have it.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchColumn`].
    pub fn column(&self, name: &str) -> Result<Column, Error> {
        let found = self.columns.iter().position(|column| column == name);
        found.map(Column).ok_or_else(|| {
            let kind = ErrorKind::NoSuchColumn {
                column: name.to_owned(),
                header: excerpt(self.columns.join(",").as_bytes()),
            };
            Error::new(self.source.name(), None, kind)
        })
    }

    /// From now on only records whose `column` is `value` are returned. The others are counted, checked for their number
    /// of fields, and cost next to nothing.
    pub fn only(&mut self, column: Column, value: impl AsRef<[u8]>) {
        self.filter = Some(Filter::new(column, value.as_ref()));
    }

    /// The number of records read so far, the header left out, those that [`Reader::only`] passed over included.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Reads the next record; none at the end.
    ///
    /// # Errors
    /// [`ErrorKind::FieldCount`], [`ErrorKind::RecordTooLong`], [`ErrorKind::Read`]. After an error there is nothing
    /// more to read.
    #[inline]
    pub fn read(&mut self) -> Result<Option<Record<'_>>, Error> {
        Ok(self.advance()?.then(|| self.record()))
    }

    #[inline]
    fn advance(&mut self) -> Result<bool, Error> {
        loop {
            match self.scan() {
                Step::Record => return Ok(true),
                Step::Nothing if self.refill()? => {}
                Step::Nothing => return Ok(false),
                Step::Difficult if self.read_difficult()? => return Ok(true),
                Step::Difficult => {}
            }
        }
    }

    /// Reads a record that a scan could not, and says whether it is wanted.
    #[cold]
    fn read_difficult(&mut self) -> Result<bool, Error> {
        if !self.split_long() {
            self.read_pieces()?;
        }
        self.records += 1;
        let record = self.record();
        record.check_length()?;
        let filter = self.filter.as_ref();
        Ok(filter.is_none_or(|filter| filter.matches(&record)))
    }

    /// Goes through the chunk up to a record that is wanted. The loop that the speed of everything depends on.
    ///
    /// A function of its own, because guests are compiled by a compiler that keeps the variables of a small loop in
    /// registers and those of a large function on the stack.
    #[inline(never)]
    fn scan(&mut self) -> Step {
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
                && !filter.matches_short(chunk, start, length, delimiters)
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
    fn split_long(&mut self) -> bool {
        let start = self.at;
        self.ends.clear();
        for from in (start..self.chunk.len()).step_by(scan::WIDTH) {
            let look = Look::new(&self.chunk, from, self.delimiter);
            let end = look.end();
            let line = end.map_or(look, |end| look.before(end));
            if line.quotes != 0
                || self.ends.len() > self.columns.len()
                || from - start > self.pieces.limit()
            {
                return false;
            }
            let passed = from - start;
            self.ends
                .extend(scan::positions(line.delimiters).map(|position| passed + position));
            if let Some(end) = end {
                let length = passed + end;
                self.ends.push(length);
                self.at = start + length + 1;
                self.current = Current::Long { start, length };
                return true;
            }
        }
        false
    }

    /// Reads a record of any kind, through as many chunks as it has.
    fn read_pieces(&mut self) -> Result<(), Error> {
        self.current = Current::Pieces {
            lines: self.lines,
            prefix: self.at,
        };
        self.pieces.clear();
        loop {
            let (progress, taken) = self
                .pieces
                .feed(&self.chunk[self.at..])
                .map_err(|kind| self.record().error(kind))?;
            self.at += taken;
            if let Progress::Record = progress {
                return Ok(());
            }
            let lines = self.record().line() - 1;
            self.current = Current::Pieces { lines, prefix: 0 };
            self.refill()?;
        }
    }

    fn skip_byte_order_mark(&mut self) -> Result<(), Error> {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let mut beginning = Vec::new();
        while beginning.len() < MARK.len() && self.refill()? {
            beginning.append(&mut self.chunk);
        }
        self.at = if beginning.starts_with(MARK) {
            MARK.len()
        } else {
            0
        };
        self.chunk = beginning;
        Ok(())
    }

    fn read_header(&mut self) -> Result<(), Error> {
        loop {
            match self.chunk.get(self.at).copied() {
                Some(b'\n' | b'\r') => self.at += 1,
                Some(_) => break,
                None if self.refill()? => {}
                None => return Err(Error::new(self.source.name(), None, ErrorKind::Empty)),
            }
        }
        self.read_pieces()?;
        let header = self.record();
        let name = |field| String::from_utf8_lossy(field).into_owned();
        self.columns = header.fields().map(name).collect();
        Ok(())
    }

    #[inline]
    fn record(&self) -> Record<'_> {
        let (bytes, layout, lines, prefix) = match self.current {
            Current::Short {
                start,
                length,
                delimiters,
            } => (
                &self.chunk[start..start + length],
                Layout::Mask(delimiters),
                self.lines,
                start,
            ),
            Current::Long { start, length } => (
                &self.chunk[start..start + length],
                Layout::Ends(&self.ends, 1),
                self.lines,
                start,
            ),
            Current::Pieces { lines, prefix } => (
                self.pieces.bytes(),
                Layout::Ends(self.pieces.ends(), 0),
                lines,
                prefix,
            ),
        };
        Record {
            bytes,
            layout,
            columns: &self.columns,
            place: Place {
                object: self.source.name(),
                lines,
                prefix: &self.chunk[..prefix],
            },
        }
    }

    /// Takes the next chunk; false, and no chunk, at the end.
    #[cold]
    fn refill(&mut self) -> Result<bool, Error> {
        while !self.ended {
            self.lines += line_ends(&self.chunk);
            self.at = 0;
            self.chunk = Vec::new();
            match self.source.next() {
                Ok(Some(chunk)) if chunk.is_empty() => {}
                Ok(Some(chunk)) => {
                    self.chunk = chunk;
                    return Ok(true);
                }
                Ok(None) => self.ended = true,
                Err(failure) => {
                    return Err(Error::new(
                        self.source.name(),
                        None,
                        ErrorKind::Read(failure),
                    ));
                }
            }
        }
        Ok(false)
    }
}
