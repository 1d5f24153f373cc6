//! One column as it grows, value by value, in the buffers that Arrow lays out.

use super::Type;

pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) rows: usize,
    pub(super) nulls: usize,
    /// A bit for each row; none of them is set where it is null. Empty while nothing is null.
    pub(super) validity: Vec<u8>,
    /// The ends of texts; empty for the other types.
    pub(super) offsets: Vec<u8>,
    pub(super) values: Vec<u8>,
}

impl Column {
    pub(super) fn new(name: &str, kind: Type) -> Self {
        let offsets = if is_text(kind) { vec![0; 4] } else { Vec::new() };
        Self { name: name.to_owned(), kind, rows: 0, nulls: 0, validity: Vec::new(), offsets, values: Vec::new() }
    }

    pub(super) fn text(&mut self, value: &[u8]) {
        self.values.extend_from_slice(value);
        self.text_ends();
    }

    /// Ends a text whose bytes are among the values already. More than offsets can tell is refused when it is emitted.
    pub(super) fn text_ends(&mut self) {
        self.offsets.extend_from_slice(&(self.values.len() as u32).to_le_bytes());
        self.row(true);
    }

    /// A number of any width.
    pub(super) fn fixed(&mut self, bytes: &[u8]) {
        self.values.extend_from_slice(bytes);
        self.row(true);
    }

    pub(super) fn bool(&mut self, value: bool) {
        push(&mut self.values, self.rows, value);
        self.row(true);
    }

    pub(super) fn null(&mut self) {
        match self.kind {
            Type::Boolean => push(&mut self.values, self.rows, false),
            Type::Date => self.values.extend_from_slice(&[0; 4]),
            Type::Int64 | Type::Float64 | Type::Timestamp => self.values.extend_from_slice(&[0; 8]),
            Type::Text | Type::Json | Type::Binary => {
                self.offsets.extend_from_slice(&(self.values.len() as u32).to_le_bytes());
            }
        }
        if self.nulls == 0 {
            self.validity.resize(self.rows.div_ceil(8), 0xff);
            // Bits beyond the last row are set when their rows come.
            if let Some(last) = self.validity.last_mut().filter(|_| !self.rows.is_multiple_of(8)) {
                *last &= !(0xff << (self.rows % 8));
            }
        }
        self.nulls += 1;
        self.row(false);
    }

    /// Takes the last row back.
    pub(super) fn pop(&mut self) {
        let Some(last) = self.rows.checked_sub(1) else { return };
        self.rows = last;
        self.nulls -= usize::from(self.validity.get(last / 8).is_some_and(|bits| bits >> (last % 8) & 1 == 0));
        match self.nulls {
            0 => self.validity.clear(),
            _ => pop(&mut self.validity, last),
        }
        match self.kind {
            Type::Boolean => pop(&mut self.values, last),
            Type::Date => self.values.truncate(4 * last),
            Type::Int64 | Type::Float64 | Type::Timestamp => self.values.truncate(8 * last),
            Type::Text | Type::Json | Type::Binary => {
                self.offsets.truncate(4 * (last + 1));
                let end = self.offsets.last_chunk().copied().map_or(0, u32::from_le_bytes);
                self.values.truncate(end as usize);
            }
        }
    }

    /// Forgets all rows.
    pub(super) fn clear(&mut self) {
        (self.rows, self.nulls) = (0, 0);
        self.validity.clear();
        self.offsets.truncate(4);
        self.values.clear();
    }

    pub(super) fn bytes(&self) -> usize {
        self.offsets.len() + self.values.len()
    }

    fn row(&mut self, is_valid: bool) {
        if self.nulls > 0 {
            push(&mut self.validity, self.rows, is_valid);
        }
        self.rows += 1;
    }
}

fn is_text(kind: Type) -> bool {
    matches!(kind, Type::Text | Type::Json | Type::Binary)
}

fn push(bits: &mut Vec<u8>, at: usize, is_set: bool) {
    if at.is_multiple_of(8) {
        bits.push(0);
    }
    if let Some(last) = bits.last_mut() {
        *last |= u8::from(is_set) << (at % 8);
    }
}

fn pop(bits: &mut Vec<u8>, at: usize) {
    if let Some(last) = bits.last_mut() {
        *last &= !(1 << (at % 8));
    }
    bits.truncate(at.div_ceil(8));
}
