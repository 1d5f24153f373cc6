//! The reader: records out of an object's chunks.
//!
//! Two ways lead to a record. Nearly all of them lie within one chunk and have no quotes: these are split where they
//! stand, with bit masks ([`scanner`](super::scanner)). Everything else (a quote, a chunk's border, a last line without
//! an end, a record that is too long) goes through csv-core, which takes its input in [`pieces`](super::pieces). Both
//! agree on what CSV is; a property test holds them to it.

use std::collections::HashSet;

use super::error::{Error, ErrorKind, excerpt};
use super::filter::Filter;
use super::kind;
use super::pieces::Progress;
use super::record::{Column, Record};
use super::scanner::{Current, Scanner, Step};
use super::source::Source;

/// How to read.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What separates fields; a comma by default. Neither a quote nor a line end.
    pub delimiter: u8,
    /// The most bytes that a record may have; 8 MiB by default. This bounds the reader's memory.
    pub record_limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { delimiter: b',', record_limit: 8 << 20 }
    }
}

/// Reads the records of one object. See the [module](super) for an example.
pub struct Reader<S> {
    source: S,
    ended: bool,
    scanner: Scanner,
}

impl<S: Source> Reader<S> {
    /// Reads the header of an object.
    ///
    /// # Errors
    /// [`ErrorKind::Empty`] where there is no header, [`ErrorKind::NotCsv`] where there is something else,
    /// [`ErrorKind::DoubledColumn`] where it has a name twice (columns
    /// without a name are many), [`ErrorKind::Read`] where there are no bytes.
    pub fn new(source: S) -> Result<Self, Error> {
        Self::with_options(source, Options::default())
    }

    /// Reads the header of an object in a format of its own.
    ///
    /// # Errors
    /// As with [`Reader::new`].
    pub fn with_options(source: S, options: Options) -> Result<Self, Error> {
        let scanner = Scanner::new(source.name(), &options);
        let mut reader = Self { source, ended: false, scanner };
        reader.look_at_start()?;
        reader.read_header()?;
        Ok(reader)
    }

    /// The names in the header, in order.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.scanner.columns
    }

    /// Looks up a column by its name.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchColumn`].
    pub fn column(&self, name: &str) -> Result<Column, Error> {
        let found = self.columns().iter().position(|column| column == name && !name.is_empty());
        found
            .map(Column)
            .ok_or_else(|| self.error(ErrorKind::NoSuchColumn { column: name.to_owned(), header: self.header() }))
    }

    /// From now on only records whose `column` is `value` are returned. The others are counted, checked for their number
    /// of fields, and cost next to nothing.
    pub fn only(&mut self, column: Column, value: impl AsRef<[u8]>) {
        self.scanner.filter = Some(Filter::new(column.0, value.as_ref()));
    }

    /// The number of records read so far, the header left out, those that [`Reader::only`] passed over included.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.scanner.records
    }

    /// Reads the next record; none at the end.
    ///
    /// # Errors
    /// [`ErrorKind::FieldCount`], [`ErrorKind::OpenQuote`], [`ErrorKind::RecordTooLong`], [`ErrorKind::Read`]. After
    /// an error there is nothing more to read.
    #[inline]
    pub fn read(&mut self) -> Result<Option<Record<'_>>, Error> {
        loop {
            if let Some(found) = self.scanner.take() {
                return Ok(Some(Record::new(&self.scanner, found)));
            }
            if !self.find()? {
                return Ok(None);
            }
        }
    }

    /// Finds more records; false at the end.
    #[cold]
    fn find(&mut self) -> Result<bool, Error> {
        loop {
            match self.scanner.scan() {
                Step::Records => return Ok(true),
                Step::Nothing if !self.refill()? => return Ok(false),
                Step::Difficult if self.read_difficult()? => {
                    self.scanner.find_difficult();
                    return Ok(true);
                }
                Step::Nothing | Step::Difficult => {}
            }
        }
    }

    /// Reads a record that takes more than a look, and says whether it is wanted.
    fn read_difficult(&mut self) -> Result<bool, Error> {
        if !self.scanner.split_long() {
            self.read_pieces()?;
        }
        let scanner = &mut self.scanner;
        scanner.scanned += 1;
        scanner.records = scanner.scanned;
        let (expected, found) = (scanner.columns.len(), scanner.difficult_fields());
        if expected != found {
            return Err(scanner.error(ErrorKind::FieldCount { expected, found }));
        }
        Ok(scanner.is_wanted())
    }

    /// Reads a record of any kind, through as many chunks as it has.
    fn read_pieces(&mut self) -> Result<(), Error> {
        let start = self.scanner.at;
        self.scanner.current = Current::Pieces { start };
        self.scanner.pieces.clear();
        loop {
            let scanner = &mut self.scanner;
            let fed = scanner.pieces.feed(&scanner.chunk[scanner.at..]);
            let (progress, taken) = fed.map_err(|kind| scanner.error(kind))?;
            scanner.at += taken;
            if let Progress::Record = progress {
                return Ok(());
            }
            if let Current::Pieces { start } = scanner.current {
                scanner.count_lines(start);
                let line = scanner.difficult_line();
                scanner.current = Current::Straddling { line };
            }
            if !self.refill()? {
                let scanner = &mut self.scanner;
                return scanner.pieces.finish().map_err(|kind| scanner.error(kind));
            }
        }
    }

    /// Skips a byte order mark, and refuses what is evidently no text.
    fn look_at_start(&mut self) -> Result<(), Error> {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let mut beginning = Vec::new();
        // However the object is cut: as far as anything is known by, or to the end of a first line.
        while beginning.len() < MARK.len()
            || beginning.len() < kind::LOOK && !beginning.trim_ascii_start().contains(&b'\n')
        {
            if !self.refill()? {
                break;
            }
            beginning.append(&mut self.scanner.chunk);
        }
        if let Some(kind) = kind::foreign(&beginning[..beginning.len().min(kind::LOOK)]) {
            return Err(self.error(ErrorKind::NotCsv { kind }));
        }
        self.scanner.at = if beginning.starts_with(MARK) { MARK.len() } else { 0 };
        self.scanner.chunk = beginning;
        Ok(())
    }

    fn read_header(&mut self) -> Result<(), Error> {
        loop {
            match self.scanner.chunk.get(self.scanner.at).copied() {
                Some(b'\n' | b'\r') => self.scanner.at += 1,
                Some(_) => break,
                None if self.refill()? => {}
                None => return Err(self.error(ErrorKind::Empty)),
            }
        }
        self.read_pieces()?;
        let name = |index| String::from_utf8_lossy(self.scanner.difficult_field(index)).into_owned();
        self.scanner.columns = (0..self.scanner.difficult_fields()).map(name).collect();
        let mut names = HashSet::new();
        let mut named = self.columns().iter().filter(|name| !name.is_empty());
        match named.find(|name| !names.insert(*name)) {
            None => Ok(()),
            Some(column) => Err(self.error(ErrorKind::DoubledColumn { column: column.clone(), header: self.header() })),
        }
    }

    /// The header for an error's text.
    fn header(&self) -> String {
        let delimiter = char::from(self.scanner.delimiter).to_string();
        excerpt(self.columns().join(&delimiter).as_bytes())
    }

    /// Takes the next chunk; false, and an empty chunk, at the end.
    fn refill(&mut self) -> Result<bool, Error> {
        while !self.ended {
            let scanner = &mut self.scanner;
            scanner.count_lines(scanner.chunk.len());
            scanner.counted = 0;
            scanner.at = 0;
            scanner.chunk = Vec::new(); // Freed before the next one comes.
            match self.source.next() {
                Ok(Some(chunk)) if chunk.is_empty() => {}
                Ok(Some(chunk)) => {
                    self.scanner.chunk = chunk;
                    return Ok(true);
                }
                Ok(None) => self.ended = true,
                Err(failure) => return Err(self.error(ErrorKind::Read(failure))),
            }
        }
        Ok(false)
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(&self.scanner.object, None, kind)
    }
}
