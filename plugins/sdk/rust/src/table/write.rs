//! Just enough of FlatBuffers to write Arrow's metadata, front to back: what a table refers to is written after it.

/// A field of a table.
#[derive(Clone, Copy)]
pub(super) enum Slot {
    /// Left out: it has its default.
    None,
    Byte(u8),
    Short(i16),
    Int(i32),
    Long(i64),
    /// A place that is filled in when what it refers to is written.
    Reference,
}

impl Slot {
    fn size(self) -> usize {
        match self {
            Self::None => 0,
            Self::Byte(_) => 1,
            Self::Short(_) => 2,
            Self::Int(_) | Self::Reference => 4,
            Self::Long(_) => 8,
        }
    }
}

/// A buffer that grows. Places are counted from its beginning, to which everything is aligned.
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A buffer with a root, and the place of what refers to it.
    pub(super) fn new() -> (Self, usize) {
        (Self { bytes: vec![0; 4] }, 0)
    }

    /// Writes a table where `from` refers to it, and gives the places of its references in their order.
    pub(super) fn table(&mut self, from: usize, slots: &[Slot]) -> Vec<usize> {
        let mut offsets = vec![0_u16; slots.len()];
        let mut end = 4_usize;
        for (offset, slot) in offsets.iter_mut().zip(slots) {
            let size = slot.size();
            if size > 0 {
                end = end.next_multiple_of(size);
                *offset = end as u16;
                end += size;
            }
        }
        self.align(2, 0);
        let vtable = self.bytes.len();
        let sizes = [4 + 2 * slots.len() as u16, end as u16];
        sizes.iter().chain(&offsets).for_each(|number| self.bytes.extend(number.to_le_bytes()));
        self.align(8, 0);
        let at = self.bytes.len();
        self.refer(from, at);
        self.bytes.resize(at + end, 0);
        self.put(at, &((at - vtable) as i32).to_le_bytes());
        let mut references = Vec::new();
        for (offset, slot) in offsets.into_iter().zip(slots.iter().copied()) {
            let place = at + usize::from(offset);
            match slot {
                Slot::None => {}
                Slot::Byte(value) => self.put(place, &[value]),
                Slot::Short(value) => self.put(place, &value.to_le_bytes()),
                Slot::Int(value) => self.put(place, &value.to_le_bytes()),
                Slot::Long(value) => self.put(place, &value.to_le_bytes()),
                Slot::Reference => references.push(place),
            }
        }
        references
    }

    pub(super) fn text(&mut self, from: usize, text: &str) {
        self.vector(from, 4, text.len());
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    /// Writes a vector of references, and gives their places.
    pub(super) fn references(&mut self, from: usize, count: usize) -> Vec<usize> {
        self.vector(from, 4, count);
        let at = self.bytes.len();
        self.bytes.resize(at + 4 * count, 0);
        (0..count).map(|index| at + 4 * index).collect()
    }

    /// Writes a vector of structs of two long numbers.
    pub(super) fn pairs(&mut self, from: usize, pairs: &[[i64; 2]]) {
        self.vector(from, 8, pairs.len());
        pairs.as_flattened().iter().for_each(|number| self.bytes.extend(number.to_le_bytes()));
    }

    /// The whole buffer, padded to eight bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.align(8, 0);
        self.bytes
    }

    /// A vector's length, behind which its elements are aligned.
    fn vector(&mut self, from: usize, alignment: usize, count: usize) {
        self.align(alignment.max(4), 4);
        self.refer(from, self.bytes.len());
        self.bytes.extend((count as u32).to_le_bytes());
    }

    /// Pads until what comes after so many more bytes is aligned.
    fn align(&mut self, to: usize, after: usize) {
        let length = (self.bytes.len() + after).next_multiple_of(to) - after;
        self.bytes.resize(length, 0);
    }

    fn refer(&mut self, from: usize, at: usize) {
        self.put(from, &((at - from) as u32).to_le_bytes());
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }
}
