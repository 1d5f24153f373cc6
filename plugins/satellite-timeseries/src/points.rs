//! The points of the grid whose values are wanted.

use std::collections::HashSet;

use gristmill_plugin::Failure;
use gristmill_plugin::csv::{Reader, Source};

/// Points, of which no two have one id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Points {
    /// Their ids, ...
    pub ids: Vec<i64>,
    /// ... and their rows and columns.
    pub cells: Vec<[u64; 2]>,
}

impl Points {
    /// Points whose places are their ids.
    ///
    /// # Errors
    /// `NoPoints`, `PointOutside`
    pub fn here(cells: &[[u64; 2]], grid: [u64; 2]) -> Result<Self, Failure> {
        let ids = (0..cells.len()).map(|number| number as i64).collect();
        Self { ids, cells: cells.to_vec() }.within(grid)
    }

    /// The points of a CSV with the columns `point_id`, `row` and `column`.
    ///
    /// # Errors
    /// `NoPoints`, `PointOutside`, `PointTwice`, and what is wrong with the CSV.
    pub fn of(csv: &mut Reader<impl Source>, grid: [u64; 2]) -> Result<Self, Failure> {
        let columns = [csv.column("point_id")?, csv.column("row")?, csv.column("column")?];
        let mut points = Self::default();
        let mut seen = HashSet::new();
        while let Some(record) = csv.read()? {
            let [id, row, column] = columns.map(|column| record.int64(column));
            let (id, cell) = (id?, [row?, column?]);
            if !seen.insert(id) {
                return Err(Failure::reject(
                    "PointTwice",
                    format!("the point {id} is there twice, line {}", record.line()),
                ));
            }
            points.ids.push(id);
            // Less than nothing is outside, too.
            points.cells.push(cell.map(|place| u64::try_from(place).unwrap_or(u64::MAX)));
        }
        points.within(grid)
    }

    fn within(self, grid: [u64; 2]) -> Result<Self, Failure> {
        if self.ids.is_empty() {
            return Err(Failure::reject("NoPoints", "there are no points: give some in the setting `points`"));
        }
        let [rows, columns] = grid;
        let outside = self.cells.iter().position(|[row, column]| *row >= rows || *column >= columns);
        match outside {
            None => Ok(self),
            Some(number) => {
                let (id, [row, column]) = (self.ids[number], self.cells[number].map(|place| place.cast_signed()));
                let why =
                    format!("point {id} at row {row}, column {column} lies outside the grid of {rows} x {columns}");
                Err(Failure::reject("PointOutside", why))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gristmill_plugin::csv::Memory;
    use proptest::prelude::*;

    use super::*;

    fn csv(text: &str) -> Result<Points, Failure> {
        Points::of(&mut Reader::new(Memory::new("s3://b/points.csv", [text]))?, [10, 20])
    }

    proptest! {
        #[test]
        fn points_of_a_csv_are_those_that_were_written(cells in prop::collection::vec([0_u64..10, 0_u64..20], 1..30)) {
            let rows = cells.iter().enumerate().map(|(id, [row, column])| format!("{column},{row},{id}\n"));
            let text = format!("column,row,point_id\n{}", rows.collect::<String>());
            prop_assert_eq!(csv(&text).unwrap(), Points::here(&cells, [10, 20]).unwrap());
        }
    }

    #[test]
    fn points_that_cannot_be_read_are_refused() {
        let said = |rows: &str| csv(&format!("point_id,row,column\n{rows}")).unwrap_err().to_string();
        assert_eq!(said(""), "NoPoints: there are no points: give some in the setting `points`");
        assert_eq!(said("7,1,2\n7,3,4\n"), "PointTwice: the point 7 is there twice, line 3");
        assert_eq!(said("7,10,2\n"), "PointOutside: point 7 at row 10, column 2 lies outside the grid of 10 x 20");
        assert!(said("7,0,-1\n").starts_with("PointOutside: point 7 at row 0, column -1 lies"));
        assert!(Points::here(&[[9, 20]], [10, 20]).is_err());
    }
}
