//! A record out of pieces: csv-core with buffers that grow up to a limit.

use csv_core::ReadRecordResult;

use super::error::ErrorKind;

/// The most fields that a record may have. Like the limit of a record's bytes, it keeps bad input from filling memory.
const FIELD_LIMIT: usize = 65_536;

/// A record that is being read, or was.
pub(super) struct Pieces {
    core: csv_core::Reader,
    bytes: Vec<u8>,
    length: usize,
    ends: Vec<usize>,
    fields: usize,
    limit: usize,
}

pub(super) enum Progress {
    /// The record is complete.
    Record,
    /// The input is used up and the record is not complete.
    NeedsInput,
}

impl Pieces {
    pub(super) fn new(delimiter: u8, limit: usize) -> Self {
        let mut core = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        // At its very first input csv-core looks for a byte order mark. Ours may come at any record, so it gets that
        // over with on an empty line.
        let _ = core.read_record(b"\n", &mut [0], &mut [0]);
        Self { core, bytes: vec![0; 1024.min(limit)], length: 0, ends: vec![0; 64], fields: 0, limit }
    }

    /// The most bytes that a record may have.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// The fields' bytes, one after the other.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The end of each field in `bytes`.
    pub(super) fn ends(&self) -> &[usize] {
        &self.ends[..self.fields]
    }

    /// Begins a new record.
    pub(super) fn clear(&mut self) {
        self.length = 0;
        self.fields = 0;
    }

    /// Reads on in `input` and says how much of it was taken.
    pub(super) fn feed(&mut self, input: &[u8]) -> Result<(Progress, usize), ErrorKind> {
        let mut taken = 0;
        loop {
            let (result, read, written, fields) =
                self.core.read_record(&input[taken..], &mut self.bytes[self.length..], &mut self.ends[self.fields..]);
            taken += read;
            self.length += written;
            self.fields += fields;
            match result {
                ReadRecordResult::Record | ReadRecordResult::End => {
                    return Ok((Progress::Record, taken));
                }
                ReadRecordResult::InputEmpty => return Ok((Progress::NeedsInput, taken)),
                ReadRecordResult::OutputFull => {
                    grow(&mut self.bytes, self.limit).ok_or(ErrorKind::RecordTooLong { limit: self.limit })?
                }
                ReadRecordResult::OutputEndsFull => {
                    grow(&mut self.ends, FIELD_LIMIT).ok_or(ErrorKind::TooManyFields { limit: FIELD_LIMIT })?
                }
            }
        }
    }

    /// Completes the record at the end of the object. A line's end does it, unless a quote is open.
    pub(super) fn finish(&mut self) -> Result<(), ErrorKind> {
        match self.feed(b"\n")? {
            (Progress::Record, _) => Ok(()),
            (Progress::NeedsInput, _) => Err(ErrorKind::OpenQuote),
        }
    }
}

/// Doubles a buffer, up to `limit`; none where it has reached it.
fn grow<T: Clone + Default>(buffer: &mut Vec<T>, limit: usize) -> Option<()> {
    let length = (buffer.len() * 2).min(limit);
    (length > buffer.len()).then(|| buffer.resize(length, T::default()))
}
