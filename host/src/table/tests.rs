//! Files that the tests write themselves, in a folder that is a store.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{Int64Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

use super::*;
use crate::object::folder::FolderStore;
use crate::object::{Location, ObjectError};

fn request() -> Request {
    Request { columns: None, conditions: Vec::new(), block_rows: 0, memory: 64 << 20 }
}

fn written(rows: &RecordBatch, group: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
    bytes
}

fn numbers(values: &[Option<i64>]) -> RecordBatch {
    let floats: Float64Array = values.iter().map(|n| n.map(|n| if n == 7 { f64::NAN } else { n as f64 })).collect();
    let texts: StringArray = values.iter().map(|n| n.map(|n| format!("t{n}"))).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("n", Arc::new(Int64Array::from(values.to_vec())) as ArrayRef, true),
        ("f", Arc::new(floats) as ArrayRef, true),
        ("t", Arc::new(texts) as ArrayRef, true),
    ])
    .unwrap()
}

fn scanned(bytes: &[u8], key: &str, request: &Request) -> Result<Vec<RecordBatch>, ObjectError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b").join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
    let store = Arc::new(FolderStore::new(folder.path()));
    let at: Location = format!("s3://b/{key}").parse().unwrap();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let mut scan = Scan::open(store, &at, request).await?;
        let mut blocks = Vec::new();
        while scan.fetch().await? {
            while let Some(block) = scan.decode()? {
                blocks.push(block);
            }
        }
        Ok(blocks)
    })
}

fn whole(blocks: &[RecordBatch]) -> Vec<Option<i64>> {
    blocks.iter().flat_map(|block| block.column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>()).collect()
}

fn wanted(name: &str, value_type: Option<ValueType>, optional: bool) -> Wanted {
    Wanted { name: name.into(), value_type, optional }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_condition_keeps_the_rows_that_meet_it_whatever_the_statistics(
        values in prop::collection::vec(prop::option::of(0_i64..10), 1..60),
        group in 1_usize..20,
        with in 0_i64..10,
        kind in 0_usize..8,
        column in 0_usize..3,
    ) {
        use Comparison::*;
        let comparison = [Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual, IsNull, IsNotNull][kind];
        let literal = [Literal::Int64(with), Literal::Float64(with as f64), Literal::Text(format!("t{with}"))][column].clone();
        let value = (kind < 6).then_some(literal);
        let predicate = Predicate { column: ["n", "f", "t"][column].into(), comparison, value };
        let asked = Request { columns: Some(vec![wanted("n", None, false)]), conditions: vec![predicate], ..request() };
        let meets = |n: &Option<i64>| match n {
            None => comparison == IsNull,
            Some(7) if column == 1 => matches!(comparison, NotEqual | IsNotNull),
            // A NaN in the literal's place is never made: 7 as a literal is the number.
            Some(n) => match comparison {
                Equal => *n == with,
                NotEqual => *n != with,
                Less => *n < with,
                LessOrEqual => *n <= with,
                Greater => *n > with,
                GreaterOrEqual => *n >= with,
                IsNull => false,
                IsNotNull => true,
            },
        };
        let expected: Vec<_> = values.iter().filter(|n| meets(n)).copied().collect();
        let blocks = scanned(&written(&numbers(&values), group), "t.parquet", &asked).unwrap();
        prop_assert!(blocks.iter().all(|block| block.num_rows() > 0));
        prop_assert_eq!(whole(&blocks), expected);
    }
}

#[test]
fn a_file_that_is_cut_anywhere_is_one_error_that_names_it() {
    let bytes = written(&numbers(&[Some(1), None, Some(7)]), 2);
    for end in 0..bytes.len() {
        let error = scanned(&bytes[..end], "t.parquet", &request()).unwrap_err();
        assert!(
            matches!(&error, ObjectError::Invalid(text) | ObjectError::TooLarge(text) if text.contains("s3://b/t.parquet")),
            "{end}: {error}"
        );
    }
}

#[test]
fn a_byte_that_is_damaged_anywhere_ends_in_order() {
    let bytes = written(&numbers(&[Some(1), None, Some(7)]), 2);
    for place in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0xff;
        if let Err(error) = scanned(&damaged, "t.parquet", &request()) {
            assert!(error.to_string().contains("s3://b/t.parquet"), "{place}: {error}");
        }
    }
}

#[test]
fn what_is_no_parquet_file_is_said_so() {
    let mut encrypted = written(&numbers(&[Some(1)]), 2);
    let end = encrypted.len();
    encrypted[end - 1] = b'E';
    let mut lying = written(&numbers(&[Some(1)]), 2);
    lying[end - 8..end - 4].copy_from_slice(&(end as u32).to_le_bytes());
    let said = |bytes: &[u8]| scanned(bytes, "t", &request()).unwrap_err().to_string();
    insta::assert_snapshot!(said(b""), @"s3://b/t is no Parquet file: it has 0 bytes");
    insta::assert_snapshot!(said(b"a,b,c\n1,2,3\n"), @"s3://b/t is no Parquet file: it does not end in `PAR1`; it is of another format, or cut off");
    insta::assert_snapshot!(said(&encrypted), @"s3://b/t is no Parquet file: it is encrypted, which is not supported: write it without encryption");
    assert!(said(&lying).contains("is longer than the file of"), "{}", said(&lying));
}

#[test]
fn columns_come_from_the_key_the_file_or_nowhere() {
    let bytes = written(&numbers(&[Some(1), Some(2)]), 2);
    let columns = vec![
        wanted("n", Some(ValueType::Int64), false),
        wanted("t", Some(ValueType::Json), true),
        wanted("absent", Some(ValueType::Date), true),
        wanted("day", Some(ValueType::Date), false),
    ];
    let asked = Request { columns: Some(columns), ..request() };
    let error = scanned(&bytes, "n=5/day=2018-01-02/t", &asked).map(|blocks| blocks.len()).unwrap_err();
    insta::assert_snapshot!(error, @"s3://b/n=5/day=2018-01-02/t: column `t`: a text is not JSON: expected ident at line 1 column 2");
    let columns = asked.columns.unwrap().into_iter().filter(|column| column.name != "t").collect();
    let blocks = scanned(&bytes, "n=5/day=2018-01-02/t", &Request { columns: Some(columns), ..request() }).unwrap();
    assert_eq!(whole(&blocks), [Some(5), Some(5)]);
    assert_eq!(blocks[0].column(1).null_count(), 2);
    let error = scanned(&bytes, "t", &Request { columns: Some(vec![wanted("x", None, false)]), ..request() });
    insta::assert_snapshot!(error.unwrap_err(), @"s3://b/t: it has no column `x`");
}

#[test]
fn row_groups_that_have_no_room_are_refused_before_they_are_fetched() {
    let different: Vec<_> = (0..10_000).map(Some).collect();
    let bytes = written(&numbers(&different), 10_000);
    let error = scanned(&bytes, "t", &Request { memory: 4_000, ..request() }).unwrap_err();
    assert!(matches!(&error, ObjectError::TooLarge(text) if text.contains("row group 0")), "{error}");
}

#[test]
fn nested_values_are_json_and_unsigned_ones_beyond_the_range_an_error() {
    let mut lists = ListBuilder::new(Int64Builder::new());
    lists.append_value([Some(1), None]);
    lists.append_null();
    let nested: ArrayRef = Arc::new(lists.finish());
    let rows = RecordBatch::try_from_iter_with_nullable([("l", nested, true)]).unwrap();
    let blocks = scanned(&written(&rows, 2), "t", &request()).unwrap();
    assert_eq!(blocks[0].column(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("[1,null]"), None]);
    let large: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    let rows = RecordBatch::try_new(
        Arc::new(Schema::new(vec![arrow::datatypes::Field::new("u", large.data_type().clone(), false)])),
        vec![large],
    )
    .unwrap();
    assert!(
        matches!(scanned(&written(&rows, 2), "t", &request()), Err(ObjectError::Invalid(text)) if text.contains("column `u`"))
    );
}
