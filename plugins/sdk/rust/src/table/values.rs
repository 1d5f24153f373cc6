//! Typed looks at one column. A `list<u8>` promises no alignment, so that numbers are loaded byte-wise, which costs nothing.

use std::marker::PhantomData;

/// A number of a fixed width.
pub trait Fixed: Copy + Default {
    #[doc(hidden)]
    const WIDTH: usize;
    #[doc(hidden)]
    fn load(bytes: &[u8]) -> Option<Self>;
}

macro_rules! fixed {
    ($($number:ty)*) => { $(
        impl Fixed for $number {
            const WIDTH: usize = size_of::<Self>();

            fn load(bytes: &[u8]) -> Option<Self> {
                bytes.first_chunk().copied().map(Self::from_le_bytes)
            }
        }
    )* };
}

fixed!(i32 i64 f64);

macro_rules! iterable {
    ($value:ty) => {
        /// The value of a row; none where it is null or there is no such row.
        #[must_use]
        pub fn get(&self, row: usize) -> Option<$value> {
            (row < self.rows && is_valid(self.validity, row)).then(|| self.load(row))
        }

        /// All values in order, none for null.
        pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<$value>> {
            (0..self.rows).map(|row| self.get(row))
        }
    };
}

/// A column of numbers.
#[derive(Clone, Copy)]
pub struct Values<'a, T> {
    rows: usize,
    validity: Option<&'a [u8]>,
    values: &'a [u8],
    number: PhantomData<T>,
}

impl<'a, T: Fixed> Values<'a, T> {
    pub(super) fn new(rows: usize, validity: Option<&'a [u8]>, values: &'a [u8]) -> Self {
        Self { rows, validity, values, number: PhantomData }
    }

    iterable!(T);

    fn load(&self, row: usize) -> T {
        self.values.get(row * T::WIDTH..).and_then(T::load).unwrap_or_default()
    }
}

/// A column of true and false.
#[derive(Clone, Copy)]
pub struct Bits<'a> {
    rows: usize,
    validity: Option<&'a [u8]>,
    values: &'a [u8],
}

impl<'a> Bits<'a> {
    pub(super) fn new(rows: usize, validity: Option<&'a [u8]>, values: &'a [u8]) -> Self {
        Self { rows, validity, values }
    }

    iterable!(bool);

    fn load(&self, row: usize) -> bool {
        bit(self.values, row)
    }
}

/// A column of byte strings.
#[derive(Clone, Copy)]
pub struct Bytes<'a> {
    rows: usize,
    validity: Option<&'a [u8]>,
    offsets: &'a [u8],
    values: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub(super) fn new(rows: usize, validity: Option<&'a [u8]>, offsets: &'a [u8], values: &'a [u8]) -> Self {
        Self { rows, validity, offsets, values }
    }

    iterable!(&'a [u8]);

    /// Empty where the offsets lie.
    fn load(&self, row: usize) -> &'a [u8] {
        self.ends(row).and_then(|(start, end)| self.values.get(start..end)).unwrap_or_default()
    }

    fn ends(&self, row: usize) -> Option<(usize, usize)> {
        let end = |at: usize| usize::try_from(i32::load(self.offsets.get(4 * at..)?)?).ok();
        Some((end(row)?, end(row + 1)?))
    }
}

/// A column of texts.
#[derive(Clone, Copy)]
pub struct Texts<'a> {
    rows: usize,
    validity: Option<&'a [u8]>,
    places: Bytes<'a>,
    values: &'a str,
}

impl<'a> Texts<'a> {
    /// None where a text is no UTF-8 or lies outside.
    pub(super) fn new(places: Bytes<'a>) -> Option<Self> {
        let first = places.ends(0).map_or(0, |(start, _)| start);
        let last = places.rows.checked_sub(1).and_then(|row| places.ends(row)).map_or(0, |(_, end)| end);
        // What lies beside the texts is nobody's, and need not be UTF-8.
        let values = str::from_utf8(places.values.get(..last)?.get(first..)?).ok()?;
        let whole = |row| {
            let (start, end) = places.ends(row)?;
            values.get(start.checked_sub(first)?..end.checked_sub(first)?)
        };
        (0..places.rows).all(|row| whole(row).is_some()).then_some(Self {
            rows: places.rows,
            validity: places.validity,
            places,
            values,
        })
    }

    iterable!(&'a str);

    fn load(&self, row: usize) -> &'a str {
        let first = self.places.ends(0).map_or(0, |(start, _)| start);
        let place = self.places.ends(row);
        place.and_then(|(start, end)| self.values.get(start - first..end - first)).unwrap_or_default()
    }
}

fn is_valid(validity: Option<&[u8]>, row: usize) -> bool {
    validity.is_none_or(|bits| bit(bits, row))
}

fn bit(bits: &[u8], at: usize) -> bool {
    bits.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}
