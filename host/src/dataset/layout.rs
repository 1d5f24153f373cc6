//! How the rows of an output are laid out over objects: which of them lie together, in what order, and how large a file becomes.

use std::str::FromStr;

use super::findings::{Complaint, nearest, quoted};
use super::{Column, ColumnType};

/// How a batch's rows are laid out. Without anything of this they are one object, in the items' order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// What divides the rows: each combination of values has a folder of its own, named as Apache Hive names it.
    pub partition_by: Vec<PartitionBy>,
    /// What rows are sorted by within a file.
    pub sort_by: Vec<SortBy>,
    /// About how many bytes a file has before another one is begun.
    pub file_size: Option<u64>,
    /// About how many bytes of memory the rows of a Parquet row group take.
    pub row_group_size: Option<u64>,
}

/// A column whose values divide the rows, or a part of them: `region`, `year(at)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionBy {
    /// The column.
    pub column: String,
    /// What of it.
    pub part: Part,
}

/// What of a column's value divides rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The value itself. It stands in the path, and so it leaves the file, as in every table of Hive's.
    Whole,
    /// The year in UTC, with four digits.
    Year,
    /// The month in UTC, with two digits.
    Month,
    /// The day of the month in UTC, with two digits.
    Day,
    /// The hour in UTC, with two digits.
    Hour,
}

/// A column that rows are sorted by: `device`, `at desc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortBy {
    /// The column.
    pub column: String,
    /// Whether the largest value comes first. A null is less than every value.
    pub descending: bool,
}

const PARTS: [(&str, Part); 4] =
    [("year", Part::Year), ("month", Part::Month), ("day", Part::Day), ("hour", Part::Hour)];

impl Layout {
    /// Whether the rows are one object in the items' order.
    pub fn is_plain(&self) -> bool {
        self.partition_by.is_empty() && self.sort_by.is_empty() && self.file_size.is_none()
    }

    /// Whether the objects of a batch follow from its name alone. Otherwise they follow from its rows, too.
    pub fn has_one_file(&self) -> bool {
        self.partition_by.is_empty() && self.file_size.is_none()
    }

    /// Whether the column's values stand in paths and not in files.
    pub fn leaves_out(&self, column: &str) -> bool {
        self.partition_by.iter().any(|by| by.column == column && by.part == Part::Whole)
    }

    /// The key of the dataset file and what is wrong, where these columns cannot be laid out so.
    pub(crate) fn complaints(&self, columns: &[Column]) -> Vec<(&'static str, Complaint)> {
        let partitions = self
            .partition_by
            .iter()
            .enumerate()
            .filter_map(|(n, by)| self.partition(n, by, columns).map(|complaint| ("partition_by", complaint)));
        let sorts = self.sort_by.iter().filter_map(|by| self.sort(by, columns).map(|complaint| ("sort_by", complaint)));
        let mut complaints: Vec<_> = partitions.chain(sorts).collect();
        if !columns.is_empty() && columns.iter().all(|column| self.leaves_out(&column.name)) {
            let help = "a column whose values stand in the path is not in the file as well".to_owned();
            complaints.push(("partition_by", ("no column would be left for the files".into(), Some(help))));
        }
        complaints
    }

    fn partition(&self, n: usize, by: &PartitionBy, columns: &[Column]) -> Option<Complaint> {
        let name = by.name();
        if self.partition_by[..n].iter().any(|before| before.name() == name) {
            return Some((format!("two folders would be called `{name}=`"), None));
        }
        if name.starts_with(['_', '.']) {
            let help = "readers of tables leave out what begins so: give the column another name".to_owned();
            return Some((format!("nobody would read a folder `{name}=`"), Some(help)));
        }
        let column = match found(&by.column, columns) {
            Ok(column) => column,
            Err(complaint) => return Some(complaint),
        };
        let kinds: &[&str] = match (by.part, column.kind) {
            (Part::Whole, ColumnType::Text | ColumnType::Int64 | ColumnType::Boolean | ColumnType::Date)
            | (Part::Year | Part::Month | Part::Day | Part::Hour, ColumnType::Timestamp)
            | (Part::Year | Part::Month | Part::Day, ColumnType::Date) => &[],
            (Part::Whole, ColumnType::Timestamp) => {
                let help = format!("take parts of it: `year({0})`, `month({0})`, `day({0})`, `hour({0})`", by.column);
                return Some((format!("each instant of `{}` would be a folder of its own", by.column), Some(help)));
            }
            (Part::Whole, _) => &["text", "int64", "boolean", "date"],
            (Part::Hour, _) => &["timestamp"],
            _ => &["timestamp", "date"],
        };
        if !kinds.is_empty() {
            let help = format!("such a column is of type {}", quoted(kinds));
            let message = format!("`{}` is of type `{}` and cannot divide rows so", by.column, column.kind.name());
            return Some((message, Some(help)));
        }
        // A reader of Hive's tables finds two columns of one name.
        let hidden = by.part != Part::Whole && columns.iter().any(|column| column.name == name);
        (hidden && !self.leaves_out(name)).then(|| {
            let help = "readers would find both, in the path and in the file: give the column another name".to_owned();
            (format!("the folder `{name}=` has the name of a column"), Some(help))
        })
    }

    fn sort(&self, by: &SortBy, columns: &[Column]) -> Option<Complaint> {
        let column = match found(&by.column, columns) {
            Ok(column) => column,
            Err(complaint) => return Some(complaint),
        };
        if self.leaves_out(&by.column) {
            return Some((format!("`{}` is the same in all rows of a file", by.column), None));
        }
        (column.kind == ColumnType::Json).then(|| (format!("`{}` is JSON, which has no order", by.column), None))
    }
}

impl PartitionBy {
    /// The name of the folder before `=`.
    pub fn name(&self) -> &str {
        let part = PARTS.iter().find(|(_, part)| *part == self.part);
        part.map_or(self.column.as_str(), |(name, _)| name)
    }
}

fn found<'a>(name: &str, columns: &'a [Column]) -> Result<&'a Column, Complaint> {
    columns.iter().find(|column| column.name == name).ok_or_else(|| {
        let help = nearest(name, columns.iter().map(|column| column.name.as_str()));
        (format!("`{name}` is not among the columns"), help)
    })
}

impl FromStr for PartitionBy {
    type Err = Complaint;

    /// Reads `column` or `part(column)`. A column whose own name has parentheses cannot be named so.
    fn from_str(text: &str) -> Result<Self, Complaint> {
        let Some((part, rest)) = text.split_once('(') else {
            return match text.trim() {
                "" => Err(("a name is empty".into(), None)),
                column => Ok(Self { column: column.into(), part: Part::Whole }),
            };
        };
        let (part, column) = (part.trim(), rest.trim().strip_suffix(')').map(str::trim));
        let known = PARTS.iter().find(|(name, _)| *name == part);
        match (known, column) {
            (Some((_, part)), Some(column)) if !column.is_empty() => Ok(Self { column: column.into(), part: *part }),
            (None, Some(_)) => {
                let help = format!("parts of a column: {}", quoted(&PARTS.map(|(name, _)| name)));
                Err((format!("`{part}` is no part of a day or an instant"), Some(help)))
            }
            _ => Err((format!("`{text}` is neither a column nor a part of one"), Some("write `year(column)`".into()))),
        }
    }
}

impl FromStr for SortBy {
    type Err = Complaint;

    /// Reads `column`, `column asc` or `column desc`.
    fn from_str(text: &str) -> Result<Self, Complaint> {
        let text = text.trim();
        let (column, descending) = match text.rsplit_once(char::is_whitespace) {
            Some((column, "desc")) => (column.trim_end(), true),
            Some((column, "asc")) => (column.trim_end(), false),
            _ => (text, false),
        };
        match column {
            "" => Err(("a name is empty".into(), None)),
            column => Ok(Self { column: column.into(), descending }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: ColumnType) -> Column {
        Column { name: name.into(), kind, nullable: true }
    }

    fn columns() -> Vec<Column> {
        vec![
            column("region", ColumnType::Text),
            column("at", ColumnType::Timestamp),
            column("born", ColumnType::Date),
            column("mean", ColumnType::Float64),
            column("extra", ColumnType::Json),
        ]
    }

    fn layout(partition_by: &[&str], sort_by: &[&str]) -> Layout {
        Layout {
            partition_by: partition_by.iter().map(|text| text.parse().unwrap()).collect(),
            sort_by: sort_by.iter().map(|text| text.parse().unwrap()).collect(),
            ..Layout::default()
        }
    }

    fn complaints(partition_by: &[&str], sort_by: &[&str], columns: &[Column]) -> Vec<String> {
        let said = layout(partition_by, sort_by).complaints(columns);
        said.into_iter().map(|(key, (message, _))| format!("{key}: {message}")).collect()
    }

    #[test]
    fn what_divides_rows_is_a_column_or_a_part_of_one() {
        let read = |text: &str| text.parse::<PartitionBy>().map(|by| (by.name().to_owned(), by.column, by.part));
        assert_eq!(read("region"), Ok(("region".into(), "region".into(), Part::Whole)));
        assert_eq!(read(" hour( at ) "), Ok(("hour".into(), "at".into(), Part::Hour)));
        for (text, message) in [
            ("", "a name is empty"),
            ("week(at)", "`week` is no part of a day or an instant"),
            ("year(at", "`year(at` is neither a column nor a part of one"),
            ("year()", "`year()` is neither a column nor a part of one"),
        ] {
            assert_eq!(read(text).unwrap_err().0, message);
        }
    }

    #[test]
    fn an_order_may_be_turned_round() {
        let read = |text: &str| text.parse::<SortBy>().map(|by| (by.column, by.descending));
        assert_eq!(read("at"), Ok(("at".into(), false)));
        assert_eq!(read("at  desc"), Ok(("at".into(), true)));
        assert_eq!(read("first name asc"), Ok(("first name".into(), false)));
        assert_eq!(read("first name"), Ok(("first name".into(), false)));
        assert!(read(" ").is_err());
    }

    #[test]
    fn what_fits_has_no_complaints() {
        let partition_by = ["region", "year(at)", "month(at)", "day(at)", "hour(at)"];
        assert_eq!(complaints(&partition_by, &["at desc", "mean"], &columns()), <[String; 0]>::default());
        assert_eq!(complaints(&["born"], &[], &columns()), <[String; 0]>::default());
    }

    #[test]
    fn what_does_not_fit_is_said() {
        for (partition_by, sort_by, said) in [
            (&["regoin"][..], &[][..], "partition_by: `regoin` is not among the columns"),
            (&["at"], &[], "partition_by: each instant of `at` would be a folder of its own"),
            (&["mean"], &[], "partition_by: `mean` is of type `float64` and cannot divide rows so"),
            (&["hour(born)"], &[], "partition_by: `born` is of type `date` and cannot divide rows so"),
            (&["year(region)"], &[], "partition_by: `region` is of type `text` and cannot divide rows so"),
            (&["year(at)", "year(born)"], &[], "partition_by: two folders would be called `year=`"),
            (&["region"], &["region"], "sort_by: `region` is the same in all rows of a file"),
            (&[], &["extra"], "sort_by: `extra` is JSON, which has no order"),
            (&[], &["att"], "sort_by: `att` is not among the columns"),
        ] {
            assert_eq!(complaints(partition_by, sort_by, &columns()), [said]);
        }
        let year = [column("year", ColumnType::Int64), column("at", ColumnType::Timestamp)];
        assert_eq!(
            complaints(&["year(at)"], &[], &year),
            ["partition_by: the folder `year=` has the name of a column"]
        );
        let hidden = [column("_day", ColumnType::Text), column("at", ColumnType::Timestamp)];
        assert_eq!(complaints(&["_day"], &[], &hidden), ["partition_by: nobody would read a folder `_day=`"]);
        let one = [column("region", ColumnType::Text)];
        assert_eq!(complaints(&["region"], &[], &one), ["partition_by: no column would be left for the files"]);
    }
}
