//! Two versions of one item, row by row. Pure.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::comparison::{Comparison, Difference, MAX_DIFFERENCES, Rows, SchemaChange, Subject, short};
use super::ran::Ran;
use crate::catalog::DatasetVersion;
use crate::job::{Item, item_name};
use crate::runtime::ItemFault;
use crate::sink::{OutputSchema, RowTexts, SinkError};

/// What differs between the outputs of two versions, whatever the items.
pub fn schema_changes(old: &DatasetVersion, new: &DatasetVersion) -> BTreeSet<SchemaChange> {
    changes(&old.outputs, &new.outputs)
}

fn changes(old: &[Arc<OutputSchema>], new: &[Arc<OutputSchema>]) -> BTreeSet<SchemaChange> {
    let mut changes = BTreeSet::new();
    for was in old {
        let output = was.name.clone();
        let Some(is) = named(new, &output) else {
            changes.insert(SchemaChange::OutputRemoved { output });
            continue;
        };
        for column in &was.columns {
            let (output, name) = (output.clone(), column.name.clone());
            match is.columns.iter().find(|other| other.name == name) {
                None => _ = changes.insert(SchemaChange::ColumnRemoved { output, column: name }),
                Some(other) if other.kind != column.kind => {
                    let (old, new) = (column.kind.name().into(), other.kind.name().into());
                    changes.insert(SchemaChange::ColumnType { output, column: name, old, new });
                }
                Some(_) => {}
            }
        }
        for column in is.columns.iter().filter(|column| was.columns.iter().all(|other| other.name != column.name)) {
            changes.insert(SchemaChange::ColumnAdded { output: output.clone(), column: column.name.clone() });
        }
        let (old, new) = (key_names(was).join(", "), key_names(is).join(", "));
        if old != new {
            changes.insert(SchemaChange::Key { output, old, new });
        }
    }
    for is in new.iter().filter(|is| named(old, &is.name).is_none()) {
        changes.insert(SchemaChange::OutputAdded { output: is.name.clone() });
    }
    changes
}

fn named<'a>(outputs: &'a [Arc<OutputSchema>], name: &str) -> Option<&'a Arc<OutputSchema>> {
    outputs.iter().find(|output| output.name == name)
}

fn key_names(schema: &OutputSchema) -> Vec<&str> {
    schema.key().into_iter().map(|column| schema.columns[column].name.as_str()).collect()
}

/// Adds an item that both versions ran.
pub fn add(
    comparison: &mut Comparison,
    item: &Item,
    (old, was): (&[Arc<OutputSchema>], Ran),
    (new, is): (&[Arc<OutputSchema>], Ran),
) {
    comparison.items += 1;
    comparison.memory.old = comparison.memory.old.max(was.memory);
    comparison.memory.new = comparison.memory.new.max(is.memory);
    let mut found =
        Found { item, room: MAX_DIFFERENCES.saturating_sub(comparison.first.len()), differences: Vec::new() };
    let outcome =
        |found: &mut Found<'_>, was: &Result<Option<String>, ItemFault>, is: &Result<Option<String>, ItemFault>| {
            found.note(Subject::Outcome, || (Some(told(was)), Some(told(is))));
        };
    match (&was.result, &is.result) {
        (Err(before), Err(after)) if before.code == after.code => comparison.same += 1,
        (Err(_), Err(_)) => {
            comparison.changed += 1;
            outcome(&mut found, &was.result, &is.result);
        }
        (Ok(_), Err(_)) => {
            comparison.newly_failing += 1;
            outcome(&mut found, &was.result, &is.result);
        }
        (Err(_), Ok(_)) => {
            comparison.newly_succeeding += 1;
            outcome(&mut found, &was.result, &is.result);
        }
        (Ok(before), Ok(after)) => {
            comparison.time.add(was.took, is.took);
            let mut equal = before == after;
            if !equal {
                found.note(Subject::Result, || (before.as_deref().map(short), after.as_deref().map(short)));
            }
            let names: BTreeSet<&str> = old.iter().chain(new).map(|output| output.name.as_str()).collect();
            for output in names {
                let (before, after) = (Side::of(old, &was.rows, output), Side::of(new, &is.rows, output));
                let rows = match (before, after) {
                    (Ok(before), Ok(after)) => compare(&before, &after, output, &mut found),
                    // Rows that were decoded have their output's columns.
                    (Err(error), _) | (_, Err(error)) => {
                        found.note(Subject::Outcome, || (None, Some(short(&error.to_string()))));
                        Rows { changed: 1, ..Rows::default() }
                    }
                };
                equal &= rows.is_equal();
                comparison.rows.entry(output.to_owned()).or_default().add(rows);
            }
            if equal { comparison.same += 1 } else { comparison.changed += 1 }
        }
    }
    let differences = found.differences;
    comparison.first.extend(differences);
    comparison.first.sort();
}

/// What an item is called in a difference.
fn name_of(item: &Item) -> Option<String> {
    item_name(&item.body).map(|name| short(&name))
}

fn told(result: &Result<Option<String>, ItemFault>) -> String {
    match result {
        Ok(_) => "succeeded".into(),
        Err(fault) => short(&format!("{}: {}", fault.code, fault.message)),
    }
}

/// The differences of one item, as many as there is room for.
struct Found<'a> {
    item: &'a Item,
    room: usize,
    differences: Vec<Difference>,
}

impl Found<'_> {
    fn note(&mut self, subject: Subject, values: impl FnOnce() -> (Option<String>, Option<String>)) {
        if self.differences.len() < self.room {
            let (old, new) = values();
            let item = u64::from(self.item.index);
            self.differences.push(Difference { item, name: name_of(self.item), subject, old, new });
        }
    }
}

/// The rows of one output in one version. There is no schema if the version does not have the output.
struct Side<'a> {
    schema: Option<&'a OutputSchema>,
    blocks: Vec<&'a RecordBatch>,
    rows: Option<RowTexts<'a>>,
}

impl<'a> Side<'a> {
    fn of(outputs: &'a [Arc<OutputSchema>], rows: &'a [(usize, RecordBatch)], name: &str) -> Result<Self, SinkError> {
        let Some(number) = outputs.iter().position(|output| output.name == name) else {
            return Ok(Self { schema: None, blocks: Vec::new(), rows: None });
        };
        let blocks: Vec<_> = rows.iter().filter(|(to, _)| *to == number).map(|(_, rows)| rows).collect();
        let rows = Some(RowTexts::of(&outputs[number], blocks.iter().copied())?);
        Ok(Self { schema: Some(&outputs[number]), blocks, rows })
    }

    fn len(&self) -> usize {
        self.rows.as_ref().map_or(0, RowTexts::rows)
    }

    fn value(&self, row: usize, column: usize) -> String {
        self.rows.as_ref().map(|rows| rows.value(row, column)).unwrap_or_default()
    }

    fn key(&self, row: usize) -> Option<String> {
        let schema = self.schema?;
        let key = schema.key();
        let part = |column: usize| format!("{} = {}", schema.columns[column].name, self.value(row, column));
        (!key.is_empty()).then(|| key.into_iter().map(part).collect::<Vec<_>>().join(", "))
    }

    /// What a row is called.
    fn call(&self, row: usize) -> String {
        self.key(row).map_or_else(|| format!("row {}", row + 1), |key| short(&key))
    }

    /// The whole row.
    fn show(&self, row: usize) -> String {
        let columns = self.schema.map_or(&[][..], |schema| &schema.columns);
        let field = |(at, column): (usize, &crate::dataset::Column)| {
            format!("{}:{}", serde_json::Value::from(column.name.as_str()), self.value(row, at))
        };
        short(&format!("{{{}}}", columns.iter().enumerate().map(field).collect::<Vec<_>>().join(",")))
    }
}

/// The columns that both versions have with the same type: name, and place in each.
fn common<'a>(old: &Side<'a>, new: &Side<'a>) -> Vec<(&'a str, usize, usize)> {
    let (Some(old), Some(new)) = (old.schema, new.schema) else { return Vec::new() };
    let place = |(at, column): (usize, &'a crate::dataset::Column)| {
        let same = |other: &crate::dataset::Column| other.name == column.name && other.kind == column.kind;
        Some((column.name.as_str(), at, new.columns.iter().position(same)?))
    };
    old.columns.iter().enumerate().filter_map(place).collect()
}

fn compare(old: &Side<'_>, new: &Side<'_>, output: &str, found: &mut Found<'_>) -> Rows {
    // Mostly nothing differs, and blocks are compared much faster than values.
    if old.schema.map(|schema| &schema.columns) == new.schema.map(|schema| &schema.columns) && old.blocks == new.blocks
    {
        return Rows { same: old.len() as u64, ..Rows::default() };
    }
    let columns = common(old, new);
    let by_key = match (old.schema, new.schema) {
        (Some(was), Some(is)) => {
            let in_common = |name: &&str| columns.iter().any(|(column, ..)| column == name);
            let (was, is) = (key_names(was), key_names(is));
            !was.is_empty() && was == is && was.iter().all(in_common)
        }
        _ => false,
    };
    let mut of_key: HashMap<String, usize> = HashMap::new();
    if by_key {
        of_key.extend((0..new.len()).filter_map(|row| Some((new.key(row)?, row))));
    }
    let mut met = vec![false; new.len()];
    let mut rows = Rows::default();
    let subject = |side: &Side<'_>, row: usize, column: Option<&str>| Subject::Row {
        output: short(output),
        key: side.call(row),
        column: column.map(short),
    };
    for row in 0..old.len() {
        let there = if by_key { old.key(row).and_then(|key| of_key.get(&key).copied()) } else { Some(row) };
        let Some(there) = there.filter(|there| *there < new.len()) else {
            rows.removed += 1;
            found.note(subject(old, row, None), || (Some(old.show(row)), None));
            continue;
        };
        met[there] = true;
        let mut equal = true;
        for (column, before, after) in &columns {
            let (was, is) = (old.value(row, *before), new.value(there, *after));
            if was != is {
                equal = false;
                found.note(subject(old, row, Some(column)), || (Some(short(&was)), Some(short(&is))));
            }
        }
        if equal { rows.same += 1 } else { rows.changed += 1 }
    }
    for row in (0..new.len()).filter(|row| !met[*row]) {
        rows.added += 1;
        found.note(subject(new, row, None), || (None, Some(new.show(row))));
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::dataset::{Column, ColumnType, Format, Layout, Target, TextCompression};
    use crate::job::FailureKind;
    use crate::sink::rows::{Rows as Block, decode};

    fn output(name: &str, columns: &[(&str, ColumnType)], key: &[&str]) -> Arc<OutputSchema> {
        let column = |(name, kind): &(&str, ColumnType)| Column { name: (*name).into(), kind: *kind, nullable: true };
        let target = match key {
            [] => {
                let format = Format::Csv(TextCompression::None);
                Target::Objects { prefix: "s3://b/p/".parse().unwrap(), format, layout: Layout::default() }
            }
            key => Target::Table { table: "t".into(), key: key.iter().map(|name| (*name).into()).collect() },
        };
        Arc::new(OutputSchema::new(name, columns.iter().map(column).collect(), target).unwrap())
    }

    fn id_and_n(key: &[&str]) -> Vec<Arc<OutputSchema>> {
        vec![output("o", &[("id", ColumnType::Text), ("n", ColumnType::Int64)], key)]
    }

    fn ran(outputs: &[Arc<OutputSchema>], lines: &[&str], value: Option<&str>) -> Ran {
        let decoded = |line: &&str| decode(&outputs[0], Block::JsonLines(line.as_bytes())).unwrap();
        Ran {
            result: Ok(value.map(str::to_owned)),
            rows: lines.iter().map(|line| (0, decoded(line))).collect(),
            took: Duration::from_millis(1),
            memory: 1 << 16,
        }
    }

    fn failed(code: &str) -> Ran {
        let fault = ItemFault { code: code.into(), message: "no header".into(), kind: FailureKind::Rejected };
        Ran { result: Err(fault), rows: Vec::new(), took: Duration::from_millis(1), memory: 2 << 16 }
    }

    fn item(index: u32) -> Item {
        Item { index, body: format!("{{\"Key\":\"k{index}\"}}").into() }
    }

    fn of(index: u32, old: (&[Arc<OutputSchema>], Ran), new: (&[Arc<OutputSchema>], Ran)) -> Comparison {
        let mut comparison = Comparison { schema: changes(old.0, new.0), ..Comparison::default() };
        add(&mut comparison, &item(index), old, new);
        comparison
    }

    const A1: &str = r#"{"id":"a","n":1}"#;
    const A2: &str = r#"{"id":"a","n":2}"#;
    const B1: &str = r#"{"id":"b","n":1}"#;
    const C1: &str = r#"{"id":"c","n":1}"#;

    #[test]
    fn rows_are_found_by_their_key_and_else_by_their_place() {
        let counts = |key: &[&str]| {
            let outputs = id_and_n(key);
            of(0, (&outputs, ran(&outputs, &[A1, B1], None)), (&outputs, ran(&outputs, &[C1, B1, A2], None))).rows["o"]
        };
        assert_eq!(counts(&["id"]), Rows { added: 1, removed: 0, changed: 1, same: 1 });
        assert_eq!(counts(&[]), Rows { added: 1, removed: 0, changed: 1, same: 1 });
        let outputs = id_and_n(&["id"]);
        let turned = of(0, (&outputs, ran(&outputs, &[A1, B1], None)), (&outputs, ran(&outputs, &[B1, A1], None)));
        assert!(turned.is_equal());
        let outputs = id_and_n(&[]);
        let turned = of(0, (&outputs, ran(&outputs, &[A1, B1], None)), (&outputs, ran(&outputs, &[B1, A1], None)));
        assert_eq!(turned.rows["o"].changed, 2);
    }

    #[test]
    fn how_rows_were_cut_into_blocks_makes_no_difference() {
        for key in [&[][..], &["id"]] {
            let outputs = id_and_n(key);
            let whole = format!("{A1}\n{B1}");
            let found = of(0, (&outputs, ran(&outputs, &[A1, B1], None)), (&outputs, ran(&outputs, &[&whole], None)));
            assert!(found.is_equal() && found.rows["o"].same == 2, "{found:?}");
        }
    }

    #[test]
    fn a_difference_of_outputs_is_named_once_and_what_both_have_is_compared() {
        let old = id_and_n(&["id"]);
        let columns = [("id", ColumnType::Text), ("n", ColumnType::Float64), ("more", ColumnType::Text)];
        let new = vec![output("o", &columns, &["id"]), output("p", &columns, &[])];
        let found = of(0, (&old, ran(&old, &[A1], None)), (&new, ran(&new, &[r#"{"id":"a","n":7,"more":"x"}"#], None)));
        assert_eq!(found.rows["o"], Rows { same: 1, ..Rows::default() });
        assert!(!found.is_equal());
        let names: Vec<_> = found.schema.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["p is new", "o has a new column `more`", "o: column `n` was int64, is float64"]);
        let back = changes(&new, &old);
        let names: Vec<_> = back.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["p is no more", "o has no column `more` any more", "o: column `n` was float64, is int64"]);
        let keyless = changes(&old, &id_and_n(&[]));
        assert_eq!(keyless.iter().map(ToString::to_string).collect::<Vec<_>>(), ["o had the key id, has no key"]);
    }

    #[test]
    fn an_item_is_counted_by_what_became_of_it() {
        let outputs = id_and_n(&["id"]);
        let good = || ran(&outputs, &[A1], Some("1"));
        let counts = |old, new| {
            let found = of(0, (&outputs, old), (&outputs, new));
            assert_eq!(found.is_equal(), found.same == 1);
            assert_eq!(found.first.is_empty(), found.same == 1);
            [found.same, found.changed, found.newly_failing, found.newly_succeeding]
        };
        assert_eq!(counts(good(), good()), [1, 0, 0, 0]);
        assert_eq!(counts(good(), ran(&outputs, &[A1], Some("2"))), [0, 1, 0, 0]);
        assert_eq!(counts(good(), ran(&outputs, &[A1], None)), [0, 1, 0, 0]);
        assert_eq!(counts(good(), failed("Bad")), [0, 0, 1, 0]);
        assert_eq!(counts(failed("Bad"), good()), [0, 0, 0, 1]);
        assert_eq!(counts(failed("Bad"), failed("Bad")), [1, 0, 0, 0]);
        assert_eq!(counts(failed("Bad"), failed("Worse")), [0, 1, 0, 0]);
    }

    #[test]
    fn it_reads_well() {
        let (old, mut columns) = (id_and_n(&["id"]), vec![("id", ColumnType::Text), ("n", ColumnType::Int64)]);
        columns.push(("more", ColumnType::Text));
        let new = vec![output("o", &columns, &["id"])];
        let good = |outputs, lines, value| ran(outputs, lines, value);
        let found = [
            of(0, (&old, good(&old, &[A1], None)), (&new, good(&new, &[A1], None))),
            of(1, (&old, good(&old, &[A1, B1], Some("1"))), (&new, good(&new, &[A2, C1], Some("2")))),
            of(2, (&old, good(&old, &[A1], None)), (&new, failed("Bad"))),
            of(3, (&old, failed("Bad")), (&new, failed("Worse"))),
            Comparison { undecided: 1, ..Comparison::default() },
        ];
        let found = found.into_iter().fold(Comparison::default(), Comparison::merge);
        insta::assert_snapshot!(found, @r#"
        items      4: 1 the same, 2 changed, 1 newly failing
        undecided  1: a store did not answer
        outputs    o has a new column `more`
        rows       o: 1 the same, 1 changed, 1 added, 1 removed
        time       0.002 s before, 0.002 s after; of one item 1.00 times (median)
        memory     128.0 KiB before, 128.0 KiB after, at most
        item 1 (k1)
          the returned value: 1 → 2
          o: id = "a": n: 1 → 2
          o: id = "b": removed {"id":"b","n":1}
          o: id = "c": added {"id":"c","n":1,"more":null}
        item 2 (k2)
          succeeded → Bad: no header
        item 3 (k3)
          Bad: no header → Worse: no header
        "#);
    }

    proptest! {
        #[test]
        fn every_row_is_counted_once(
            old in prop::collection::btree_map("[a-f]", 0_i64..3, 0..6),
            new in prop::collection::btree_map("[a-f]", 0_i64..3, 0..6),
            keyed in any::<bool>(),
        ) {
            let outputs = id_and_n(if keyed { &["id"] } else { &[] });
            let lines = |rows: &std::collections::BTreeMap<String, i64>| -> Vec<String> {
                rows.iter().map(|(id, n)| format!("{{\"id\":\"{id}\",\"n\":{n}}}")).collect()
            };
            let (before, after) = (lines(&old), lines(&new));
            let borrowed = |lines: &[String]| ran(&outputs, &lines.iter().map(String::as_str).collect::<Vec<_>>(), None);
            let found = of(0, (&outputs, borrowed(&before)), (&outputs, borrowed(&after)));
            let rows = found.rows["o"];
            prop_assert_eq!(rows.same + rows.changed + rows.removed, old.len() as u64);
            prop_assert_eq!(rows.same + rows.changed + rows.added, new.len() as u64);
            prop_assert_eq!(found.is_equal(), old == new);
            if keyed {
                let same = old.iter().filter(|(id, n)| new.get(*id) == Some(n)).count();
                prop_assert_eq!(rows.same, same as u64);
            }
        }
    }
}
