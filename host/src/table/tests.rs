//! Files that the tests write themselves, in a folder that is a store.

use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::file::properties::WriterProperties;
use arrow::array::*;
use arrow::datatypes::{Int64Type, Schema};
use proptest::prelude::*;

use super::*;
use crate::object::Compression;
use crate::object::folder::FolderStore;
use crate::object::{Location, ObjectError};

fn request() -> Request {
    Request {
        format: Format::Auto,
        compression: Compression::Auto,
        columns: None,
        key_columns: true,
        conditions: Vec::new(),
        block_rows: 0,
        memory: 64 << 20,
    }
}

fn written(rows: &RecordBatch, group: usize) -> Vec<u8> {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group));
    written_with(rows, properties.set_dictionary_page_size_limit(4 << 20).build())
}

fn written_with(rows: &RecordBatch, properties: WriterProperties) -> Vec<u8> {
    let mut bytes = Vec::new();
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
        let mut scan = Scan::open(&tokio::runtime::Handle::current(), store, &at, request).await?;
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
        is_sorted: bool,
        has_dictionary: bool,
        page in 1_usize..100,
    ) {
        use Comparison::*;
        let mut values = values;
        if is_sorted {
            values.sort_unstable();
        }
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
        // By their bytes, pages of numbers and of texts begin at different rows.
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(group))
            .set_write_batch_size(1)
            .set_data_page_size_limit(page)
            .set_dictionary_enabled(has_dictionary)
            .set_bloom_filter_enabled(true);
        let blocks = scanned(&written_with(&numbers(&values), properties.build()), "t.parquet", &asked).unwrap();
        prop_assert!(blocks.iter().all(|block| block.num_rows() > 0));
        prop_assert_eq!(whole(&blocks), expected);
    }
}

/// What a scan fetches, and the rows that it gives.
fn fetched(bytes: &[u8], request: &Request) -> (u64, usize) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("b")).unwrap();
    std::fs::write(folder.path().join("b/t.parquet"), bytes).unwrap();
    let store = Arc::new(FolderStore::new(folder.path()));
    let at: Location = "s3://b/t.parquet".parse().unwrap();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let mut scan = Scan::open(&tokio::runtime::Handle::current(), store, &at, request).await.unwrap();
        let mut rows = 0;
        while scan.fetch().await.unwrap() {
            while let Some(block) = scan.decode().unwrap() {
                rows += block.num_rows();
            }
        }
        (scan.fetched(), rows)
    })
}

#[test]
fn pages_and_row_groups_that_cannot_have_a_row_are_not_fetched() {
    let different: Vec<_> = (0..200_000).map(|n| Some(n * 2)).collect();
    let rows = numbers(&different);
    let properties = || {
        let plain = WriterProperties::builder().set_dictionary_enabled(false);
        plain.set_compression(::parquet::basic::Compression::UNCOMPRESSED).set_data_page_row_count_limit(2_000)
    };
    let pages = written_with(&rows, properties().set_write_batch_size(1_000).build());
    let size = pages.len() as u64;
    let asked = |column: &str, comparison, value| {
        let condition = Predicate { column: column.into(), comparison, value: Some(value) };
        Request { conditions: vec![condition], ..request() }
    };
    let (whole, rows_of_whole) = fetched(&pages, &request());
    assert!(rows_of_whole == 200_000 && whole > size - (1 << 17), "{whole} bytes of {size}");
    let (part, rows_of_part) = fetched(&pages, &asked("n", Comparison::GreaterOrEqual, Literal::Int64(390_000)));
    assert_eq!(rows_of_part, 5_000);
    // The first mebibyte comes unasked, and the last 64 KiB are looked at for the footer.
    assert!(part < (1 << 20) + (64 << 10) + size / 10, "{part} bytes of {size}");
    // An odd number is between even ones, and only the filter says that it is none of them.
    let filtered = written_with(
        &rows,
        properties().set_bloom_filter_enabled(true).set_max_row_group_row_count(Some(200_000)).build(),
    );
    let (part, none) = fetched(&filtered, &asked("n", Comparison::Equal, Literal::Int64(200_001)));
    assert_eq!(none, 0);
    assert!(part < size / 2, "{part} bytes of {}", filtered.len());
}

#[test]
fn conditions_choose_the_same_rows_of_pyarrow_s_pages_as_of_its_rows() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/table/samples");
    let bytes = std::fs::read(folder.join("page-index.parquet")).unwrap();
    let all = lines(&bytes, "t.parquet", &request()).unwrap();
    for comparison in [Comparison::Equal, Comparison::NotEqual, Comparison::Less, Comparison::GreaterOrEqual] {
        for row in (0..240).step_by(37) {
            let instant = format!("1970-01-{:02}T{:02}:00:00Z", 1 + row / 24, row % 24);
            let of = [
                ("n", serde_json::json!(row * 2)),
                ("n", serde_json::json!(row * 2 + 1)),
                ("t", serde_json::json!(format!("{row:03} and what makes a page"))),
                ("at", serde_json::json!(instant)),
            ];
            for (column, value) in of {
                let meets = |line: &&str| {
                    let row: serde_json::Value = serde_json::from_str(line).unwrap();
                    let order = match (&row[column], &value) {
                        (serde_json::Value::Null, _) => return false,
                        (serde_json::Value::String(found), serde_json::Value::String(with)) => found.cmp(with),
                        (found, with) => found.as_i64().cmp(&with.as_i64()),
                    };
                    match comparison {
                        Comparison::Equal => order.is_eq(),
                        Comparison::NotEqual => order.is_ne(),
                        Comparison::Less => order.is_lt(),
                        _ => order.is_ge(),
                    }
                };
                let expected: Vec<_> = all.lines().filter(meets).collect();
                let literal = match &value {
                    serde_json::Value::String(text) => Literal::Text(text.clone()),
                    number => Literal::Int64(number.as_i64().unwrap()),
                };
                let condition = Predicate { column: column.into(), comparison, value: Some(literal) };
                let found = lines(&bytes, "t.parquet", &Request { conditions: vec![condition], ..request() }).unwrap();
                assert_eq!(found.lines().collect::<Vec<_>>(), expected, "{column} {comparison:?} {value}");
            }
        }
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
    let rows = numbers(&[Some(1), None, Some(7)]);
    let properties = WriterProperties::builder().set_write_batch_size(1).set_data_page_row_count_limit(1);
    let properties =
        properties.set_dictionary_enabled(false).set_bloom_filter_enabled(true).set_bloom_filter_max_ndv(1);
    let indexed = written_with(&rows.project(&[0]).unwrap(), properties.build());
    let condition = Predicate { column: "n".into(), comparison: Comparison::Equal, value: Some(Literal::Int64(7)) };
    let some = Request { conditions: vec![condition], ..request() };
    for (bytes, asked) in [(written(&rows, 2), request()), (indexed, some)] {
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0xff;
            if let Err(error) = scanned(&damaged, "t.parquet", &asked) {
                assert!(error.to_string().contains("s3://b/t.parquet"), "{place}: {error}");
            }
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
    let said = |bytes: &[u8]| scanned(bytes, "t.parquet", &request()).unwrap_err().to_string();
    insta::assert_snapshot!(said(b""), @"s3://b/t.parquet is no Parquet file: it has 0 bytes");
    insta::assert_snapshot!(said(b"a,b,c\n1,2,3\n"), @"s3://b/t.parquet is no Parquet file: it does not end in `PAR1`; it is of another format, or cut off");
    insta::assert_snapshot!(said(&encrypted), @"s3://b/t.parquet is no Parquet file: it is encrypted, which is not supported: write it without encryption");
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
fn small_row_groups_are_a_block_together_and_no_more_than_one() {
    let rows: Vec<_> = (0..36_000).map(Some).collect();
    let bytes = written(&numbers(&rows), 4_500);
    let sizes = |request: &Request| {
        let blocks = scanned(&bytes, "t", request).unwrap();
        assert_eq!(whole(&blocks), rows);
        blocks.iter().map(RecordBatch::num_rows).collect::<Vec<_>>()
    };
    assert_eq!(sizes(&request()), [13_500, 13_500, 9_000]);
    let small = Request { block_rows: 5_000, ..request() };
    assert_eq!(sizes(&small), [5_000, 5_000, 3_500, 5_000, 5_000, 3_500, 5_000, 4_000]);
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_table_is_the_same_in_every_format(values in prop::collection::vec(prop::option::of(-9_i64..10), 1..60)) {
        let (mut csv, mut lines) = (String::from("n,f,t\n"), String::new());
        for value in &values {
            match value {
                Some(n) => {
                    csv += &format!("{n},{n}.5,\"t \"\"{n}\"\",\"\n");
                    lines += &format!("{{\"t\":\"t \\\"{n}\\\",\",\"n\":{n},\"f\":{n}.5}}\n");
                }
                None => {
                    csv += ",,\r\n";
                    lines += "{\"f\":null}\n\n";
                }
            }
        }
        let columns = vec![
            wanted("t", None, true),
            wanted("n", Some(ValueType::Int64), true),
            wanted("f", Some(ValueType::Float64), true),
        ];
        let condition = Predicate { column: "n".into(), comparison: Comparison::Less, value: Some(Literal::Int64(5)) };
        let mut asked = Request { columns: Some(columns), conditions: vec![condition], ..request() };
        let of_csv = scanned(csv.as_bytes(), "t.csv", &asked).unwrap();
        let texts: StringArray = values.iter().map(|n| n.map(|n| format!("t \"{n}\","))).collect();
        let floats: Float64Array = values.iter().map(|n| n.map(|n| format!("{n}.5").parse::<f64>().unwrap())).collect();
        let rows = RecordBatch::try_from_iter_with_nullable([
            ("n", Arc::new(Int64Array::from(values)) as ArrayRef, true),
            ("f", Arc::new(floats) as ArrayRef, true),
            ("t", Arc::new(texts) as ArrayRef, true),
        ]).unwrap();
        prop_assert_eq!(&of_csv, &scanned(&written(&rows, 100), "t.parquet", &asked).unwrap());
        // A column of JSON lines is JSON, unless a type is said.
        asked.columns.as_mut().unwrap()[0].value_type = Some(ValueType::Text);
        prop_assert_eq!(&of_csv, &scanned(lines.as_bytes(), "t.jsonl", &asked).unwrap());
    }
}

fn lines(bytes: &[u8], key: &str, request: &Request) -> Result<String, ObjectError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("b")).unwrap();
    std::fs::write(folder.path().join("b").join(key), bytes).unwrap();
    let store = Arc::new(FolderStore::new(folder.path()));
    let at: Location = format!("s3://b/{key}").parse().unwrap();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let mut scan = Scan::open(&tokio::runtime::Handle::current(), store, &at, request).await?;
        let mut text = String::new();
        while scan.fetch().await? {
            while let Some(block) = scan.decode()? {
                text += &String::from_utf8(scan.encode(&block, Encoding::JsonLines)?).unwrap();
            }
        }
        Ok(text)
    })
}

#[test]
fn blocks_are_json_lines_with_the_values_of_their_types() {
    let rows = RecordBatch::try_from_iter_with_nullable([
        ("b", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\xff\0"), None])) as ArrayRef, true),
        ("d", Arc::new(Date32Array::from(vec![Some(-1), None])) as ArrayRef, true),
        ("x", Arc::new(Float64Array::from(vec![Some(0.1), Some(f64::NAN)])) as ArrayRef, true),
        ("m", Arc::new(TimestampNanosecondArray::from(vec![Some(-1), None])) as ArrayRef, true),
        ("ä \"", Arc::new(StringArray::from(vec![Some("a\n\"é"), None])) as ArrayRef, true),
    ]);
    insta::assert_snapshot!(lines(&written(&rows.unwrap(), 9), "t", &request()).unwrap(), @r#"
    {"b":"/wA=","d":"1969-12-31","x":0.1,"m":"1969-12-31T23:59:59.999999Z","ä \"":"a\n\"é"}
    {"b":null,"d":null,"x":null,"m":null,"ä \"":null}
    "#);
    let json = b"{\"a\": [1,\r 2], \"b\": \"x\"}\n{\"b\": {\"c\": 1.50}}";
    insta::assert_snapshot!(lines(json, "t.jsonl", &request()).unwrap(), @r#"
    {"a":[1,  2],"b":"x"}
    {"a":null,"b":{"c": 1.50}}
    "#);
}

#[test]
fn what_is_wrong_with_text_is_said_with_its_line() {
    let said = |bytes: &[u8], key: &str| scanned(bytes, key, &request()).unwrap_err().to_string();
    insta::assert_snapshot!(said(b"", "t.csv"), @"s3://b/t.csv: it has no header: it is empty");
    insta::assert_snapshot!(said(b"a,b\n1,2\n3\n", "t.csv"), @"s3://b/t.csv: line 3 has 1 fields, and there are 2 columns");
    insta::assert_snapshot!(said(b"a\n\xff\n", "t.csv"), @"s3://b/t.csv: line 2 is not UTF-8");
    insta::assert_snapshot!(said(b"a,a\n1,2\n", "t.csv"), @"s3://b/t.csv: it has several columns `a`");
    insta::assert_snapshot!(said(b"{\"a\":1}\n[1]\n", "t.json"), @"s3://b/t.json: line 2 is no JSON object: invalid type: sequence, expected an object at line 1 column 0");
    insta::assert_snapshot!(said(b"{\"a\":1,\"a\":2}\n", "t.json"), @"s3://b/t.json: line 1 is no JSON object: it has a name twice at line 1 column 13");
    let many = "{\"a\":1}\n".repeat(1_000) + "{\"b\":1}\n";
    insta::assert_snapshot!(said(many.as_bytes(), "t.json"), @"s3://b/t.json: line 1001 has `b`, which no line before has: name the columns");
    insta::assert_snapshot!(said(b"a\n1\n", "t"), @"s3://b/t: neither its first bytes nor its key's ending say whether it is Parquet, CSV or JSON lines: say the format");
    let endless = [b"a\n\"".as_slice(), &vec![b'x'; 9 << 20]].concat();
    insta::assert_snapshot!(said(&endless, "t.csv"), @"s3://b/t.csv: line 2 is longer than 8388608 bytes: is a quote never closed?");
    let endless = [b"{\"a\":\"".as_slice(), &vec![b'x'; (8 << 20) - 6], b"\"}"].concat();
    insta::assert_snapshot!(said(&endless, "t.json"), @"s3://b/t.json: line 1 is longer than 8388608 bytes");
    let endless = [b"{\"a\":\"".as_slice(), &vec![b'x'; 9 << 20]].concat();
    insta::assert_snapshot!(said(&endless, "t.json"), @"s3://b/t.json: line 1 is longer than 8388608 bytes");
    assert_eq!(scanned(b"", "t.json", &request()).unwrap(), []);
    assert_eq!(scanned(b"\xef\xbb\xbfa\n", "t.csv", &request()).unwrap(), []);
}

#[test]
fn texts_become_days_and_instants_whatever_their_offset() {
    let columns = vec![wanted("d", Some(ValueType::Date), false), wanted("m", Some(ValueType::Timestamp), false)];
    let asked = Request { columns: Some(columns), ..request() };
    let csv = b"d,m\n1969-12-31,1969-12-31T23:59:59.5-01:00\n2300-01-01,2300-01-01T00:00:00\n,2026-01-01T00:00:00Z\n";
    insta::assert_snapshot!(lines(csv, "t.csv", &asked).unwrap(), @r#"
    {"d":"1969-12-31","m":"1970-01-01T00:59:59.500Z"}
    {"d":"2300-01-01","m":"2300-01-01T00:00:00Z"}
    {"d":null,"m":"2026-01-01T00:00:00Z"}
    "#);
    let error = lines(b"d,m\n2026-02-29,\n", "t.csv", &asked).unwrap_err();
    insta::assert_snapshot!(error, @"s3://b/t.csv: column `d`: Cannot cast string '2026-02-29' to value of Date32 type");
}

#[test]
fn a_dictionary_is_not_copied_for_all_rows_at_once() {
    let long = "x".repeat(1 << 20);
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&long, 50)));
    let small = written(&RecordBatch::try_from_iter_with_nullable([("t", texts, true)]).unwrap(), 50);
    assert!(small.len() < 3 << 20, "{} bytes", small.len());
    let blocks = scanned(&small, "t", &Request { memory: 32 << 20, ..request() }).unwrap();
    assert_eq!(blocks.iter().map(RecordBatch::num_rows).sum::<usize>(), 50);
    assert!(blocks.iter().all(|block| block.get_array_memory_size() < 9 << 20));
}

/// Files of pyarrow's, and what pyarrow reads in them: `samples/write.py`.
#[test]
fn what_pyarrow_writes_is_what_pyarrow_reads() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/table/samples");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|ending| ending == "parquet") {
            count += 1;
            let name = file.file_name().unwrap().to_str().unwrap();
            let json = |text: &str| -> Vec<serde_json::Value> {
                text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
            };
            let expected = json(&std::fs::read_to_string(file.with_extension("jsonl")).unwrap());
            let read = lines(&std::fs::read(&file).unwrap(), name, &request());
            let read = json(&read.unwrap_or_else(|error| panic!("{name}: {error}")));
            for (row, (read, expected)) in read.iter().zip(&expected).enumerate() {
                assert_eq!(read, expected, "{name}, row {row}");
            }
            assert_eq!(read.len(), expected.len(), "{name}");
        }
    }
    assert!(count >= 20, "{count}");
}

#[test]
fn columns_of_the_path_that_the_file_has_too_are_known() {
    let hidden = |key: &str, columns: Option<&[&str]>| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b").join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, written(&numbers(&[Some(1)]), 10)).unwrap();
        let wanted = |name: &&str| Wanted { name: (*name).into(), value_type: None, optional: false };
        let columns = columns.map(|columns| columns.iter().map(wanted).collect());
        let (store, at) = (Arc::new(FolderStore::new(folder.path())), format!("s3://b/{key}").parse().unwrap());
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let request = Request { columns, ..request() };
            let scan = Scan::open(&tokio::runtime::Handle::current(), store, &at, &request).await.unwrap();
            scan.hidden().to_vec()
        })
    };
    assert_eq!(hidden("n=5/t=x/day=1/k.parquet", None), ["n", "t"]);
    assert_eq!(hidden("n=5/t=x/day=1/k.parquet", Some(&["f", "t", "day"])), ["t"]);
    assert_eq!(hidden("n=5/k.parquet", Some(&["f"])), [""; 0]);
    assert_eq!(hidden("k.parquet", None), [""; 0]);
}
