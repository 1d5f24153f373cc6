//! `column == value`, decided before a record is handed out.

use super::look;

/// See [`super::Reader::only`].
pub(super) struct Filter {
    column: usize,
    value: Box<[u8]>,
    /// The value's first eight bytes as a number, and which of its bits count.
    word: u64,
    mask: u64,
}

const WORD: usize = size_of::<u64>();

impl Filter {
    pub(super) fn new(column: usize, value: &[u8]) -> Self {
        let (mut word, mut mask) = ([0; WORD], [0; WORD]);
        for (index, byte) in value.iter().take(WORD).enumerate() {
            word[index] = *byte;
            mask[index] = 0xff;
        }
        Self { column, value: value.into(), word: u64::from_le_bytes(word), mask: u64::from_le_bytes(mask) }
    }

    pub(super) fn column(&self) -> usize {
        self.column
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.value
    }

    /// Whether a record that lies in `chunk` from `start`, and was seen in one look, is wanted. A value of up to eight
    /// bytes is compared as one number: no loop, no call.
    #[inline(always)]
    pub(super) fn matches(&self, chunk: &[u8], start: usize, length: usize, delimiters: u64) -> bool {
        let (from, to) = look::field(delimiters, self.column, length);
        if to - from != self.value.len() {
            return false;
        }
        match chunk.get(start + from..).and_then(<[u8]>::first_chunk) {
            Some(word) if self.value.len() <= WORD => u64::from_le_bytes(*word) & self.mask == self.word,
            _ => chunk[start + from..start + to] == *self.value,
        }
    }
}
