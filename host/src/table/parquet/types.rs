//! The types in which a file's columns are decoded.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use std::collections::HashSet;

/// The types that the file's own schema says, without what a writer of Arrow left beside it, but for two:
///
/// - INT96 would be nanoseconds, which end in 2262 and wrap around silently.
/// - Texts and bytes are views. A dictionary of a megabyte can stand behind each of a million rows: a view does not copy it.
pub(super) fn typed(footer: &Arc<ParquetMetaData>) -> Result<ArrowReaderMetadata, ParquetError> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let plain = ArrowReaderMetadata::try_new(footer.clone(), options.clone())?;
    let of_file = plain.parquet_schema();
    let leaves = of_file.columns().iter().enumerate();
    let int96: HashSet<usize> = leaves
        .filter(|(_, leaf)| leaf.physical_type() == Type::INT96)
        .map(|(leaf, _)| of_file.get_column_root_idx(leaf))
        .collect();
    let fields = plain.schema().fields().iter().enumerate().map(|(root, field)| match field.data_type() {
        DataType::Timestamp(..) if int96.contains(&root) => {
            Arc::new(field.as_ref().clone().with_data_type(DataType::Timestamp(TimeUnit::Microsecond, None)))
        }
        _ => viewed(field),
    });
    let hinted = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    if hinted == *plain.schema() {
        return Ok(plain);
    }
    ArrowReaderMetadata::try_new(footer.clone(), options.with_schema(hinted))
}

/// Refuses what would wrap around in nested values, where it cannot be read in another type.
pub(super) fn refuse_nested_int96(metadata: &ArrowReaderMetadata, needed: &[usize]) -> Result<(), String> {
    let of_file = metadata.parquet_schema();
    for (leaf, column) in of_file.columns().iter().enumerate() {
        let root = of_file.get_column_root_idx(leaf);
        let field = metadata.schema().field(root);
        if column.physical_type() == Type::INT96 && needed.contains(&root) && field.data_type().is_nested() {
            return Err(format!("column `{}` has INT96 inside of nested values, which is not supported", field.name()));
        }
    }
    Ok(())
}

fn viewed(field: &FieldRef) -> FieldRef {
    let all = |fields: &Fields| fields.iter().map(viewed).collect::<Fields>();
    let to = match field.data_type() {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        DataType::List(inner) => DataType::List(viewed(inner)),
        DataType::Struct(inner) => DataType::Struct(all(inner)),
        DataType::Map(inner, sorted) => DataType::Map(viewed(inner), *sorted),
        other => other.clone(),
    };
    Arc::new(Field::clone(field).with_data_type(to))
}
