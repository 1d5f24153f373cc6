//! Items of every source, over a store in memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::*;
use crate::dataset::LoadAs;
use crate::object::{Metadata, ObjectError, Page};

/// Objects in memory that count what is asked of them.
#[derive(Default)]
pub(super) struct Memory {
    objects: BTreeMap<String, Vec<u8>>,
    /// The ranges that were read, behind the first.
    reads: Mutex<Vec<Range<u64>>>,
    lists: Mutex<u32>,
    /// Objects per page.
    page: usize,
}

impl Memory {
    pub(super) fn with(objects: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Arc<Self> {
        let objects = objects.into_iter().map(|(key, bytes)| (key.to_owned(), bytes)).collect();
        Arc::new(Self { objects, page: 1000, ..Self::default() })
    }

    fn find(&self, at: &Location) -> Result<(Metadata, &[u8]), ObjectError> {
        let bytes = self.objects.get(&at.key).ok_or_else(|| ObjectError::NotFound(format!("there is no {at}")))?;
        let last_modified = OffsetDateTime::from_unix_timestamp(1_700_000_000).ok();
        Ok((Metadata { location: at.clone(), size: bytes.len() as u64, etag: "\"tag\"".into(), last_modified }, bytes))
    }
}

#[async_trait]
impl ObjectStore for Memory {
    async fn open(&self, at: &Location, first: u64) -> Result<(Metadata, Bytes), ObjectError> {
        let (metadata, bytes) = self.find(at)?;
        Ok((metadata, Bytes::copy_from_slice(&bytes[..bytes.len().min(first as usize)])))
    }

    async fn read(&self, at: &Location, etag: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        assert_eq!(etag, "\"tag\"");
        self.reads.lock().unwrap().push(range.clone());
        Ok(Bytes::copy_from_slice(&self.find(at)?.1[range.start as usize..range.end as usize]))
    }

    async fn list(&self, prefix: &Location, next: Option<&str>) -> Result<Page, ObjectError> {
        *self.lists.lock().unwrap() += 1;
        let mut keys = self
            .objects
            .keys()
            .filter(|key| key.starts_with(&prefix.key) && next.is_none_or(|next| key.as_str() > next));
        let page: Vec<_> = keys.by_ref().take(self.page).collect();
        let next = keys.next().and(page.last()).map(|key| (*key).clone());
        let objects = page.into_iter().map(|key| Ok(self.find(&prefix.with_key(key))?.0)).collect::<Result<_, _>>()?;
        Ok(Page { objects, next })
    }
}

pub(super) fn at(key: &str) -> Location {
    Location { bucket: "b".into(), key: key.into() }
}

/// The items until the end or the first error, and that error.
pub(super) async fn collect(store: &Arc<Memory>, source: Source) -> (Vec<String>, Option<String>) {
    let mut items = read(store.clone(), source);
    let mut texts = Vec::new();
    while let Some(item) = items.next().await {
        match item {
            Ok(item) => texts.push(item.into_json().unwrap().get().to_owned()),
            Err(error) => {
                assert!(items.next().await.is_none(), "nothing follows an error");
                return (texts, Some(error.to_string()));
            }
        }
    }
    (texts, None)
}

pub(super) async fn good(store: &Arc<Memory>, source: Source) -> Vec<String> {
    let (items, error) = collect(store, source).await;
    assert_eq!(error, None);
    items
}

fn csv(headers: Option<&[&str]>, delimiter: char) -> Source {
    let headers = headers.map(|names| names.iter().map(|&name| name.to_owned()).collect());
    Source::Csv { at: at("x.csv"), headers, delimiter }
}

/// The rows of a CSV text as Step Functions reads it.
async fn rows(text: impl AsRef<[u8]>) -> (Vec<String>, Option<String>) {
    collect(&Memory::with([("x.csv", text.as_ref().to_vec())]), csv(None, ',')).await
}

#[tokio::test]
async fn what_is_in_listed_objects_is_what_each_would_give_alone() {
    let sample = include_bytes!("../../table/samples/dictionary.parquet").to_vec();
    let files = [
        ("c/1.csv", b"a,b\n1,2\n".to_vec()),
        ("c/2.csv", b"b\n3\n4\n".to_vec()),
        ("d/", vec![]),
        ("d/1.json", br#"{"of": [1.0, {"a": 2}]}"#.to_vec()),
        ("d/2.json", br#"{"of": {"f": 3}}"#.to_vec()),
        ("l/1.jsonl", b"1\n2\n".to_vec()),
        ("l/2.jsonl", b"".to_vec()),
        ("l/3.jsonl", b"3\n".to_vec()),
        ("p/1", sample.clone()),
        ("p/2", sample),
    ];
    let store = Memory::with(files);
    let load = |prefix: &str, as_: LoadAs| good(&store, Source::Load { at: at(prefix), as_ });
    let csv = LoadAs::Csv { headers: None, delimiter: ',' };
    assert_eq!(load("c/", csv).await, [r#"{"a":"1","b":"2"}"#, r#"{"b":"3"}"#, r#"{"b":"4"}"#]);
    let json = LoadAs::Json { pointer: "/of".into() };
    assert_eq!(load("d/", json).await, ["1.0", r#"{"a": 2}"#, r#"{"Key":"f","Value":3}"#]);
    assert_eq!(load("l/", LoadAs::JsonLines).await, ["1", "2", "3"]);
    let one = good(&store, Source::Parquet { at: at("p/1") }).await;
    assert!(!one.is_empty());
    assert_eq!(load("p/", LoadAs::Parquet).await, [&one[..], &one[..]].concat());
    assert!(load("nothing/", LoadAs::JsonLines).await.is_empty());
    let (before, error) = collect(&store, Source::Load { at: at(""), as_: LoadAs::JsonLines }).await;
    assert_eq!(
        (before.len(), error.map(|error| error.starts_with("s3://b/c/1.csv: line 1: not JSON"))),
        (0, Some(true))
    );
}

#[tokio::test]
async fn objects_are_described_as_step_functions_does() {
    let store = Memory::with([("p/a b.csv", b"123".to_vec()), ("p/empty", vec![]), ("q", vec![])]);
    assert_eq!(
        good(&store, Source::ListObjects(at("p/"))).await,
        [
            r#"{"Etag":"\"tag\"","Key":"p/a b.csv","LastModified":1700000000,"Size":3,"StorageClass":"STANDARD"}"#,
            r#"{"Etag":"\"tag\"","Key":"p/empty","LastModified":1700000000,"Size":0,"StorageClass":"STANDARD"}"#,
        ]
    );
    assert!(good(&store, Source::ListObjects(at("nothing/"))).await.is_empty());
}

#[tokio::test]
async fn what_marks_a_folder_is_no_item() {
    let objects = [("p/", vec![]), ("p/a", b"1".to_vec()), ("p/d/", vec![]), ("p/e/", b"1".to_vec())];
    let items = good(&Memory::with(objects), Source::ListObjects(at("p/"))).await;
    let names: Vec<_> = items.iter().filter_map(|item| crate::job::item_name(item)).collect();
    assert_eq!(names, ["p/a", "p/e/"], "an object with bytes is an object, whatever its name");
}

#[tokio::test]
async fn a_listing_is_read_page_by_page_as_items_are_taken() {
    let keys = ["a", "b", "c", "d", "e"];
    let mut store = Memory { page: 2, ..Memory::default() };
    store.objects = keys.map(|key| (key.to_owned(), vec![])).into();
    let store = Arc::new(store);
    let mut items = read(store.clone(), Source::ListObjects(at("")));
    items.next().await.unwrap().unwrap();
    assert_eq!(*store.lists.lock().unwrap(), 1);
    assert_eq!(items.count().await, 4);
    assert_eq!(*store.lists.lock().unwrap(), 3);
}

#[tokio::test]
async fn csv_rows_are_objects_of_strings_in_the_order_of_the_columns() {
    let (items, error) = rows("\u{feff}z,a b,\"q\"\"\"\r\n1,,ö\r\n\r\n\"x,\r\n\"\"y\"\"\",2,3").await;
    assert_eq!(error, None);
    assert_eq!(items, [r#"{"z":"1","a b":"","q\"":"ö"}"#, r#"{"z":"x,\r\n\"y\"","a b":"2","q\"":"3"}"#]);
}

#[tokio::test]
async fn csv_reads_step_functions_own_examples() {
    // "How Step Functions parses input CSV files"
    let text = "abc,123,\"This string contains commas, a double quotation marks (\"\"), and a newline (\n)\",{\"\"MyKey\"\":\"\"MyValue\"\"},\"[1,2,3]\"\n";
    let store = Memory::with([("x.csv", text.into())]);
    let headers = ["MyLetters", "MyNumbers", "MyString", "MyObject", "MyArray"];
    let items = good(&store, csv(Some(&headers), ',')).await;
    let expected = json!({
        "MyLetters": "abc",
        "MyNumbers": "123",
        "MyString": "This string contains commas, a double quotation marks (\"), and a newline (\n)",
        "MyObject": "{\"MyKey\":\"MyValue\"}",
        "MyArray": "[1,2,3]",
    });
    assert_eq!(items.len(), 1);
    assert_eq!(serde_json::from_str::<Value>(&items[0]).unwrap(), expected);

    let (items, _) = rows(
        r"path,size
C:\\Program Files\\MyApp.exe,6534512
",
    )
    .await;
    assert_eq!(items, [r#"{"path":"C:\\Program Files\\MyApp.exe","size":"6534512"}"#]);
}

#[tokio::test]
async fn csv_rows_of_other_lengths_are_filled_or_cut() {
    let (items, error) = rows("a,b\n1\n1,2,3\n,\n\"\"\n").await;
    assert_eq!(error, None);
    assert_eq!(items, [r#"{"a":"1","b":""}"#, r#"{"a":"1","b":"2"}"#, r#"{"a":"","b":""}"#, r#"{"a":"","b":""}"#]);
}

#[tokio::test]
async fn csv_backslashes_escape_or_go() {
    let (items, error) = rows("a,b\n\\x\\,y,\"q\\\"r\\n\\\\\"\n\\\"k,l\\\n").await;
    assert_eq!(error, None);
    assert_eq!(items, [r#"{"a":"x,y","b":"q\"rn\\"}"#, r#"{"a":"\"k","b":"l"}"#]);
}

#[tokio::test]
async fn csv_columns_without_a_name_at_the_end_are_none() {
    for text in ["pk,n,,,\n1,2,,,\n3,4,x,,\n", "pk,n, ,\"\",\r\n1,2\r\n3,4,,,,,"] {
        let (items, error) = rows(text).await;
        assert_eq!(error, None, "{text}");
        assert_eq!(items, [r#"{"pk":"1","n":"2"}"#, r#"{"pk":"3","n":"4"}"#], "{text}");
    }
    let (items, error) = rows(",n\n1,2\n").await;
    assert_eq!((items, error), (vec![r#"{"":"1","n":"2"}"#.to_owned()], None), "one without a name has a place");
}

#[tokio::test]
async fn csv_takes_other_delimiters() {
    for (text, delimiter) in [("1|2,3\n", '|'), ("1\t2,3", '\t'), ("1;\"2,3\"\n", ';'), ("1 2,3", ' ')] {
        let store = Memory::with([("x.csv", text.into())]);
        assert_eq!(good(&store, csv(Some(&["a", "b"]), delimiter)).await, [r#"{"a":"1","b":"2,3"}"#]);
    }
}

#[tokio::test]
async fn csv_errors_name_object_and_line_and_keep_the_rows_before() {
    for (text, count, expected) in [
        (&b""[..], 0, "s3://b/x.csv: has no header: the object is empty"),
        (b"a,a\n1,2\n", 0, "s3://b/x.csv: two columns are named `a`: an item could have only one of them"),
        (
            b"a,,b,,c\n1\n",
            0,
            "s3://b/x.csv: column 4 and one before it have no name: name them in the object, or give `headers`",
        ),
        (b",,\n1,2,3\n", 0, "s3://b/x.csv: has no header: its first row names no column"),
        (
            b"a,b\r1,2\r",
            0,
            "s3://b/x.csv: line 1: a carriage return that no newline follows; lines end in a newline, or in both",
        ),
        (
            b"a,b\n1,2\n3\r\r\n",
            1,
            "s3://b/x.csv: line 3: a carriage return that no newline follows; lines end in a newline, or in both",
        ),
        (b"a,b\n1,2\n\n3,\xff\n", 1, "s3://b/x.csv: line 4: not UTF-8"),
        (b"a\n1\n\"x\ny", 1, "s3://b/x.csv: line 3: the row has a double quote that never ends"),
    ] {
        let (items, error) = rows(text).await;
        assert_eq!((items.len(), error.as_deref()), (count, Some(expected)));
    }
    let long = format!("a\n\"{}", "x".repeat(MAX_ITEM_BYTES + 200_000));
    assert!(rows(long).await.1.unwrap().contains("line 2: the row is longer than 8388608 bytes"));
    assert!(rows("x".repeat(11_000)).await.1.unwrap().contains("the header is longer than 10240 bytes"));
}

#[tokio::test]
async fn json_elements_stay_as_they_are() {
    let text =
        br#" {"other": [1, {"x": []}], "a~/b": {"list": [ {"b": 1.50,"a":[ ]} , "x\u0041", 3 ]}, "more": null} "#;
    let store = Memory::with([("x.json", text.to_vec()), ("top.json", b"\xef\xbb\xbf[1,[2]]".to_vec())]);
    let items = good(&store, Source::Json { at: at("x.json"), pointer: "/a~0~1b/list".into() }).await;
    assert_eq!(items, [r#"{"b": 1.50,"a":[ ]}"#, r#""x\u0041""#, "3"]);
    assert_eq!(good(&store, Source::Json { at: at("top.json"), pointer: String::new() }).await, ["1", "[2]"]);
    assert_eq!(good(&store, Source::Json { at: at("top.json"), pointer: "/1".into() }).await, ["2"]);
}

#[tokio::test]
async fn fields_of_a_json_object_are_items_as_step_functions_has_them() {
    let text = br#"{"more": [{"z": 1.50,"a\u0062" : {"x": [ ]},"z":null}], "none": {}}"#;
    let store = Memory::with([("x.json", text.to_vec())]);
    let json = |pointer: &str| Source::Json { at: at("x.json"), pointer: pointer.into() };
    assert_eq!(
        good(&store, json("/more/0")).await,
        [r#"{"Key":"z","Value":1.50}"#, r#"{"Key":"ab","Value":{"x": [ ]}}"#, r#"{"Key":"z","Value":null}"#]
    );
    assert_eq!(good(&store, json("/none")).await, [""; 0]);
    assert_eq!(good(&store, json("")).await.len(), 2);
}

#[tokio::test]
async fn json_errors_say_what_is_there_instead() {
    for (text, pointer, count, expected) in [
        ("7", "", 0, "invalid type: integer `7`, expected an array or an object at the document at line 1 column 1"),
        (
            r#"{"a":{"b":7}}"#,
            "/a/b",
            0,
            "invalid type: integer `7`, expected an array or an object at `/a/b` at line 1 column 12",
        ),
        (r#"{"a":1,"b":}"#, "", 1, "not JSON: expected value at line 1 column 12"),
        (r#"{"a":{}}"#, "/a/b", 0, "`/a` has no `b` at line 1 column 7"),
        (r#"{"a":[1],"a":[2]}"#, "/a", 1, "the document has `a` twice at line 1 column 13"),
        (r#"[[1],[2]]"#, "/2", 0, "the array at the document has no element `2` at line 1 column 9"),
        (r#"[[1],[2]]"#, "/01", 0, "the array at the document has no element `01` at line 1 column 2"),
        ("[1,\n2,,3]", "", 2, "not JSON: expected value at line 2 column 3"),
        ("[1] x", "", 1, "not JSON: trailing characters at line 1 column 5"),
        ("", "", 0, "not JSON: EOF while parsing a value at line 1 column 0"),
        ("[]", "a", 0, "the pointer `a` must be empty or start with `/` (RFC 6901)"),
    ] {
        let store = Memory::with([("x.json", text.into())]);
        let (items, error) = collect(&store, Source::Json { at: at("x.json"), pointer: pointer.into() }).await;
        let expected = (count, format!("s3://b/x.json: {expected}"));
        assert_eq!((items.len(), error.unwrap()), expected, "{text} {pointer}");
    }
}

#[tokio::test]
async fn a_json_element_is_bounded_and_what_is_skipped_is_not() {
    let long = "x".repeat(MAX_ITEM_BYTES + 100_000);
    let store = Memory::with([("x.json", format!(r#"{{"skip":"{long}","items":[1,"{long}"]}}"#).into_bytes())]);
    let (items, error) = collect(&store, Source::Json { at: at("x.json"), pointer: "/items".into() }).await;
    assert_eq!(items, ["1"]);
    assert_eq!(error.unwrap(), "s3://b/x.json: element 1 of `/items` is longer than 8388608 bytes");
    let store = Memory::with([("x.json", format!(r#"{{"a":1,"b":"{long}"}}"#).into_bytes())]);
    let (items, error) = collect(&store, Source::Json { at: at("x.json"), pointer: String::new() }).await;
    assert_eq!(items, [r#"{"Key":"a","Value":1}"#]);
    assert_eq!(error.unwrap(), "s3://b/x.json: field 1 of the document is longer than 8388608 bytes");
}

#[tokio::test]
async fn what_is_no_text_is_said_to_be_what_it_is() {
    let says = "s3://b/x: no text that could be read; by its first bytes it is ";
    for (bytes, kind) in [
        (&b"\x1f\x8b\x08\0\0\0\0\0"[..], "gzip: let its key end in `.gz`, and it is decompressed"),
        (b"PAR1\x15\x04\x15", "Parquet"),
        (b"\xff\xfea\0,\0b\0", "text in UTF-16: save it as UTF-8"),
        (b"<html><body>Access denied", "an HTML page"),
    ] {
        let store = Memory::with([("x", bytes.to_vec())]);
        let sources = [
            Source::Csv { at: at("x"), headers: None, delimiter: ',' },
            Source::Csv { at: at("x"), headers: Some(vec!["a".into()]), delimiter: ',' },
            Source::Json { at: at("x"), pointer: String::new() },
            Source::JsonLines { at: at("x") },
        ];
        for source in sources {
            let (items, error) = collect(&store, source).await;
            assert_eq!((items.len(), error.unwrap()), (0, format!("{says}{kind}")));
        }
    }
}

#[tokio::test]
async fn json_lines_are_items_as_they_are() {
    let store = Memory::with([("x.jsonl", b"\xef\xbb\xbf{\"b\": 1,\"a\":2 }\r\n\n \t\r\n[1]\n\"last\"".to_vec())]);
    let items = good(&store, Source::JsonLines { at: at("x.jsonl") }).await;
    assert_eq!(items, [r#"{"b": 1,"a":2 }"#, "[1]", r#""last""#]);
}

#[tokio::test]
async fn json_lines_errors_name_the_line() {
    let long = [b"1\n".to_vec(), vec![b'x'; MAX_ITEM_BYTES + 10]].concat();
    for (text, expected) in [
        (b"1\n\n{\"a\":}\n".to_vec(), "s3://b/x.jsonl: line 3: not JSON: expected value at column 6"),
        (
            b"1\n2\r3\r".to_vec(),
            "s3://b/x.jsonl: line 2: not JSON: trailing characters at column 3; a line ends in a newline, and not in a carriage return alone",
        ),
        (b"1\n\xff\n".to_vec(), "s3://b/x.jsonl: line 2: not UTF-8"),
        (long, "s3://b/x.jsonl: line 2: longer than 8388608 bytes; is the object JSON lines at all?"),
    ] {
        let (items, error) = collect(&Memory::with([("x.jsonl", text)]), Source::JsonLines { at: at("x.jsonl") }).await;
        assert_eq!((items, error.as_deref()), (vec!["1".to_owned()], Some(expected)));
    }
}

#[tokio::test]
async fn a_line_may_have_exactly_the_limit() {
    let line = format!("\"{}\"\r\n2", "x".repeat(MAX_ITEM_BYTES - 3));
    let store = Memory::with([("x.jsonl", line.into_bytes())]);
    assert_eq!(good(&store, Source::JsonLines { at: at("x.jsonl") }).await.len(), 2);
}

#[tokio::test]
async fn compressed_objects_are_undone_by_their_ending() {
    use async_compression::tokio::write::{BzEncoder, GzipEncoder, ZstdEncoder};
    use tokio::io::AsyncWriteExt as _;
    let text = b"1\n2\n";
    macro_rules! compress {
        ($encoder:ident) => {{
            let mut encoder = $encoder::new(Vec::new());
            encoder.write_all(text).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner()
        }};
    }
    let gzip = compress!(GzipEncoder);
    let cut = gzip[..gzip.len() - 6].to_vec();
    let twice = [gzip.clone(), gzip.clone()].concat();
    let store = Memory::with([
        ("x.gz", gzip),
        ("twice.gz", twice),
        ("x.zst", compress!(ZstdEncoder)),
        ("x.bz2", compress!(BzEncoder)),
        ("cut.gz", cut),
        ("no.gz", text.to_vec()),
    ]);
    for key in ["x.gz", "x.zst", "x.bz2"] {
        assert_eq!(good(&store, Source::JsonLines { at: at(key) }).await, ["1", "2"], "{key}");
    }
    assert_eq!(good(&store, Source::JsonLines { at: at("twice.gz") }).await.len(), 4);
    for key in ["cut.gz", "no.gz"] {
        let error = collect(&store, Source::JsonLines { at: at(key) }).await.1.unwrap();
        let expected = format!("s3://b/{key}: cannot be read as gzip, which the ending of its key says it is: ");
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[tokio::test]
async fn a_missing_object_is_the_stores_own_error() {
    let store = Memory::with([]);
    let (_, error) = collect(&store, Source::JsonLines { at: at("gone") }).await;
    assert_eq!(error.as_deref(), Some("there is no s3://b/gone"));
}

#[tokio::test]
async fn given_items_are_items() {
    let raw = |text: &str| serde_json::value::RawValue::from_string(text.into()).unwrap();
    let given = vec![raw(r#""2018-01-01""#).into(), raw(r#"{"a" : 1.0}"#).into()];
    assert_eq!(good(&Memory::with([]), Source::Items(given)).await, [r#""2018-01-01""#, r#"{"a" : 1.0}"#]);
}

#[tokio::test]
async fn a_large_object_is_read_in_ranges_and_no_further_than_items_are_taken() {
    let text = format!("\"{}\"\n", "x".repeat(997)).repeat(20_000).into_bytes();
    let [store, other] = [(); 2].map(|()| Memory::with([("x.jsonl", text.clone())]));
    let lines = || Source::JsonLines { at: at("x.jsonl") };
    let mut items = read(store.clone(), lines());
    items.next().await.unwrap().unwrap();
    // As long as it takes to read all of it, a reader that does not stand still would have gone on.
    assert_eq!(good(&other, lines()).await.len(), 20_000);
    let read_early = store.reads.lock().unwrap().len();
    assert!(read_early <= 2, "{read_early} ranges were read for one item");
    assert_eq!(items.count().await, 19_999);
    let reads = store.reads.lock().unwrap();
    assert_eq!(reads.first(), Some(&(1_048_576..2_097_152)));
    assert_eq!(reads.last().map(|range| range.end), Some(20_000_000));
}

proptest! {
    /// Text without backslashes that a CSV library wrote comes back as it was, whatever the chunks of the reader.
    #[test]
    fn csv_reads_what_a_csv_library_writes(
        table in prop::collection::vec(prop::collection::vec("[a-zö,\"\r\n ]{0,6}", 3), 1..8), chunk in 1usize..20,
    ) {
        let mut writer = ::csv::WriterBuilder::new().quote_style(::csv::QuoteStyle::Always).from_writer(Vec::new());
        for row in &table {
            writer.write_record(row).unwrap();
        }
        let text = writer.into_inner().unwrap();
        let mut input = std::io::BufReader::with_capacity(chunk, &text[..]);
        let mut items: Vec<BTreeMap<String, String>> = Vec::new();
        let headers = Some(vec!["0".into(), "1".into(), "2".into()]);
        super::csv::read(&mut input, headers, ',', &mut |item| {
            items.push(serde_json::from_str(item.value.get()).unwrap());
            Ok(())
        }).unwrap();
        let back: Vec<Vec<String>> = items.into_iter().map(|item| item.into_values().collect()).collect();
        prop_assert_eq!(back, table);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(prop::sample::select(&b"ab,\"\\\r\n{}[]1:\xff "[..]), 0..60)) {
        let mut emit = |_| Ok(());
        let _ = super::csv::read(&mut &bytes[..], None, ',', &mut emit);
        let _ = json_lines::read(&mut &bytes[..], &mut emit);
        let _ = json::read(&mut &bytes[..], "/a", &mut emit);
    }
}
