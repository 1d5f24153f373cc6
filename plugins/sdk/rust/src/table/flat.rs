//! Just enough of FlatBuffers to read Arrow's metadata. Every look is checked: what lies outside is not there.

/// A table of FlatBuffers: the place of its fields is looked up in its vtable.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Table<'a> {
    /// The root of a buffer.
    pub(super) fn root(bytes: &'a [u8]) -> Option<Self> {
        Some(Self { bytes, at: follow(bytes, 0)? })
    }

    /// Where a field is; none where it was left out.
    fn place(self, field: usize) -> Option<usize> {
        let back = i32::from_le_bytes(take(self.bytes, self.at)?);
        let vtable = usize::try_from(i64::try_from(self.at).ok()? - i64::from(back)).ok()?;
        let size = usize::from(u16::from_le_bytes(take(self.bytes, vtable)?));
        let slot = 4 + 2 * field;
        if slot + 2 > size {
            return None;
        }
        match u16::from_le_bytes(take(self.bytes, vtable.checked_add(slot)?)?) {
            0 => None,
            offset => self.at.checked_add(usize::from(offset)),
        }
    }

    /// The bytes of a scalar; none where it was left out because it has its default.
    pub(super) fn scalar<const N: usize>(self, field: usize) -> Option<[u8; N]> {
        take(self.bytes, self.place(field)?)
    }

    pub(super) fn table(self, field: usize) -> Option<Self> {
        Some(Self { bytes: self.bytes, at: follow(self.bytes, self.place(field)?)? })
    }

    pub(super) fn text(self, field: usize) -> Option<&'a str> {
        let (start, length) = self.vector(field)?;
        str::from_utf8(self.bytes.get(start..start.checked_add(length)?)?).ok()
    }

    /// A vector of structs or scalars of `N` bytes.
    pub(super) fn structs<const N: usize>(self, field: usize) -> Option<&'a [[u8; N]]> {
        let (start, count) = self.vector(field)?;
        let end = start.checked_add(count.checked_mul(N)?)?;
        Some(self.bytes.get(start..end)?.as_chunks().0)
    }

    /// A vector of tables.
    pub(super) fn tables(self, field: usize) -> Option<impl Iterator<Item = Option<Self>>> {
        let (start, count) = self.vector(field)?;
        self.bytes.get(start..start.checked_add(count.checked_mul(4)?)?)?;
        let bytes = self.bytes;
        Some((0..count).map(move |index| Some(Self { bytes, at: follow(bytes, start + 4 * index)? })))
    }

    fn vector(self, field: usize) -> Option<(usize, usize)> {
        let at = follow(self.bytes, self.place(field)?)?;
        Some((at.checked_add(4)?, word(self.bytes, at)?))
    }
}

/// The bytes at a place.
pub(super) fn take<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// An unsigned 32-bit number that counts or measures.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(take(bytes, at)?)).ok()
}

fn follow(bytes: &[u8], at: usize) -> Option<usize> {
    at.checked_add(word(bytes, at)?)
}
