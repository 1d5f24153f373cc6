//! Which folder each row belongs to.

use std::collections::HashMap;

use arrow::array::{RecordBatch, UInt32Array};

use super::cells::{self, Cell, Cells};
use super::error::SinkError;
use super::keys::BadKey;
use super::place::append_folder;
use super::schema::OutputSchema;
use super::values;
use crate::dataset::{Layout, MAX_FILE_NAME, Part, PartitionBy, Target};
use crate::object::MAX_KEY_BYTES;

/// The most folders that a batch's rows of one output may be divided over. Each is an object at least, and what is recorded of
/// a batch before it becomes visible names all of them.
const MAX_PARTITIONS: usize = 100_000;

/// What a batch's object is called, at most: 64 characters of its execution's name, `-`, 12 digits, a number, and an ending.
const OBJECT_NAME: usize = 64 + 1 + 12 + ".99999999".len() + ".jsonl.zst".len();

/// One thing that divides rows.
struct Divider {
    /// The folder's name before `=`.
    name: String,
    column: usize,
    part: Part,
}

/// The folders of a batch's rows, numbered in the order in which rows first need them.
pub(super) struct Partitions {
    dividers: Vec<Divider>,
    /// A row's values as bytes, and the number of its folder.
    known: HashMap<Vec<u8>, u32>,
    /// Other values may have the same folder: a null, and the text that stands for it.
    by_folder: HashMap<String, u32>,
    folders: Vec<String>,
}

impl Partitions {
    /// None yet.
    pub(super) fn new(schema: &OutputSchema, layout: &Layout) -> Self {
        let (known, by_folder, folders) = Default::default();
        Self { dividers: dividers(schema, layout), known, by_folder, folders }
    }

    /// The number of each row's folder.
    pub(super) fn of(&mut self, cells: &Cells<'_>) -> Result<UInt32Array, SinkError> {
        let (mut before, mut key) = (None, Vec::new());
        let mut numbers = Vec::with_capacity(cells.rows());
        for row in 0..cells.rows() {
            key.clear();
            for divider in &self.dividers {
                append_key(&mut key, divider.part, cells.get(row, divider.column));
            }
            // Most rows have the folder of the row before.
            let number = match &before {
                Some((same, number)) if *same == key => *number,
                _ => self.number(&key, cells, row)?,
            };
            numbers.push(number);
            if let Some((last, last_number)) = &mut before {
                std::mem::swap(last, &mut key);
                *last_number = number;
            } else {
                before = Some((key.clone(), number));
            }
        }
        Ok(numbers.into())
    }

    /// The folder of this number, with a `/` behind each of its parts.
    pub(super) fn folder(&self, number: u32) -> &str {
        self.folders.get(number as usize).map_or("", String::as_str)
    }

    fn number(&mut self, key: &[u8], cells: &Cells<'_>, row: usize) -> Result<u32, SinkError> {
        if let Some(number) = self.known.get(key) {
            return Ok(*number);
        }
        let mut folder = String::new();
        for divider in &self.dividers {
            let value = value(divider.part, cells.get(row, divider.column));
            append_folder(&mut folder, &divider.name, value.as_deref());
        }
        let next = self.folders.len();
        let number = *self.by_folder.entry(folder).or_insert_with_key(|folder| {
            self.folders.push(folder.clone());
            u32::try_from(next).unwrap_or(u32::MAX)
        });
        if self.folders.len() > MAX_PARTITIONS {
            return Err(SinkError::Refused(format!(
                "the rows of a batch are divided over more than {MAX_PARTITIONS} folders: lower `max_items_per_batch`, or \
                 divide them by something with fewer values"
            )));
        }
        self.known.insert(key.to_vec(), number);
        Ok(number)
    }
}

/// Refuses rows whose folder no store could hold. The sentence names the row, counted from 1 over all blocks, and the column.
pub(crate) fn check(schema: &OutputSchema, blocks: &[RecordBatch]) -> Result<(), BadKey> {
    let Target::Objects { prefix, layout, .. } = &schema.target else { return Ok(()) };
    let dividers = dividers(schema, layout);
    if dividers.is_empty() {
        return Ok(());
    }
    let taken = prefix.fixed().map_or(0, |prefix| prefix.key.len()) + OBJECT_NAME;
    let (mut before, mut folder) = (0, String::new());
    for block in blocks {
        let cells = Cells::of(schema, block).map_err(|error| BadKey::new(error.to_string()))?;
        for row in 0..cells.rows() {
            // Each character of a text may become three; all else is short.
            let most = |divider: &Divider| match cells.get(row, divider.column) {
                Cell::Text(text) => 3 * (divider.name.len() + text.len()) + 2,
                _ => 3 * divider.name.len() + 32,
            };
            let longest: usize = dividers.iter().map(most).sum();
            if longest <= MAX_FILE_NAME && taken + longest <= MAX_KEY_BYTES {
                continue;
            }
            let mut whole = taken;
            for divider in &dividers {
                folder.clear();
                append_folder(
                    &mut folder,
                    &divider.name,
                    value(divider.part, cells.get(row, divider.column)).as_deref(),
                );
                whole += folder.len();
                if folder.len() - 1 > MAX_FILE_NAME {
                    return Err(BadKey::new(format!(
                        "row {}: the value of `{}` makes a folder's name of {} bytes; it has at most {MAX_FILE_NAME}",
                        before + row + 1,
                        schema.columns[divider.column].name,
                        folder.len() - 1
                    )));
                }
            }
            if whole > MAX_KEY_BYTES {
                return Err(BadKey::new(format!(
                    "row {}: its folders make an object's key of up to {whole} bytes; it has at most {MAX_KEY_BYTES} (Amazon S3)",
                    before + row + 1
                )));
            }
        }
        before += cells.rows();
    }
    Ok(())
}

fn dividers(schema: &OutputSchema, layout: &Layout) -> Vec<Divider> {
    let divider = |by: &PartitionBy| {
        let column = schema.columns.iter().position(|column| column.name == by.column)?;
        Some(Divider { name: by.name().to_owned(), column, part: by.part })
    };
    layout.partition_by.iter().filter_map(divider).collect()
}

/// The part of the value in a unit of its own, so that values of one folder have the same bytes and others have not.
fn append_key(into: &mut Vec<u8>, part: Part, cell: Cell<'_>) {
    let mut number = |number: i64| {
        into.push(1);
        into.extend_from_slice(&number.to_le_bytes());
    };
    match cell {
        Cell::Null => into.push(0),
        Cell::Boolean(value) => number(value.into()),
        Cell::Int64(value) => number(value),
        Cell::Text(text) | Cell::Json(text) => {
            into.push(2);
            into.extend_from_slice(&(text.len() as u64).to_le_bytes());
            into.extend_from_slice(text.as_bytes());
        }
        Cell::Date(days) if part == Part::Whole => number(days.into()),
        Cell::Date(_) | Cell::Timestamp(_) => match moment(part, cell) {
            Some(part) => number(part.into()),
            None => into.push(0),
        },
        Cell::Float64(value) => number(i64::from_ne_bytes(value.to_ne_bytes())),
    }
}

/// What stands in the path.
fn value(part: Part, cell: Cell<'_>) -> Option<String> {
    match (part, cell) {
        (_, Cell::Null) => None,
        (Part::Whole, Cell::Boolean(value)) => Some(value.to_string()),
        (Part::Whole, Cell::Int64(value)) => Some(value.to_string()),
        (Part::Whole, Cell::Float64(value)) => Some(value.to_string()),
        (Part::Whole, Cell::Text(text) | Cell::Json(text)) => Some(text.to_owned()),
        (Part::Whole, Cell::Date(days)) => Some(cells::date(days)),
        (Part::Whole, Cell::Timestamp(micros)) => Some(cells::timestamp(micros)),
        (Part::Year, cell) => moment(part, cell).map(|year| format!("{year:04}")),
        (Part::Month | Part::Day | Part::Hour, cell) => moment(part, cell).map(|part| format!("{part:02}")),
    }
}

fn moment(part: Part, cell: Cell<'_>) -> Option<i32> {
    let (days, hour) = match cell {
        Cell::Date(days) => (days, 0),
        Cell::Timestamp(micros) => values::day_and_hour(micros),
        _ => return None,
    };
    let (year, month, day) = values::calendar(days)?;
    Some(match part {
        Part::Year => year,
        Part::Month => month.into(),
        Part::Day => day.into(),
        Part::Hour => hour.into(),
        Part::Whole => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{PARQUET, all_types, laid_out, rows};
    use super::*;

    fn schema(partition_by: &[&str]) -> (OutputSchema, Layout) {
        let partition_by = partition_by.iter().map(|text| text.parse().unwrap()).collect();
        let layout = Layout { partition_by, ..Layout::default() };
        (OutputSchema::new("daily", all_types(), laid_out(PARQUET, layout.clone())).unwrap(), layout)
    }

    /// The folder of each of these rows.
    fn folders(partition_by: &[&str], lines: &str) -> Vec<String> {
        let (schema, layout) = schema(partition_by);
        let mut partitions = Partitions::new(&schema, &layout);
        let block = rows(&schema, lines);
        let numbers = partitions.of(&Cells::of(&schema, &block).unwrap()).unwrap();
        numbers.values().iter().map(|number| partitions.folder(*number).to_owned()).collect()
    }

    #[test]
    fn each_row_has_the_folder_of_its_values() {
        let lines = [
            r#"{"id":"a/b=c","flag":true,"count":-3,"day":"0099-12-31"}"#,
            r#"{"id":"","day":"2024-02-29"}"#,
            r#"{"id":"é +%2B","flag":false,"count":7}"#,
        ];
        assert_eq!(
            folders(&["id", "flag", "count", "day"], &lines.join("\n")),
            [
                "id=a%2Fb%3Dc/flag=true/count=-3/day=0099-12-31/",
                "id=__HIVE_DEFAULT_PARTITION__/flag=__HIVE_DEFAULT_PARTITION__/count=__HIVE_DEFAULT_PARTITION__/day=2024-02-29/",
                "id=é +%252B/flag=false/count=7/day=__HIVE_DEFAULT_PARTITION__/",
            ]
        );
    }

    #[test]
    fn parts_of_an_instant_are_utc_and_padded() {
        let lines = [
            r#"{"id":"a","at":"2024-03-01T00:30:00+01:00"}"#,
            r#"{"id":"a","at":"1969-12-31T23:59:59.999999Z"}"#,
            r#"{"id":"a","at":"0001-01-01T00:00:00Z"}"#,
            r#"{"id":"a"}"#,
        ];
        let null = ["year", "month", "hour"].map(|name| format!("{name}=__HIVE_DEFAULT_PARTITION__/")).concat();
        assert_eq!(
            folders(&["year(at)", "month(at)", "hour(at)"], &lines.join("\n")),
            ["year=2024/month=02/hour=23/", "year=1969/month=12/hour=23/", "year=0001/month=01/hour=00/", &null]
        );
        assert_eq!(folders(&["month(day)"], r#"{"id":"a","day":"1600-02-09"}"#), ["month=02/"]);
    }

    #[test]
    fn a_value_that_reads_like_no_value_shares_its_folder() {
        let (schema, layout) = schema(&["id"]);
        let mut partitions = Partitions::new(&schema, &layout);
        let block = rows(&schema, "{\"id\":\"\"}\n{\"id\":\"__HIVE_DEFAULT_PARTITION__\"}\n{\"id\":\"b\"}");
        let numbers = partitions.of(&Cells::of(&schema, &block).unwrap()).unwrap();
        assert_eq!(numbers.values(), &[0, 0, 1]);
    }

    #[test]
    fn what_no_store_could_hold_is_refused() {
        let (one, _) = schema(&["id"]);
        let check = |schema: &OutputSchema, texts: &[String]| {
            let lines =
                texts.iter().map(|text| serde_json::json!({"id": text, "day": "2024-01-01"}).to_string() + "\n");
            check(schema, &[rows(schema, &lines.collect::<String>())]).map_err(|error| error.to_string())
        };
        assert_eq!(check(&one, &["x".repeat(252), "é".repeat(126)]), Ok(()));
        for text in ["x".repeat(253), "=".repeat(85), "é".repeat(1024)] {
            let error = check(&one, &["a".into(), text]).unwrap_err();
            assert!(error.starts_with("row 2: the value of `id` makes a folder's name of "), "{error}");
        }
        // Each may be short enough, and all together too long.
        let prefix = format!("s3://results/{}/", "p/".repeat(340)).parse().unwrap();
        let layout = Layout { partition_by: vec!["id".parse().unwrap()], ..Layout::default() };
        let deep =
            OutputSchema::new("daily", all_types(), Target::Objects { prefix, format: PARQUET, layout }).unwrap();
        assert_eq!(check(&deep, &["x".repeat(200)]), Ok(()));
        assert!(
            check(&deep, &["x".repeat(252)])
                .unwrap_err()
                .starts_with("row 1: its folders make an object's key of up to ")
        );
    }

    #[test]
    fn there_are_not_too_many() {
        let (schema, layout) = schema(&["count"]);
        let mut partitions = Partitions::new(&schema, &layout);
        let mut of = |range: std::ops::Range<usize>| {
            let lines: String = range.map(|n| format!("{{\"id\":\"a\",\"count\":{n}}}\n")).collect();
            let block = rows(&schema, &lines);
            partitions.of(&Cells::of(&schema, &block).unwrap()).map(|numbers| numbers.len())
        };
        assert_eq!(of(0..MAX_PARTITIONS), Ok(MAX_PARTITIONS));
        assert!(
            matches!(of(0..MAX_PARTITIONS + 1), Err(SinkError::Refused(why)) if why.contains("max_items_per_batch"))
        );
    }

    proptest! {
        #[test]
        fn rows_share_a_number_if_and_only_if_they_share_a_folder(
            values in prop::collection::vec((prop::option::of(-1_i64..2), "[ab]{0,2}"), 1..40),
            cut in 0_usize..40,
        ) {
            let (schema, layout) = schema(&["count", "id"]);
            let mut partitions = Partitions::new(&schema, &layout);
            let line = |(count, id): &(Option<i64>, String)| serde_json::json!({"count": count, "id": id}).to_string() + "\n";
            let lines: Vec<String> = values.iter().map(line).collect();
            let (first, second) = lines.split_at(cut.min(lines.len()));
            let mut numbers = Vec::new();
            for lines in [first, second] {
                let block = rows(&schema, &lines.concat());
                numbers.extend_from_slice(partitions.of(&Cells::of(&schema, &block).unwrap()).unwrap().values());
            }
            for (one, first) in values.iter().zip(&numbers) {
                for (other, second) in values.iter().zip(&numbers) {
                    prop_assert_eq!(one == other, first == second, "{:?} {:?}", one, other);
                }
            }
        }
    }
}
