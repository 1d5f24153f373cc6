//! Effects as the ledger keeps them: what they are as JSON, followed by an Arrow IPC stream with the rows of each table. Both
//! are written and read piece by piece, so that rows are never in memory twice.

use std::io::Read;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::effect::Effect;
use super::pieces::pieces;
use super::schema::OutputSchema;
use super::table_rows::TableRows;
use crate::dataset::{Column, Target};
use crate::object::{Location, Uploaded};

/// An effect without its rows.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// The list of a batch's objects appears.
    List(Uploaded),
    /// An uploaded object appears.
    Complete(Uploaded),
    /// The object of an earlier run disappears.
    Remove(Location),
    /// Rows appear in a table: the rows of the next stream.
    Put(Table),
}

/// The place of rows, with their schema: the dataset file may be another one by then.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Table {
    output: String,
    table: String,
    key: Vec<String>,
    columns: Vec<Column>,
    /// The rows, in what an earlier gristmill recorded: an Arrow IPC stream in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<String>,
}

impl From<&Effect> for Step {
    fn from(effect: &Effect) -> Self {
        match effect {
            Effect::List(upload) => Self::List(upload.clone()),
            Effect::Complete(upload) => Self::Complete(upload.clone()),
            Effect::Remove(at) => Self::Remove(at.clone()),
            Effect::Put(TableRows { schema, .. }) => {
                let (table, key) = match &schema.target {
                    Target::Table { table, key } => (table.clone(), key.clone()),
                    Target::Objects { .. } => Default::default(),
                };
                let (output, columns) = (schema.name.clone(), schema.columns.clone());
                Self::Put(Table { output, table, key, columns, rows: None })
            }
        }
    }
}

impl Step {
    /// The effect, with its rows from the record.
    pub(crate) fn with_rows(self, rows: &mut dyn Read) -> Result<Effect, String> {
        Ok(match self {
            Self::List(upload) => Effect::List(upload),
            Self::Complete(upload) => Effect::Complete(upload),
            Self::Remove(at) => Effect::Remove(at),
            Self::Put(Table { output, table, key, columns, rows: within }) => {
                let target = Target::Table { table, key };
                let schema = OutputSchema::new(output, columns, target).map_err(|error| error.to_string())?;
                let blocks = match within {
                    Some(text) => read(&schema, BASE64.decode(text).map_err(|error| error.to_string())?.as_slice()),
                    None => read(&schema, rows),
                };
                Effect::Put(TableRows { blocks: blocks?, schema: Arc::new(schema) })
            }
        })
    }
}

fn read(schema: &OutputSchema, rows: impl Read) -> Result<Vec<RecordBatch>, String> {
    let reader = StreamReader::try_new(rows, None).map_err(|error| error.to_string())?;
    if reader.schema() != schema.arrow {
        return Err(format!("the rows of output `{}` do not have its columns", schema.name));
    }
    reader.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// The rows of these effects as bytes, in small pieces, each made when it is asked for.
pub(crate) fn streams(effects: &[Effect]) -> impl Iterator<Item = Result<Vec<u8>, ArrowError>> + Send + use<> {
    let tables: Vec<_> =
        effects.iter().filter_map(|e| if let Effect::Put(rows) = e { Some(rows.clone()) } else { None }).collect();
    tables.into_iter().flat_map(|rows| {
        let mut writer = Some(StreamWriter::try_new(Vec::new(), &rows.schema.arrow));
        let pieces = rows.blocks.into_iter().flat_map(|block| pieces(&block, usize::MAX)).map(|(piece, _)| Some(piece));
        pieces.chain([None]).map_while(move |piece| {
            let mut open = match writer.take()? {
                Ok(open) => open,
                Err(error) => return Some(Err(error)),
            };
            let Some(piece) = piece else { return Some(open.into_inner()) };
            let written = open.write(&piece).map(|()| std::mem::take(open.get_mut()));
            writer = Some(Ok(open));
            Some(written)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{all_types, rows, table, values};
    use super::*;

    fn effect() -> (Arc<OutputSchema>, Vec<RecordBatch>, Effect) {
        let schema = Arc::new(OutputSchema::new("daily", all_types(), table(&["id", "day"])).unwrap());
        let lines = [
            r#"{"id":"a","flag":false,"count":-9007199254740993,"mean":0.1,"day":"2024-02-29"}"#,
            r#"{"id":"b","at":"2024-01-31T12:00:00.5Z","day":"1763-01-01","extra":{"z":[1,null,"é"]}}"#,
        ];
        let blocks: Vec<_> = lines.iter().map(|line| rows(&schema, line)).collect();
        let effect = Effect::Put(TableRows { schema: schema.clone(), blocks: blocks.clone() });
        (schema, blocks, effect)
    }

    #[test]
    fn rows_come_back_from_the_record_as_they_were() {
        let (schema, blocks, effect) = effect();
        // Two tables, one after the other.
        let bytes: Vec<u8> = streams(&[effect.clone(), effect.clone()]).flat_map(Result::unwrap).collect();
        let mut bytes = bytes.as_slice();
        for _ in 0..2 {
            let text = serde_json::to_string(&Step::from(&effect)).unwrap();
            let step: Step = serde_json::from_str(&text).unwrap();
            let Effect::Put(back) = step.with_rows(&mut bytes).unwrap() else { panic!("{text}") };
            assert_eq!((&back.schema.name, &back.schema.target), (&schema.name, &schema.target));
            assert_eq!((&back.schema.columns, &back.schema.arrow), (&schema.columns, &schema.arrow));
            assert_eq!(back.blocks, blocks);
            assert_eq!(values(&back.schema, &back.blocks[1])[0]["extra"]["z"][2], "é");
        }
        assert!(bytes.is_empty());
    }

    #[test]
    fn many_rows_are_made_bit_by_bit() {
        let schema = Arc::new(OutputSchema::new("daily", all_types(), table(&["id"])).unwrap());
        let lines: String = (0..5_000).map(|n| format!("{{\"id\":\"{n}{}\"}}\n", "x".repeat(1_000))).collect();
        let effect = Effect::Put(TableRows { blocks: vec![rows(&schema, &lines)], schema });
        let sizes: Vec<_> = streams(&[effect]).map(|piece| piece.unwrap().len()).collect();
        assert!(sizes.len() > 4 && sizes.iter().all(|size| *size < 2 << 20), "{sizes:?}");
    }

    #[test]
    fn what_an_earlier_gristmill_recorded_is_read() {
        let (_, blocks, effect) = effect();
        let bytes: Vec<u8> = streams(std::slice::from_ref(&effect)).flat_map(Result::unwrap).collect();
        let mut earlier = serde_json::to_value(Step::from(&effect)).unwrap();
        earlier["put"]["rows"] = BASE64.encode(bytes).into();
        let step: Step = serde_json::from_value(earlier).unwrap();
        let Effect::Put(back) = step.with_rows(&mut std::io::empty()).unwrap() else { panic!() };
        assert_eq!(back.blocks, blocks);
    }

    #[test]
    fn a_damaged_record_is_an_error() {
        let (_, _, effect) = effect();
        let whole: Vec<u8> = streams(std::slice::from_ref(&effect)).flat_map(Result::unwrap).collect();
        for (field, value) in [("columns", serde_json::json!([])), ("key", serde_json::json!(["nosuch"]))] {
            let mut record = serde_json::to_value(Step::from(&effect)).unwrap();
            record["put"][field] = value;
            let step: Step = serde_json::from_value(record).unwrap();
            assert!(step.with_rows(&mut whole.as_slice()).is_err(), "{field}");
        }
        for bytes in [&b""[..], b"AAAA", &whole[..20]] {
            assert!(Step::from(&effect).with_rows(&mut &*bytes).is_err(), "{bytes:?}");
        }
    }
}
