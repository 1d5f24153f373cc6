//! Arrow IPC streams: arrow-ipc reads and validates them, columns are matched by name, and types are widened where no
//! value can change by it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondBuilder, new_null_array,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, Schema, TimeUnit};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::util::display::array_value_to_string;
use serde_json::value::RawValue;

use super::super::schema::OutputSchema;
use super::super::values;
use super::column::{Builder, has_line_break};
use super::error::{BadRows, MAX_DECODED_BYTES, check_size, excerpt, no_value, takes};
use crate::dataset::{Column, ColumnType};

pub(super) fn decode(schema: &OutputSchema, block: &[u8]) -> Result<RecordBatch, BadRows> {
    // arrow-ipc answers damage with errors. Where it panics all the same, the guest's item must fail, and not the host.
    catch_unwind(AssertUnwindSafe(|| read(schema, block)))
        .unwrap_or_else(|_| Err(BadRows::Invalid("the Arrow IPC stream is damaged".into())))
}

fn read(schema: &OutputSchema, block: &[u8]) -> Result<RecordBatch, BadRows> {
    let mut reader = StreamReader::try_new(block, None).map_err(damaged)?;
    let plan = plan(schema, &reader.schema())?;
    let mut batches = Vec::new();
    let mut rows = 0_usize;
    while let Some(batch) = reader.next().transpose().map_err(damaged)? {
        let first = rows + 1;
        rows = rows.saturating_add(batch.num_rows());
        check_size(schema, rows, block.len())?;
        batches.push(convert(schema, &plan, &batch, first)?);
    }
    let rest = reader.get_ref().len();
    if rest > 0 {
        return Err(BadRows::Invalid(format!("{rest} bytes follow the end of the Arrow IPC stream")));
    }
    match batches.len() {
        1 => Ok(batches.remove(0)),
        _ => concat_batches(&schema.arrow, &batches).map_err(damaged),
    }
}

fn damaged(error: ArrowError) -> BadRows {
    BadRows::Invalid(format!("the Arrow IPC stream cannot be read: {}", excerpt(&error.to_string())))
}

/// For each column of the output, its place in the stream if the stream has it. The stream may have no other columns.
fn plan(schema: &OutputSchema, stream: &Schema) -> Result<Vec<Option<usize>>, BadRows> {
    let mut plan = vec![None; schema.columns.len()];
    for (from, field) in stream.fields().iter().enumerate() {
        let name = excerpt(field.name());
        let Some(to) = schema.columns.iter().position(|column| column.name == *field.name()) else {
            let known: Vec<_> = schema.columns.iter().map(|column| column.name.as_str()).collect();
            return Err(BadRows::Invalid(format!(
                "the Arrow schema's field `{name}` is no column of output `{}`; it has {}",
                schema.name,
                known.join(", ")
            )));
        };
        if plan[to].replace(from).is_some() {
            return Err(BadRows::Invalid(format!("the Arrow schema has field `{name}` twice")));
        }
        let kind = schema.columns[to].kind;
        if !widens(field.data_type(), kind) {
            return Err(BadRows::Invalid(format!(
                "column `{name}` is {}: Arrow's {} does not become that without loss, {} does",
                kind.name(),
                excerpt(&field.data_type().to_string()),
                kind.arrow()
            )));
        }
    }
    Ok(plan)
}

/// Whether values of the Arrow type may go into the column. Values that do not fit are found one by one later.
fn widens(from: &DataType, to: ColumnType) -> bool {
    use DataType::{
        Boolean, Date32, Float32, Float64, Int8, Int16, Int32, Int64, LargeUtf8, Null, Timestamp, UInt8, UInt16,
        UInt32, UInt64, Utf8, Utf8View,
    };
    match to {
        _ if *from == Null => true,
        ColumnType::Boolean => *from == Boolean,
        ColumnType::Int64 => matches!(from, Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64),
        ColumnType::Float64 => matches!(from, Float32 | Float64 | Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32),
        ColumnType::Text | ColumnType::Json => matches!(from, Utf8 | LargeUtf8 | Utf8View),
        ColumnType::Date => *from == Date32,
        // Without a time zone it is what some clock showed, and no instant.
        ColumnType::Timestamp => matches!(from, Timestamp(_, Some(_))),
    }
}

fn convert(
    schema: &OutputSchema,
    plan: &[Option<usize>],
    batch: &RecordBatch,
    first: usize,
) -> Result<RecordBatch, BadRows> {
    let columns = schema.columns.iter().zip(plan).map(|(column, from)| {
        let array = match from {
            Some(from) => widen(column, batch.column(*from), first)?,
            None => new_null_array(&column.kind.arrow(), batch.num_rows()),
        };
        if !column.nullable && array.null_count() > 0 {
            let null = (0..array.len()).find(|row| array.is_null(*row)).unwrap_or_default();
            return Err(no_value(first + null, &column.name));
        }
        Ok(array)
    });
    RecordBatch::try_new(Arc::clone(&schema.arrow), columns.collect::<Result<_, _>>()?).map_err(damaged)
}

fn widen(column: &Column, array: &ArrayRef, first: usize) -> Result<ArrayRef, BadRows> {
    let refuse = |row: usize| {
        let found = array_value_to_string(array, row).unwrap_or_else(|error| error.to_string());
        let (name, found) = (&column.name, excerpt(&found));
        BadRows::Invalid(format!("row {}: column `{name}` takes {}, found `{found}`", first + row, takes(column.kind)))
    };
    match (array.data_type(), column.kind) {
        (DataType::Null, kind) => return Ok(new_null_array(&kind.arrow(), array.len())),
        (DataType::Timestamp(unit, _), _) => return micros(array, *unit).map_err(refuse),
        // Views may all show the same bytes: a few of them can stand for any amount of text.
        (DataType::Utf8View, _) => check_views(column, array.as_string_view())?,
        _ => {}
    }
    // The cast turns what does not fit into nulls.
    let cast = cast(array, &column.kind.arrow()).map_err(damaged)?;
    if cast.null_count() > array.null_count() {
        return Err(refuse(
            (0..array.len()).find(|row| cast.is_null(*row) && array.is_valid(*row)).unwrap_or_default(),
        ));
    }
    let misfit = match column.kind {
        ColumnType::Float64 => misfit(cast.as_primitive::<Float64Type>(), f64::is_finite),
        ColumnType::Date => misfit(cast.as_primitive::<Date32Type>(), |days| values::DATES.contains(&days)),
        ColumnType::Json => return json(column, &cast, first),
        _ => None,
    };
    misfit.map_or(Ok(cast), |row| Err(refuse(row)))
}

fn misfit<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, fits: impl Fn(T::Native) -> bool) -> Option<usize> {
    array.iter().position(|value| value.is_some_and(|value| !fits(value)))
}

/// Instants in microseconds. The error is the row of an instant that would lose digits, or that RFC 3339 cannot write.
fn micros(array: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef, usize> {
    let micros = |value: i64| match unit {
        TimeUnit::Second => value.checked_mul(1_000_000),
        TimeUnit::Millisecond => value.checked_mul(1_000),
        TimeUnit::Microsecond => Some(value),
        TimeUnit::Nanosecond => (value % 1_000 == 0).then_some(value / 1_000),
    };
    let ticks = cast(array, &DataType::Int64).map_err(|_| 0_usize)?;
    let mut found =
        TimestampMicrosecondBuilder::with_capacity(array.len()).with_data_type(ColumnType::Timestamp.arrow());
    for (row, value) in ticks.as_primitive::<Int64Type>().iter().enumerate() {
        match value.map(|value| micros(value).filter(|micros| values::TIMESTAMPS.contains(micros))) {
            None => found.append_null(),
            Some(Some(micros)) => found.append_value(micros),
            Some(None) => return Err(row),
        }
    }
    Ok(Arc::new(found.finish()))
}

fn check_views(column: &Column, views: &StringViewArray) -> Result<(), BadRows> {
    let bytes: usize = views.lengths().map(|length| length as usize).sum();
    if bytes > MAX_DECODED_BYTES {
        let name = &column.name;
        return Err(BadRows::TooLarge(format!(
            "the text of column `{name}` takes more than {MAX_DECODED_BYTES} bytes"
        )));
    }
    Ok(())
}

/// JSON text as JSON lines would have brought it: valid and on one line. The text `null` is a null.
fn json(column: &Column, array: &ArrayRef, first: usize) -> Result<ArrayRef, BadRows> {
    let texts: &StringArray = array.as_string();
    let parse = |row: usize| -> Result<&str, BadRows> {
        let text = if texts.is_null(row) { "null" } else { texts.value(row) };
        // Without the blanks around it.
        serde_json::from_str(text).map(RawValue::get).map_err(|error| {
            let (name, text) = (&column.name, excerpt(text));
            BadRows::Invalid(format!(
                "row {}: column `{name}` takes a JSON value, found `{text}`: {error}",
                first + row
            ))
        })
    };
    // Most columns are taken as they are, without a copy.
    let mut is_as_it_should_be = true;
    for row in 0..texts.len() {
        let raw = parse(row)?;
        let is_whole = || raw.len() == texts.value(row).len() && raw != "null" && !has_line_break(raw);
        is_as_it_should_be &= texts.is_null(row) || is_whole();
    }
    if is_as_it_should_be {
        return Ok(Arc::clone(array));
    }
    let mut builder = Builder::new(ColumnType::Json, texts.len(), texts.value_data().len());
    for row in 0..texts.len() {
        builder.append(column, first + row, parse(row)?)?;
    }
    Ok(builder.finish())
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BooleanArray, Date32Array, Float32Array, Float64Array, Int8Array, Int64Array, NullArray,
        TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
    };
    use arrow::datatypes::Field;
    use arrow::ipc::writer::StreamWriter;

    use super::super::super::tests::{JSON_LINES, all_types, objects};
    use super::super::{Rows, decode};
    use super::*;

    fn schema() -> OutputSchema {
        OutputSchema::new("daily", all_types(), objects(JSON_LINES)).unwrap()
    }

    fn array(array: impl Array + 'static) -> ArrayRef {
        Arc::new(array)
    }

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        let fields = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        RecordBatch::try_new(schema, columns.into_iter().map(|(_, array)| array).collect()).unwrap()
    }

    fn stream(batches: &[RecordBatch]) -> Vec<u8> {
        let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
        for batch in batches {
            writer.write(batch).unwrap();
        }
        writer.finish().unwrap();
        writer.into_inner().unwrap()
    }

    fn read(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, BadRows> {
        decode(&schema(), Rows::ArrowIpc(&stream(&[batch(columns)])))
    }

    fn ids(rows: usize) -> (&'static str, ArrayRef) {
        ("id", array(StringArray::from_iter_values((0..rows).map(|row| format!("row {row}")))))
    }

    fn refused(name: &'static str, values: ArrayRef) -> String {
        read(vec![ids(values.len()), (name, values)]).unwrap_err().to_string()
    }

    #[test]
    fn columns_are_matched_by_name_and_widened() {
        let rows = read(vec![
            ("extra", array(StringViewArray::from(vec![Some(" {\"a\":\n1} "), Some("null")]))),
            ("at", array(TimestampSecondArray::from(vec![Some(1), None]).with_timezone("Europe/Berlin"))),
            ("mean", array(Float32Array::from(vec![0.5, 1.5]))),
            ("count", array(Int8Array::from(vec![Some(-3), None]))),
            ("day", array(NullArray::new(2))),
            ids(2),
        ])
        .unwrap();
        let same = decode(
            &schema(),
            Rows::JsonLines(
                concat!(
                    r#"{"id":"row 0","count":-3,"mean":0.5,"at":"1970-01-01T00:00:01Z","extra":{"a": 1}}"#,
                    "\n",
                    r#"{"id":"row 1","mean":1.5}"#
                )
                .as_bytes(),
            ),
        );
        assert_eq!(rows, same.unwrap());
    }

    #[test]
    fn json_is_the_same_whether_it_is_taken_over_or_made_again() {
        let texts = [Some("[1]"), Some("{\"a\": 1}"), None];
        let extra = |texts: Vec<Option<&str>>| {
            let rows = read(vec![ids(texts.len()), ("extra", array(StringArray::from(texts)))]).unwrap();
            rows.column_by_name("extra").unwrap().clone()
        };
        let taken = extra(texts.to_vec());
        assert_eq!(*taken, StringArray::from(texts.to_vec()));
        for (odd, made) in [(" 2", Some("2")), ("2\t", Some("2")), ("[2,\r3]", Some("[2, 3]")), ("null", None)] {
            let with = |last| texts.into_iter().chain([last]).collect::<Vec<_>>();
            assert_eq!(*extra(with(Some(odd))), StringArray::from(with(made)), "{odd:?}");
        }
    }

    #[test]
    fn batches_of_a_stream_follow_each_other() {
        let both = stream(&[batch(vec![ids(2)]), batch(vec![ids(3)])]);
        assert_eq!(decode(&schema(), Rows::ArrowIpc(&both)).unwrap().num_rows(), 5);
        let none = stream(&[batch(vec![ids(0)])]);
        assert_eq!(decode(&schema(), Rows::ArrowIpc(&none)).unwrap().num_rows(), 0);
    }

    #[test]
    fn types_that_may_lose_something_are_refused() {
        let error = refused("count", array(Float64Array::from(vec![1.0])));
        assert_eq!(error, "column `count` is int64: Arrow's Float64 does not become that without loss, Int64 does");
        let error = refused("at", array(TimestampSecondArray::from(vec![1])));
        assert!(error.starts_with("column `at` is timestamp: Arrow's Timestamp(s) does not"), "{error}");
        assert!(refused("mean", array(Int64Array::from(vec![1]))).contains("is float64"));
        assert!(refused("day", array(StringArray::from(vec!["2024-01-31"]))).contains("is date"));
        let error = refused("PRCP", array(BooleanArray::from(vec![true])));
        assert!(error.starts_with("the Arrow schema's field `PRCP` is no column of output `daily`"), "{error}");
        let twice = stream(&[batch(vec![ids(1), ids(1)])]);
        let error = decode(&schema(), Rows::ArrowIpc(&twice)).unwrap_err();
        assert_eq!(error.to_string(), "the Arrow schema has field `id` twice");
    }

    #[test]
    fn values_that_do_not_fit_are_named_by_row_and_column() {
        let error = refused("count", array(UInt64Array::from(vec![1, u64::MAX])));
        assert!(error.starts_with("row 2: column `count` takes a whole number"), "{error}");
        assert!(error.ends_with("found `18446744073709551615`"), "{error}");
        let error = refused("mean", array(Float64Array::from(vec![Some(0.0), None, Some(f64::NAN)])));
        assert!(error.starts_with("row 3: column `mean` takes a finite"), "{error}");
        let error = refused("at", array(TimestampNanosecondArray::from(vec![1_000, 1_001]).with_timezone("+00:00")));
        assert!(error.starts_with("row 2: column `at` takes an instant"), "{error}");
        let error = refused("at", array(TimestampSecondArray::from(vec![i64::MAX]).with_timezone("UTC")));
        assert!(error.starts_with("row 1: column `at` takes an instant"), "{error}");
        let error = refused("day", array(Date32Array::from(vec![i32::MAX])));
        assert!(error.starts_with("row 1: column `day` takes a day"), "{error}");
        let error = refused("extra", array(StringArray::from(vec!["{}", "{"])));
        assert!(error.starts_with("row 2: column `extra` takes a JSON value, found `{`"), "{error}");
        let error = read(vec![("id", array(StringArray::from(vec![Some("a"), None])))]).unwrap_err().to_string();
        assert_eq!(error, "row 2: column `id` has no value, and it is not nullable");
        let error = read(vec![("count", array(Int64Array::from(vec![1])))]).unwrap_err().to_string();
        assert_eq!(error, "row 1: column `id` has no value, and it is not nullable");
    }

    #[test]
    fn a_few_bytes_cannot_make_many_rows() {
        let many = 1 << 40;
        let nulls = stream(&[batch(vec![("day", array(NullArray::new(many)))])]);
        assert!(nulls.len() < 1024);
        let error = decode(&schema(), Rows::ArrowIpc(&nulls)).unwrap_err();
        assert!(matches!(error, BadRows::TooLarge(_)), "{error}");
    }

    #[test]
    fn views_of_the_same_bytes_cannot_make_much_text() {
        let long = "x".repeat(1 << 20);
        let mut builder = arrow::array::StringViewBuilder::new();
        let block = builder.append_block(long.into_bytes().into());
        for _ in 0..=MAX_DECODED_BYTES >> 20 {
            builder.try_append_view(block, 0, 1 << 20).unwrap();
        }
        let views = stream(&[batch(vec![("id", array(builder.finish()))])]);
        let error = decode(&schema(), Rows::ArrowIpc(&views)).unwrap_err();
        assert!(matches!(error, BadRows::TooLarge(_)), "{error}");
    }

    #[test]
    fn a_stream_that_is_cut_or_followed_by_something_is_refused() {
        let whole = stream(&[batch(vec![ids(3)])]);
        let after = [whole.as_slice(), b"more"].concat();
        let error = decode(&schema(), Rows::ArrowIpc(&after)).unwrap_err().to_string();
        assert_eq!(error, "4 bytes follow the end of the Arrow IPC stream");
        // Without the 8 bytes of the end marker a stream is still whole: writers may just close it.
        for end in 0..whole.len() - 8 {
            let result = decode(&schema(), Rows::ArrowIpc(&whole[..end]));
            assert!(result.is_err() || result.unwrap().num_rows() == 0, "cut at {end}");
        }
    }

    #[test]
    fn damaged_bytes_are_errors() {
        let columns = vec![
            ids(20),
            ("count", array(Int64Array::from_iter((0..20).map(|n| (n % 3 > 0).then_some(n))))),
            ("extra", array(StringViewArray::from_iter_values((0..20).map(|n| format!("\"{}\"", "x".repeat(n)))))),
        ];
        let whole = stream(&[batch(columns)]);
        let schema = schema();
        for at in 0..whole.len() {
            for mask in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= mask;
                // Whether the bytes still mean something depends on the place; what counts is that this returns.
                if let Ok(rows) = decode(&schema, Rows::ArrowIpc(&bytes)) {
                    assert!(rows.columns().iter().all(|column| column.to_data().validate_full().is_ok()), "byte {at}");
                }
            }
        }
    }
}
