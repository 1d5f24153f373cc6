//! `column == value`, decided before a record is handed out.

use super::record::{Column, Record};
use super::scan;

/// See [`super::Reader::only`].
pub(super) struct Filter {
    column: Column,
    value: Box<[u8]>,
    /// The value's first eight bytes as a number, and which of its bits count.
    word: u64,
    mask: u64,
}

const WORD: usize = size_of::<u64>();

impl Filter {
    pub(super) fn new(column: Column, value: &[u8]) -> Self {
        let mut word = [0; WORD];
        let mut mask = [0; WORD];
        for (index, byte) in value.iter().take(WORD).enumerate() {
            word[index] = *byte;
            mask[index] = 0xff;
        }
        Self {
            column,
            value: value.into(),
            word: u64::from_le_bytes(word),
            mask: u64::from_le_bytes(mask),
        }
    }

    pub(super) fn matches(&self, record: &Record<'_>) -> bool {
        record.is(self.column, &self.value)
    }

    /// The same for a record that lies in `bytes` from `start` and was split by one look. A value of up to eight bytes
    /// is compared as one number: no loop, no call.
    #[inline(always)]
    pub(super) fn matches_short(
        &self,
        bytes: &[u8],
        start: usize,
        length: usize,
        delimiters: u64,
    ) -> bool {
        let (from, to) = scan::field(delimiters, self.column.0, length);
        if to - from != self.value.len() {
            return false;
        }
        match bytes.get(start + from..).and_then(<[u8]>::first_chunk) {
            Some(word) if self.value.len() <= WORD => {
                u64::from_le_bytes(*word) & self.mask == self.word
            }
            _ => bytes[start + from..start + to] == *self.value,
        }
    }
}
