//! The same numbers out of the same file in two ways: `tables`, which the host decodes, or Parquet's own library in the guest.
//! It does next to nothing with them, so that the reading is what is measured.

use std::io::{BufReader, Read as _, Seek as _, SeekFrom};

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::Float64Type;
use bytes::Bytes;
use gristmill_plugin::table::{self, Comparison, Type};
use gristmill_plugin::{AnyBatchInput, Call, ColumnType, Failure, Manifest, Output, Rows, json, objects};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use serde::Deserialize;

gristmill_plugin::export!(describe, process);

const NUMBERS: [&str; 3] = ["temperature", "humidity", "batterylevel"];
const TEXTS: [&str; 2] = ["deviceid", "timestamp"];

#[derive(Deserialize)]
struct Settings {
    how: How,
    /// Only rows with an earlier `timestamp`; all of them if it is empty.
    before: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum How {
    Tables,
    Guest,
}

#[derive(Deserialize)]
struct File {
    uri: String,
}

/// What is found of a file: the same in both ways.
#[derive(Default)]
struct Sums {
    rows: i64,
    values: i64,
    total: f64,
    characters: i64,
}

fn describe() -> Manifest {
    let sums = Output::new("sums", "What is in each file.").column("uri", ColumnType::Text);
    let sums = sums.column("rows", ColumnType::Int64).column("values", ColumnType::Int64);
    let sums = sums.column("total", ColumnType::Float64).column("characters", ColumnType::Int64);
    gristmill_plugin::manifest!().settings_schema(SCHEMA).output(sums)
}

const SCHEMA: &str = r#"{
    "type": "object",
    "properties": {
        "how": { "enum": ["tables", "guest"] },
        "before": { "type": "string" }
    },
    "required": ["how", "before"],
    "additionalProperties": false
}"#;

fn process(call: Call<Settings, File, AnyBatchInput>) -> Result<(), Failure> {
    let uri = &call.item.uri;
    let Sums { rows, values, total, characters } = match call.settings.how {
        How::Tables => tables(uri, &call.settings.before)?,
        How::Guest => guest(uri).map_err(|error| Failure::reject("Parquet", error))?,
    };
    Rows::to("sums").emit(&json!({
        "uri": uri, "rows": rows, "values": values, "total": total, "characters": characters
    }))
}

fn tables(uri: &str, before: &str) -> Result<Sums, Failure> {
    let wanted = TEXTS.iter().fold(table::open(uri), |all, name| all.column(name, Type::Text));
    let mut wanted = NUMBERS.iter().fold(wanted, |all, name| all.column(name, Type::Float64));
    if !before.is_empty() {
        wanted = wanted.filter("timestamp", Comparison::Less, before);
    }
    let mut sums = Sums::default();
    for block in wanted.blocks()? {
        let block = block?;
        sums.rows += block.rows() as i64;
        for name in TEXTS {
            sums.characters += block.text(name)?.iter().flatten().map(|text| text.len() as i64).sum::<i64>();
        }
        for name in NUMBERS {
            for value in block.f64(name)?.iter().flatten() {
                sums.values += 1;
                sums.total += value;
            }
        }
    }
    Ok(sums)
}

fn guest(uri: &str) -> Result<Sums, ParquetError> {
    let outside = |failure: Failure| ParquetError::General(failure.to_string());
    let file = ObjectFile(objects::reader(uri).map_err(outside)?);
    let file = ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(16 << 10);
    let mask = ProjectionMask::columns(file.parquet_schema(), TEXTS.into_iter().chain(NUMBERS));
    let mut sums = Sums::default();
    for batch in file.with_projection(mask).build()? {
        let batch = batch?;
        sums.rows += batch.num_rows() as i64;
        let column = |name| batch.column_by_name(name).ok_or_else(|| ParquetError::General(format!("no {name}")));
        for name in TEXTS {
            sums.characters +=
                column(name)?.as_string::<i32>().iter().flatten().map(|text| text.len() as i64).sum::<i64>();
        }
        for name in NUMBERS {
            let values = column(name)?.as_primitive::<Float64Type>();
            sums.values += (values.len() - values.null_count()) as i64;
            sums.total = values.iter().flatten().fold(sums.total, |sum, value| sum + value);
        }
    }
    Ok(sums)
}

/// An object as Parquet's library wants files.
struct ObjectFile(objects::Reader);

impl Length for ObjectFile {
    fn len(&self) -> u64 {
        let mut end = self.0.clone();
        end.seek(SeekFrom::End(0)).unwrap_or_default()
    }
}

impl ChunkReader for ObjectFile {
    type T = BufReader<objects::Reader>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let mut reader = self.0.clone();
        reader.seek(SeekFrom::Start(start))?;
        Ok(BufReader::new(reader))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let mut reader = self.0.clone();
        reader.seek(SeekFrom::Start(start))?;
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}
