//! The page index of a column: where its pages lie, which rows they have, and the smallest and largest value of each.
//! (Apache Parquet, `parquet.thrift`: `OffsetIndex`, `ColumnIndex`.)

use std::ops::Range;

use super::thrift::{Compact, Kind};

/// A page with values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Where it lies in the file, with its header.
    pub(super) bytes: Range<u64>,
    /// Its rows in the row group.
    pub(super) rows: Range<u64>,
}

/// What an index says of a page's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bounds<'a> {
    /// All are null.
    Nulls,
    /// They lie between these two, in the plain encoding of their type.
    Between(&'a [u8], &'a [u8]),
}

/// The pages of a column that lies in `chunk` and has so many rows. None where the index is damaged, or says what cannot be.
pub(super) fn pages(index: &[u8], chunk: &Range<u64>, rows: u64) -> Option<Vec<Page>> {
    let mut found: Vec<Page> = Vec::new();
    Compact { rest: index }.fields(|bytes, id, kind| {
        if (id, kind) != (1, Kind::LIST) {
            return Some(false);
        }
        found = bytes.list(page)?;
        Some(true)
    })?;
    // What comes next says where a page's rows end.
    let mut end = rows;
    for page in found.iter_mut().rev() {
        page.rows.end = end;
        end = page.rows.start;
    }
    let is_first = end == 0 && !found.is_empty();
    let is_whole = found.iter().all(|page| !page.rows.is_empty() && !page.bytes.is_empty());
    let in_order = found.windows(2).all(|pair| pair[0].bytes.end <= pair[1].bytes.start);
    let starts = found.first().is_some_and(|page| chunk.start <= page.bytes.start);
    let ends = found.last().is_some_and(|page| page.bytes.end <= chunk.end);
    (is_first && is_whole && in_order && starts && ends).then_some(found)
}

fn page(bytes: &mut Compact<'_>) -> Option<Page> {
    let (mut start, mut length, mut row) = (None, None, None);
    bytes.fields(|bytes, id, kind| {
        let to = match (id, kind) {
            (1, Kind::I64) => &mut start,
            (2, Kind::I32) => &mut length,
            (3, Kind::I64) => &mut row,
            _ => return Some(false),
        };
        *to = Some(u64::try_from(bytes.number()?).ok()?);
        Some(true)
    })?;
    let (start, row) = (start?, row?);
    Some(Page { bytes: start..start.checked_add(length?)?, rows: row..row })
}

/// What is in each page. None where the index is damaged.
pub(super) fn bounds(index: &[u8]) -> Option<Vec<Bounds<'_>>> {
    let (mut nulls, mut least, mut most) = (Vec::new(), Vec::new(), Vec::new());
    Compact { rest: index }.fields(|bytes, id, kind| {
        match (id, kind) {
            (1, Kind::LIST) => nulls = bytes.list(Compact::boolean)?,
            (2, Kind::LIST) => least = bytes.list(Compact::binary)?,
            (3, Kind::LIST) => most = bytes.list(Compact::binary)?,
            _ => return Some(false),
        }
        Some(true)
    })?;
    if nulls.len() != least.len() || nulls.len() != most.len() {
        return None;
    }
    let each = nulls.into_iter().zip(least).zip(most);
    let of_page = each.map(|((is_null, min), max)| match is_null {
        false => Some(Bounds::Between(min, max)),
        true => (min.is_empty() && max.is_empty()).then_some(Bounds::Nulls),
    });
    of_page.collect()
}

#[cfg(test)]
mod tests {
    use parquet::file::metadata::OffsetIndexBuilder;
    use proptest::prelude::*;

    use super::*;

    /// An index as the format has it, of pages with so many rows and bytes each.
    fn encoded(pages: &[(u8, u8)]) -> Vec<u8> {
        let zigzag = |number: u64| {
            let (mut rest, mut bytes) = (number << 1, Vec::new());
            while rest > 0x7f {
                bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
            bytes
        };
        let mut bytes = vec![0x19, 0xfc, pages.len() as u8];
        let (mut place, mut row) = (4, 0);
        for (rows, length) in pages {
            let numbers = [(0x16, place), (0x15, u64::from(*length)), (0x16, row)];
            bytes.extend(numbers.into_iter().flat_map(|(header, number)| [vec![header], zigzag(number)].concat()));
            bytes.push(0);
            (place, row) = (place + u64::from(*length), row + u64::from(*rows));
        }
        bytes.push(0);
        bytes
    }

    proptest! {
        #[test]
        fn pages_are_those_that_parquet_s_own_library_finds(of in prop::collection::vec((1_u8.., 1_u8..), 1..100)) {
            let index = encoded(&of);
            let rows = of.iter().map(|(rows, _)| u64::from(*rows)).sum();
            let found = pages(&index, &(4..1 << 20), rows).unwrap();
            let mut expected = OffsetIndexBuilder::new();
            for page in &found {
                expected.append_row_count((page.rows.end - page.rows.start) as i64);
                expected.append_offset_and_size(page.bytes.start as i64, (page.bytes.end - page.bytes.start) as i32);
            }
            let theirs = parquet::file::page_index::index_reader::decode_offset_index(&index).unwrap();
            prop_assert_eq!(&expected.build(), &theirs);
            // Less room, or fewer rows, than the index speaks of.
            let (first, last) = (&found[0], &found[found.len() - 1]);
            prop_assert_eq!(pages(&index, &(5..1 << 20), rows), None);
            prop_assert_eq!(pages(&index, &(first.bytes.start..last.bytes.end - 1), rows), None);
            prop_assert_eq!(pages(&index, &(4..1 << 20), last.rows.start), None);
            for end in 0..index.len() {
                prop_assert_eq!(pages(&index[..end], &(4..1 << 20), rows), None);
            }
        }
    }

    #[test]
    fn an_index_without_one_entry_for_each_page_says_nothing() {
        let index = |nulls: &[u8]| {
            let lists: [&[u8]; 3] = [nulls, &[0x19, 0x28, 1, 7, 0], &[0x19, 0x28, 1, 9, 0]];
            [&lists.concat()[..], &[0]].concat()
        };
        let both = index(&[0x19, 0x21, 2, 1]);
        assert_eq!(bounds(&both), Some(vec![Bounds::Between(&[7], &[9]), Bounds::Nulls]));
        assert_eq!(bounds(&index(&[0x19, 0x11, 2])), None);
        assert_eq!(bounds(&index(&[0x19, 0x21, 1, 1])), None);
    }
}
