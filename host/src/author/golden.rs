//! The rows that a sample is known to give: a file of JSON lines per output, `golden/OUTPUT.jsonl` beside the dataset file.

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;

use super::error::AuthorError;
use super::sdk::write;
use super::trial::{Checked, Flaw, Outcome};
use crate::files;
use crate::job::Item;
use crate::rollout::compare::{Comparison, Ran, add_item};
use crate::sink::rows::{Rows, decode};
use crate::sink::{OutputSchema, RowTexts, SinkError};

/// The largest golden file, in bytes: as much as an output may emit at once.
const MAX_GOLDEN: u64 = 64 << 20;

/// How many differences of an output are shown.
const SHOWN: usize = 10;

/// The folder of the golden files.
pub struct Golden(PathBuf);

impl Golden {
    /// That of the plugin in a folder.
    pub fn of(plugin: &Path) -> Self {
        Self(plugin.join("golden"))
    }

    /// Compares the rows of all items with what each output's file has.
    pub fn check(&self, outputs: &[Arc<OutputSchema>], outcomes: &[Outcome]) -> Result<Vec<Checked>, AuthorError> {
        let mut checked = Vec::new();
        for (number, output) in outputs.iter().enumerate() {
            let file = self.file(output);
            let now = blocks(outcomes, number);
            let rows: usize = now.iter().map(RecordBatch::num_rows).sum();
            let flaw = match files::read(&file, MAX_GOLDEN) {
                Ok(text) => differs(output, &text, now, &file),
                Err(error) if error.kind() == ErrorKind::NotFound && rows == 0 => None,
                Err(error) if error.kind() == ErrorKind::NotFound => Some(Flaw {
                    message: format!("{} is not there, and there are rows ({rows})", file.display()),
                    help: "look at the rows, and keep them with `gristmill plugin test --bless`".into(),
                }),
                Err(source) => return Err(AuthorError::File { path: file, source }),
            };
            checked.push(Checked::of("golden rows", &output.name, flaw));
        }
        Ok(checked)
    }

    /// Keeps the rows of all items, and gives the files that this changed.
    pub fn bless(&self, outputs: &[Arc<OutputSchema>], outcomes: &[Outcome]) -> Result<Vec<PathBuf>, AuthorError> {
        let mut changed = Vec::new();
        for (number, output) in outputs.iter().enumerate() {
            let file = self.file(output);
            let lines = lines(output, &blocks(outcomes, number));
            let lines = lines.map_err(|error| AuthorError::Refused(error.to_string()))?;
            if fs::read_to_string(&file).is_ok_and(|before| before == lines) || (lines.is_empty() && !file.exists()) {
                continue;
            }
            write(&file, lines)?;
            changed.push(file);
        }
        Ok(changed)
    }

    fn file(&self, output: &OutputSchema) -> PathBuf {
        self.0.join(format!("{}.jsonl", output.name))
    }
}

/// The rows that all items emitted to an output.
fn blocks(outcomes: &[Outcome], output: usize) -> Vec<RecordBatch> {
    let rows = outcomes.iter().flat_map(|outcome| &outcome.ran.rows);
    rows.filter(|(to, _)| *to == output).map(|(_, rows)| rows.clone()).collect()
}

/// Rows as JSON lines, with their columns in the output's order.
pub(super) fn lines(output: &OutputSchema, blocks: &[RecordBatch]) -> Result<String, SinkError> {
    let rows = RowTexts::of(output, blocks)?;
    let mut text = String::new();
    for row in 0..rows.rows() {
        let fields = output.columns.iter().enumerate();
        let fields: Vec<String> = fields
            .map(|(at, column)| format!("{}:{}", serde_json::Value::from(column.name.as_str()), rows.value(row, at)))
            .collect();
        let _ = writeln!(text, "{{{}}}", fields.join(","));
    }
    Ok(text)
}

/// What differs between a golden file and the rows of now: by the output's key, or else by their place.
fn differs(output: &Arc<OutputSchema>, golden: &[u8], now: Vec<RecordBatch>, file: &Path) -> Option<Flaw> {
    let known = match golden {
        b"" => Vec::new(),
        _ => match decode(output, Rows::JsonLines(golden)) {
            Ok(rows) => vec![rows],
            Err(error) => {
                return Some(Flaw {
                    message: format!("{} has no rows of this output: {error}", file.display()),
                    help: "if the output's columns are what they should be, keep the new rows with `--bless`".into(),
                });
            }
        },
    };
    let mut comparison = Comparison::default();
    let sample = Item { index: 0, body: "null".into() };
    let outputs = std::slice::from_ref(output);
    add_item(&mut comparison, &sample, (outputs, all(known)), (outputs, all(now)));
    if comparison.is_equal() {
        return None;
    }
    let mut message = String::new();
    if let Some(rows) = comparison.rows.get(&output.name) {
        let _ = write!(
            message,
            "{} rows changed, {} added, {} removed, {} the same",
            rows.changed, rows.added, rows.removed, rows.same
        );
    }
    for difference in comparison.first.iter().take(SHOWN) {
        let _ = write!(message, "\n{difference}");
    }
    if comparison.first.len() > SHOWN {
        message += "\n...";
    }
    Some(Flaw { message, help: "golden → now. If now is right, keep it with `gristmill plugin test --bless`".into() })
}

/// All rows of an output as those of one item.
fn all(blocks: Vec<RecordBatch>) -> Ran {
    Ran { result: Ok(None), rows: blocks.into_iter().map(|rows| (0, rows)).collect(), took: Duration::ZERO, memory: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Column, ColumnType, Target};

    fn output() -> Arc<OutputSchema> {
        let column = |name: &str, kind| Column { name: name.into(), kind, nullable: true };
        let columns = vec![column("id", ColumnType::Text), column("n", ColumnType::Int64)];
        let target = Target::Table { table: "t".into(), key: vec!["id".into()] };
        Arc::new(OutputSchema::new("o", columns, target).unwrap())
    }

    fn outcome(rows: &str) -> Vec<Outcome> {
        let block = decode(&output(), Rows::JsonLines(rows.as_bytes())).unwrap();
        let mut ran = all(vec![block]);
        ran.rows[0].0 = 0;
        vec![Outcome { name: "x".into(), item: Item { index: 0, body: "null".into() }, ran }]
    }

    fn flaw(golden: &Golden, rows: &str) -> Option<Flaw> {
        golden.check(&[output()], &outcome(rows)).unwrap().remove(0).flaw
    }

    #[test]
    fn what_was_blessed_is_right_until_a_row_changes() {
        let plugin = tempfile::tempdir().unwrap();
        let golden = Golden::of(plugin.path());
        let rows = "{\"id\":\"a\",\"n\":1}\n{\"id\":\"b\",\"n\":2}\n";
        assert!(flaw(&golden, rows).unwrap().message.contains("is not there, and there are rows (2)"));
        assert_eq!(golden.bless(&[output()], &outcome(rows)).unwrap().len(), 1);
        assert_eq!(golden.bless(&[output()], &outcome(rows)).unwrap().len(), 0);
        assert_eq!(fs::read_to_string(plugin.path().join("golden/o.jsonl")).unwrap(), rows);
        assert_eq!(flaw(&golden, rows), None);
        assert_eq!(flaw(&golden, "{\"id\":\"b\",\"n\":2}\n{\"id\":\"a\",\"n\":1}\n"), None, "a table has no order");
        insta::assert_snapshot!(flaw(&golden, "{\"id\":\"b\",\"n\":3}\n{\"id\":\"c\",\"n\":1}\n").unwrap().message, @r#"
        1 rows changed, 1 added, 1 removed, 0 the same
        o: id = "a": removed {"id":"a","n":1}
        o: id = "b": n: 2 → 3
        o: id = "c": added {"id":"c","n":1}
        "#);
    }
}
