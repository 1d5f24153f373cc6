//! Stage 2: all rows of one point, in the order of their times, each time once.

use serde::Serialize;

use crate::extract::Row;

/// The values of an image at the point.
type Values = [Option<f64>; 2];

/// The rows of a point, as they come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    rows: Vec<(String, Values)>,
}

/// What is said of a point in the batch's report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Point {
    /// The files that were read.
    pub files: usize,
    /// The rows that are left.
    pub rows: usize,
    /// The rows whose time came again later, and which do not count.
    pub repeated: usize,
    /// Those of them whose values were others.
    pub differed: usize,
}

impl Series {
    /// Adds a row. Files come in the item's order.
    pub fn push(&mut self, time: &str, total: Option<f64>, diffuse: Option<f64>) {
        self.rows.push((time.to_owned(), [total, diffuse]));
    }

    /// Sorts the rows. Of those with one time, the last that came counts: a day that was extracted again is in a later file.
    #[must_use]
    pub fn finish(mut self, files: usize) -> (Self, Point) {
        let came = self.rows.len();
        self.rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        let bits = |values: Values| values.map(|value| value.map(f64::to_bits));
        let mut differed = 0;
        // What is kept is the earlier one of the two, so it takes over the later one's values.
        self.rows.dedup_by(|(later, values), (time, kept)| {
            let again = later == time;
            if again {
                differed += usize::from(bits(*values) != bits(*kept));
                *kept = *values;
            }
            again
        });
        let rows = self.rows.len();
        (self, Point { files, rows, repeated: came - rows, differed })
    }

    /// The rows.
    pub fn rows(&self, point_id: i64) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(move |(time, [total, diffuse])| Row { time, point_id, total: *total, diffuse: *diffuse })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_series_is_what_a_map_from_time_to_the_last_values_is(
            rows in prop::collection::vec((0_u8..20, prop::option::of(-2_i8..3), prop::option::of(0_i8..3)), 0..60),
        ) {
            let mut series = Series::default();
            let mut expected = BTreeMap::new();
            let mut differed = 0;
            for (time, total, diffuse) in rows.iter().copied() {
                let (time, values) = (format!("2018-01-01T00:{time:02}:00Z"), [total, diffuse].map(|v| v.map(f64::from)));
                series.push(&time, values[0], values[1]);
                let before = expected.insert(time, values);
                differed += usize::from(before.is_some_and(|before| before != values));
            }
            let (series, said) = series.finish(3);
            let found: Vec<_> = series.rows(7).map(|row| (row.time.to_owned(), [row.total, row.diffuse])).collect();
            prop_assert!(series.rows(7).all(|row| row.point_id == 7));
            let repeated = rows.len() - expected.len();
            prop_assert_eq!(said, Point { files: 3, rows: expected.len(), repeated, differed });
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
