//! Just enough of Thrift's compact protocol to read the headers and the indexes of Parquet's pages, and to pass over all else in them.

/// How deep structs and lists may lie in each other. Page headers need three.
const DEPTH: usize = 8;

/// Bytes that are read from the front. None everywhere means that they are damaged or cut off.
pub(super) struct Compact<'a> {
    pub(super) rest: &'a [u8],
}

/// The type of a field, of those that are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind(u8);

impl Kind {
    pub(super) const I32: Self = Self(5);
    pub(super) const I64: Self = Self(6);
    pub(super) const LIST: Self = Self(9);
    pub(super) const STRUCT: Self = Self(12);
}

impl<'a> Compact<'a> {
    /// Calls `visit` with each field of a struct. It reads the field and says true, or leaves it and says false.
    pub(super) fn fields(&mut self, mut visit: impl FnMut(&mut Self, i16, Kind) -> Option<bool>) -> Option<()> {
        self.walk(&mut visit, 0)
    }

    /// A whole number.
    pub(super) fn number(&mut self) -> Option<i64> {
        let raw = self.varint()?;
        Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// The elements of a list, each read with `element`. Each has at least a byte: a count that lies ends with the bytes, and
    /// nothing is set aside for it before.
    pub(super) fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let header = self.byte()?;
        let count = if header >> 4 == 15 { self.varint()? } else { u64::from(header >> 4) };
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(element(self)?);
        }
        Some(all)
    }

    /// Bytes, or a text.
    pub(super) fn binary(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    /// A truth value in a list.
    pub(super) fn boolean(&mut self) -> Option<bool> {
        Some(self.byte()? == 1)
    }

    fn walk(&mut self, visit: &mut dyn FnMut(&mut Self, i16, Kind) -> Option<bool>, depth: usize) -> Option<()> {
        let mut id = 0_i16;
        loop {
            let header = self.byte()?;
            if header == 0 {
                return Some(());
            }
            id = match header >> 4 {
                0 => i16::try_from(self.number()?).ok()?,
                delta => id.checked_add(delta.into())?,
            };
            let kind = header & 0x0f;
            if !visit(self, id, Kind(kind))? {
                self.skip(kind, depth, true)?;
            }
        }
    }

    fn skip(&mut self, kind: u8, depth: usize, of_struct: bool) -> Option<()> {
        if depth > DEPTH {
            return None;
        }
        match kind {
            // A truth value of a struct lies in the field's header.
            1 | 2 if of_struct => Some(()),
            1..=3 => self.byte().map(drop),
            4..=6 => self.varint().map(drop),
            7 => self.take(8),
            8 => {
                let length = self.varint()?;
                self.take(usize::try_from(length).ok()?)
            }
            9 | 10 => {
                let header = self.byte()?;
                let count = if header >> 4 == 15 { self.varint()? } else { u64::from(header >> 4) };
                self.skip_all(count, &[header & 0x0f], depth + 1)
            }
            11 => match self.varint()? {
                0 => Some(()),
                count => {
                    let kinds = self.byte()?;
                    self.skip_all(count, &[kinds >> 4, kinds & 0x0f], depth + 1)
                }
            },
            12 => self.walk(&mut |_, _, _| Some(false), depth + 1),
            _ => None,
        }
    }

    /// Each element has at least a byte, so that a count that lies ends with the bytes.
    fn skip_all(&mut self, count: u64, kinds: &[u8], depth: usize) -> Option<()> {
        for _ in 0..count {
            for kind in kinds {
                self.skip(*kind, depth, false)?;
            }
        }
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn take(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }
}
