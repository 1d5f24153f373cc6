//! Which rows of a row group may meet the conditions, by its page indexes and Bloom filters. Neither is needed to read it: what is
//! damaged or too large is passed over.

use std::ops::Range;

use bytes::Bytes;
use parquet::bloom_filter::Sbbf;

use super::super::source::Source;
use super::index::{self, Page};
use super::part::Part;
use super::prune::Prunable;
use crate::object::ObjectError;

/// The most bytes of a row group's page indexes that are looked at, and of its Bloom filters.
const INDEXES: u64 = 256 << 10;
const FILTERS: u64 = 1 << 20;
/// What looking at them takes, at most: each of a page's few bytes becomes some words, and a filter is there twice.
pub(super) const MEMORY: u64 = 8 << 20;
/// Row groups with less to read are read at once, unless the indexes are there already: asking for these takes a request.
const WORTH: u64 = 1 << 20;

/// What is to be read of a row group.
pub(super) enum Selected {
    All,
    Nothing,
    Pages(Selection),
}

/// Some of the rows, and the pages that have them.
pub(super) struct Selection {
    /// In order, and apart from each other.
    pub(super) rows: Vec<Range<u64>>,
    /// All pages of each of the columns that are read, by the number of the leaf.
    pub(super) columns: Vec<(usize, Vec<Page>)>,
}

impl Selection {
    /// Whether one of these rows is wanted.
    pub(super) fn wants(&self, rows: &Range<u64>) -> bool {
        let next = self.rows.partition_point(|wanted| wanted.end <= rows.start);
        self.rows.get(next).is_some_and(|wanted| wanted.start < rows.end)
    }
}

/// Looks at the indexes of a row group whose columns, those that are read, lie in these ranges.
pub(super) async fn select(
    source: &mut Source,
    part: &Part<'_>,
    chunks: &[(usize, Range<u64>)],
    conditions: &[Prunable],
) -> Result<Selected, ObjectError> {
    let group = part.metadata.metadata().row_group(part.groups.start);
    let Ok(rows) = u64::try_from(group.num_rows()) else { return Ok(Selected::All) };
    let Indexes { filters, values, pages } = Indexes::of(part, chunks, conditions);
    let has_values = values.iter().any(|range| !range.is_empty());
    let wanted = [filters, values, pages].concat();
    let stored: u64 = chunks.iter().map(|(_, chunk)| chunk.end - chunk.start).sum();
    let are_there = wanted.iter().all(|range| source.has(range));
    let lie_within = wanted.iter().all(|range| range.end <= source.object.size);
    if wanted.iter().all(Range::is_empty) || !lie_within || !(are_there || stored > WORTH) {
        return Ok(Selected::All);
    }
    let fetched = source.read_all(&wanted).await?;
    let (filters, rest) = fetched.split_at(conditions.len());
    let (values, pages) = rest.split_at(conditions.len());
    let is_absent = |(condition, filter): (&Prunable, &Bytes)| {
        !filter.is_empty() && source.calmly(|| Ok(lacks(condition, filter))).unwrap_or(false)
    };
    if conditions.iter().zip(filters).any(is_absent) {
        return Ok(Selected::Nothing);
    }
    if !has_values {
        return Ok(Selected::All);
    }
    let columns = chunks.iter().zip(pages).map(|((leaf, chunk), index)| {
        let pages = index::pages(index, chunk, rows)?;
        // What lies before the first page is a dictionary, or nobody knows what.
        let has_dictionary = group.column(*leaf).dictionary_page_offset().is_some();
        let is_known = has_dictionary || pages.first().is_some_and(|page| page.bytes.start == chunk.start);
        is_known.then_some((*leaf, pages))
    });
    let Some(columns) = columns.collect::<Option<Vec<_>>>() else { return Ok(Selected::All) };
    let mut kept = joined(std::iter::once(0..rows));
    for (condition, index) in conditions.iter().zip(values).filter(|(_, index)| !index.is_empty()) {
        let of_leaf = columns.iter().find(|(leaf, _)| *leaf == condition.leaf);
        let (Some((_, pages)), Some(bounds)) = (of_leaf, index::bounds(index)) else { continue };
        if pages.len() == bounds.len() {
            let may = pages.iter().zip(bounds).filter(|(_, bounds)| condition.in_page(*bounds));
            kept = both(&kept, &joined(may.map(|(page, _)| page.rows.clone())));
        }
    }
    Ok(match &kept[..] {
        [] => Selected::Nothing,
        [all] if *all == (0..rows) => Selected::All,
        _ => Selected::Pages(Selection { rows: kept, columns }),
    })
}

/// Where the indexes lie; an empty range stands for one that is not there, or not to be used.
struct Indexes {
    /// For each condition, the Bloom filter of its column.
    filters: Vec<Range<u64>>,
    /// For each condition, what is in the pages of its column.
    values: Vec<Range<u64>>,
    /// For each column that is read, where its pages lie.
    pages: Vec<Range<u64>>,
}

impl Indexes {
    fn of(part: &Part<'_>, chunks: &[(usize, Range<u64>)], conditions: &[Prunable]) -> Self {
        let group = part.metadata.metadata().row_group(part.groups.start);
        let filter = |condition: &Prunable| {
            let column = group.column(condition.leaf);
            condition
                .is_for_bloom()
                .then(|| range(column.bloom_filter_offset(), column.bloom_filter_length()))
                .flatten()
        };
        let values = |condition: &Prunable| {
            let column = group.column(condition.leaf);
            range(column.column_index_offset(), column.column_index_length()).filter(|_| condition.is_ordered)
        };
        let pages = |(leaf, _): &(usize, Range<u64>)| {
            let root = part.metadata.parquet_schema().get_column_root_idx(*leaf);
            let is_flat = !part.metadata.schema().field(root).data_type().is_nested();
            let column = group.column(*leaf);
            range(column.offset_index_offset(), column.offset_index_length()).filter(|_| is_flat)
        };
        let all =
            |ranges: &mut dyn Iterator<Item = Option<Range<u64>>>| ranges.map(Option::unwrap_or_default).collect();
        let mut found = Self {
            filters: all(&mut conditions.iter().map(filter)),
            values: all(&mut conditions.iter().map(values)),
            pages: all(&mut chunks.iter().map(pages)),
        };
        if bytes(&found.filters) > FILTERS {
            found.filters.fill(0..0);
        }
        let is_complete = found.pages.iter().all(|range| !range.is_empty());
        if !is_complete || bytes(&found.values).saturating_add(bytes(&found.pages)) > INDEXES {
            found.values.fill(0..0);
        }
        if found.values.iter().all(Range::is_empty) {
            found.pages.fill(0..0);
        }
        found
    }
}

/// Whether a Bloom filter says that the value is not there.
fn lacks(condition: &Prunable, filter: &[u8]) -> bool {
    let filter = Sbbf::from_bytes(filter).ok().filter(|filter| filter.num_blocks() > 0);
    filter.is_some_and(|filter| !condition.in_bloom(&filter))
}

fn range(offset: Option<i64>, length: Option<i32>) -> Option<Range<u64>> {
    let (start, length) = (u64::try_from(offset?).ok()?, u64::try_from(length?).ok()?);
    Some(start..start.checked_add(length)?)
}

fn bytes(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).fold(0, u64::saturating_add)
}

/// Ranges in order, those that touch each other as one.
fn joined(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut all = Vec::<Range<u64>>::new();
    for range in ranges {
        match all.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => all.push(range),
        }
    }
    all
}

/// What is in both, each of which is in order.
fn both(some: &[Range<u64>], others: &[Range<u64>]) -> Vec<Range<u64>> {
    let (mut all, mut place) = (Vec::new(), 0);
    for range in some {
        while others.get(place).is_some_and(|other| other.end <= range.start) {
            place += 1;
        }
        let overlapping = others[place..].iter().take_while(|other| other.start < range.end);
        all.extend(overlapping.map(|other| range.start.max(other.start)..range.end.min(other.end)));
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(bits: &[bool]) -> Vec<Range<u64>> {
        joined((0..).zip(bits).filter(|(_, is_set)| **is_set).map(|(place, _)| place..place + 1))
    }

    proptest! {
        #[test]
        fn rows_are_wanted_that_all_conditions_want(bits in prop::collection::vec(any::<(bool, bool)>(), 0..50), from in 0_u64..50, length in 1_u64..9) {
            let (some, others): (Vec<_>, Vec<_>) = bits.iter().copied().unzip();
            let expected: Vec<_> = bits.iter().map(|(one, other)| *one && *other).collect();
            let rows = both(&ranges(&some), &ranges(&others));
            prop_assert_eq!(joined(rows.iter().cloned()), ranges(&expected));
            let wanted = (from..from + length).any(|row| expected.get(row as usize) == Some(&true));
            prop_assert_eq!(Selection { rows, columns: Vec::new() }.wants(&(from..from + length)), wanted);
        }
    }
}
