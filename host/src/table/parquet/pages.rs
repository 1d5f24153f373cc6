//! What the pages of a column take when they are unpacked, from their headers: the decoder believes these, so that they are looked
//! at before it does. (Apache Parquet, `parquet.thrift`: `PageHeader`.)

use super::thrift::{Compact, Kind};

/// What a column's pages take, in bytes unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pages {
    /// The largest page with values, unpacked.
    pub(super) largest: u64,
    /// The dictionary, unpacked.
    pub(super) dictionary: u64,
    /// All pages, unpacked, with what their values take besides.
    pub(super) all: u64,
    /// The most that a value takes.
    pub(super) value: u64,
    /// How many values there are.
    pub(super) values: u64,
    /// How many pages have them.
    pub(super) count: u64,
}

impl Pages {
    /// These pages and others of the same column.
    pub(super) fn with(self, other: Self) -> Self {
        Self {
            largest: self.largest.max(other.largest),
            dictionary: self.dictionary.max(other.dictionary),
            all: self.all.saturating_add(other.all),
            value: self.value.max(other.value),
            values: self.values.saturating_add(other.values),
            count: self.count + other.count,
        }
    }
}

/// Beside a value's bytes: its level, its offset or view, and its validity.
pub(super) const BESIDE: u64 = 24;

/// Walks over the pages of a column, as they lie in the file. None where a header is damaged.
pub(super) fn pages(column: &[u8]) -> Option<Pages> {
    let mut found = Pages::default();
    let mut bytes = Compact { rest: column };
    while !bytes.rest.is_empty() {
        let page = header(&mut bytes)?;
        bytes.rest = bytes.rest.get(usize::try_from(page.stored).ok()?..)?;
        if page.kind == DICTIONARY {
            found.dictionary = found.dictionary.max(page.unpacked);
            continue;
        }
        found.count += 1;
        found.largest = found.largest.max(page.unpacked.saturating_add(page.apart()));
        found.values = found.values.saturating_add(page.values);
        let beside = page.values.saturating_mul(BESIDE);
        found.all = found.all.saturating_add(page.unpacked).saturating_add(beside);
        found.value = found.value.max(page.value());
    }
    Some(found)
}

const DICTIONARY: i64 = 2;
/// Values that share the beginning of the one before: each can be as long as all of the page.
const DELTA_BYTE_ARRAY: i64 = 7;
const DELTA_LENGTH_BYTE_ARRAY: i64 = 6;

#[derive(Default)]
struct Page {
    kind: i64,
    unpacked: u64,
    stored: u64,
    values: u64,
    encoding: i64,
}

impl Page {
    fn value(&self) -> u64 {
        let each = if self.encoding == DELTA_BYTE_ARRAY { 1 } else { self.values.max(1) };
        (self.unpacked / each).saturating_add(BESIDE)
    }

    /// What a decoder sets aside for the whole page before the first value.
    fn apart(&self) -> u64 {
        let lengths = matches!(self.encoding, DELTA_BYTE_ARRAY | DELTA_LENGTH_BYTE_ARRAY);
        if lengths { self.values.saturating_mul(BESIDE) } else { 0 }
    }
}

fn header(bytes: &mut Compact<'_>) -> Option<Page> {
    let mut page = Page::default();
    bytes.fields(|bytes, id, kind| {
        match (id, kind) {
            (1, Kind::I32) => page.kind = bytes.number()?,
            (2, Kind::I32) => page.unpacked = u64::try_from(bytes.number()?).ok()?,
            (3, Kind::I32) => page.stored = u64::try_from(bytes.number()?).ok()?,
            (5 | 8, Kind::STRUCT) => {
                let encoding = if id == 5 { 2 } else { 4 };
                bytes.fields(|bytes, inner, kind| {
                    match (inner, kind) {
                        (1, Kind::I32) => page.values = u64::try_from(bytes.number()?).ok()?,
                        (inner, Kind::I32) if inner == encoding => page.encoding = bytes.number()?,
                        _ => return Some(false),
                    }
                    Some(true)
                })?;
            }
            _ => return Some(false),
        }
        Some(true)
    })?;
    Some(page)
}
