//! What makes a batch's rows visible, as data: prepared by one process, and carried out by it or by any other that finds the
//! record in the ledger.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::cells::Cells;
use super::digest::RowsDigest;
use super::{Ours, OutputSchema, SinkError, TableSink, Written};
use crate::dataset::{Column, Target};
use crate::object::{Location, ObjectError, ObjectWriter, Uploaded};

/// One step that is seen from outside. Carrying it out again changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// An uploaded object appears.
    Complete(Uploaded),
    /// There are no rows, so there is no object: the one of an earlier run disappears.
    Remove(Location),
    /// Rows appear in a table.
    Put(TableRows),
}

/// Rows of a table, in the order of the items.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Record", into = "Record")]
pub struct TableRows {
    /// The table, its key and its columns.
    pub schema: Arc<OutputSchema>,
    /// The rows, with the schema's Arrow schema.
    pub blocks: Vec<RecordBatch>,
}

impl Effect {
    /// Carries it out, as long as the batch is ours.
    pub async fn apply(
        &self,
        objects: &dyn ObjectWriter,
        tables: &dyn TableSink,
        ours: Ours<'_>,
    ) -> Result<(), SinkError> {
        match self {
            Self::Put(rows) => tables.put(rows, ours).await,
            Self::Complete(upload) => {
                ours.still()?;
                objects.complete(upload).await.map_err(object_error)
            }
            Self::Remove(at) => {
                ours.still()?;
                objects.delete(at).await.map_err(object_error)
            }
        }
    }

    /// Whether rows of a table appear. An object is replaced whole by whatever a later run makes of its batch; a row that the
    /// later run does not have stays.
    pub fn puts_rows(&self) -> bool {
        matches!(self, Self::Put(_))
    }
}

impl TableRows {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.blocks.iter().all(|block| block.num_rows() == 0)
    }

    /// What the table will hold of it, for the report.
    pub(super) fn measure(&self) -> Result<Written, SinkError> {
        let mut digest = RowsDigest::new(&self.schema);
        self.cells()?.iter().for_each(|cells| digest.add_cells(cells));
        let place = match &self.schema.target {
            Target::Table { table, .. } => format!("table:{table}"),
            Target::Objects { prefix, .. } => prefix.to_string(),
        };
        let (output, rows, bytes) = (self.schema.name.clone(), digest.rows(), digest.bytes());
        Ok(Written { output, place, rows, bytes, digest: Some(digest.finish()) })
    }

    pub(super) fn cells(&self) -> Result<Vec<Cells<'_>>, SinkError> {
        self.blocks.iter().map(|block| Cells::of(&self.schema, block)).collect()
    }
}

/// Which of a sink's errors a store's error is. The sentence names the object already.
pub(super) fn object_error(error: ObjectError) -> SinkError {
    match error {
        ObjectError::Unavailable(_) | ObjectError::Changed(_) => SinkError::Unavailable(error.to_string()),
        ObjectError::Gone(_) => SinkError::Gone(error.to_string()),
        ObjectError::NotFound(_) | ObjectError::Denied(_) | ObjectError::Invalid(_) | ObjectError::TooLarge(_) => {
            SinkError::Refused(error.to_string())
        }
    }
}

/// Rows as the ledger keeps them. They bring their schema along: the dataset file may be another one by then.
#[derive(Serialize, Deserialize)]
struct Record {
    output: String,
    table: String,
    key: Vec<String>,
    columns: Vec<Column>,
    /// An Arrow IPC stream in base64.
    rows: String,
}

impl From<TableRows> for Record {
    fn from(TableRows { schema, blocks }: TableRows) -> Self {
        let (table, key) = match &schema.target {
            Target::Table { table, key } => (table.clone(), key.clone()),
            Target::Objects { .. } => Default::default(),
        };
        // Into memory, and of one schema: there is nothing that could fail.
        let rows = stream(&schema, &blocks).unwrap_or_default();
        Self { output: schema.name.clone(), table, key, columns: schema.columns.clone(), rows: BASE64.encode(rows) }
    }
}

fn stream(schema: &OutputSchema, blocks: &[RecordBatch]) -> Result<Vec<u8>, arrow::error::ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &schema.arrow)?;
    for block in blocks {
        writer.write(block)?;
    }
    writer.into_inner()
}

impl TryFrom<Record> for TableRows {
    type Error = String;

    fn try_from(record: Record) -> Result<Self, String> {
        let target = Target::Table { table: record.table, key: record.key };
        let schema = OutputSchema::new(record.output, record.columns, target).map_err(|error| error.to_string())?;
        let rows = BASE64.decode(record.rows).map_err(|error| error.to_string())?;
        let reader = StreamReader::try_new(rows.as_slice(), None).map_err(|error| error.to_string())?;
        if reader.schema() != schema.arrow {
            return Err(format!("the rows of output `{}` do not have its columns", schema.name));
        }
        let blocks = reader.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        Ok(Self { schema: Arc::new(schema), blocks })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{all_types, rows, table, values};
    use super::*;

    #[test]
    fn rows_come_back_from_the_record_as_they_were() {
        let schema = Arc::new(OutputSchema::new("daily", all_types(), table(&["id", "day"])).unwrap());
        let lines = [
            r#"{"id":"a","flag":false,"count":-9007199254740993,"mean":0.1,"day":"2024-02-29"}"#,
            r#"{"id":"b","at":"2024-01-31T12:00:00.5Z","day":"1763-01-01","extra":{"z":[1,null,"é"]}}"#,
        ];
        let blocks: Vec<_> = lines.iter().map(|line| rows(&schema, line)).collect();
        let effect = Effect::Put(TableRows { schema: schema.clone(), blocks: blocks.clone() });
        let text = serde_json::to_string(&effect).unwrap();
        let Effect::Put(back) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        assert_eq!((&back.schema.name, &back.schema.target), (&schema.name, &schema.target));
        assert_eq!((&back.schema.columns, &back.schema.arrow), (&schema.columns, &schema.arrow));
        assert_eq!(back.blocks, blocks);
        assert_eq!(values(&back.schema, &back.blocks[1])[0]["extra"]["z"][2], "é");
    }

    #[test]
    fn a_damaged_record_is_an_error() {
        let schema = Arc::new(OutputSchema::new("daily", all_types(), table(&["id"])).unwrap());
        let effect = Effect::Put(TableRows { blocks: vec![rows(&schema, r#"{"id":"a"}"#)], schema });
        let record = serde_json::to_value(&effect).unwrap();
        for (field, damaged) in [("rows", "AAAA"), ("rows", "?"), ("columns", "[]"), ("key", "nosuch")] {
            let mut record = record.clone();
            record["put"][field] = match field {
                "columns" => serde_json::json!([]),
                "key" => serde_json::json!([damaged]),
                _ => damaged.into(),
            };
            assert!(serde_json::from_value::<Effect>(record).is_err(), "{field}");
        }
    }
}
