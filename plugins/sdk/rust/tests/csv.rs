//! The reader against the `csv` crate on random input, and its limits.

#![allow(clippy::unwrap_used, reason = "a test that finds what it did not expect should stop there")]

use std::collections::HashSet;

use gristmill_plugin::Failure;
use gristmill_plugin::csv::{Error, ErrorKind, Memory, Options, Reader, Source};
use proptest::prelude::*;

type Table = Vec<Vec<Vec<u8>>>;

/// The header's names, all records up to the first bad one, and that one's line and number of fields.
type Outcome = (Vec<Vec<u8>>, Table, Option<(u64, usize)>);

/// What [`theirs`] says of the same bytes; none where the header cannot be used.
fn ours(chunks: &[Vec<u8>]) -> Option<Outcome> {
    let mut reader = Reader::new(Memory::new("o", chunks.to_vec())).ok()?;
    let header = reader.columns().iter().map(|name| name.clone().into_bytes()).collect();
    let mut records = Vec::new();
    let failure = loop {
        match reader.read() {
            Ok(Some(record)) => records.push(record.fields().map(<[u8]>::to_vec).collect()),
            Ok(None) => break None,
            Err(error) => match error.kind() {
                ErrorKind::FieldCount { found, .. } => break Some((error.line().unwrap(), *found)),
                _ => panic!("{error}"),
            },
        }
    };
    assert_eq!(reader.records() as usize, records.len() + usize::from(failure.is_some()));
    Some((header, records, failure))
}

fn theirs(bytes: &[u8]) -> Option<Outcome> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let fields = |record: &csv::ByteRecord| -> Vec<Vec<u8>> { record.iter().map(<[u8]>::to_vec).collect() };
    let mut all = reader.byte_records().map(Result::unwrap);
    let header = fields(&all.next()?);
    let names: Vec<_> = header.iter().filter(|name| !name.is_empty()).collect();
    if names.iter().collect::<HashSet<_>>().len() < names.len() {
        return None;
    }
    let mut records = Vec::new();
    for record in all {
        if record.len() != header.len() {
            // csv counts from where it stopped before; the record begins after the empty lines.
            let from = record.position().unwrap().byte() as usize;
            let start = from + bytes[from..].iter().take_while(|byte| b"\r\n".contains(byte)).count();
            let line = bytes[..start].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            return Some((header, records, Some((line, record.len()))));
        }
        records.push(fields(&record));
    }
    Some((header, records, None))
}

fn cut(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
}

/// Whether the bytes end within quotes: only there a line's end changes what was read.
fn open_quote(bytes: &[u8]) -> bool {
    let last = |bytes: &[u8]| {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
        reader.byte_records().map(Result::unwrap).last()
    };
    last(bytes) != last(&[bytes, b"\n"].concat())
}

/// Bytes in which everything that means something is frequent.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => Just(&b","[..]),
        3 => Just(&b"\n"[..]),
        2 => Just(&b"\r\n"[..]),
        1 => Just(&b"\r"[..]),
        2 => Just(&b"\""[..]),
        1 => Just(&b"\"\""[..]),
        6 => Just(&b"a"[..]),
        2 => Just(&b"PRCP"[..]),
        1 => Just(&b"\xef\xbb\xbf"[..]),
        1 => Just(&b"a field that is long enough to make its record longer than sixty-four bytes"[..]),
    ];
    prop::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
}

/// Tables whose records all have the same number of fields, written with quotes where they are needed, and elsewhere at will.
fn table() -> impl Strategy<Value = Vec<u8>> {
    let field = prop_oneof![
        8 => "[a-zA-Z0-9 ]{0,12}",
        1 => "[a-z,\"\r\n]{0,9}",
        1 => "[a-z]{50,90}",
    ];
    (1..9usize, prop_oneof![Just("\n"), Just("\r\n")], any::<bool>()).prop_flat_map(move |(width, end, last)| {
        let record = prop::collection::vec((field.clone(), prop::bool::weighted(0.05)), width);
        prop::collection::vec(record, 1..40).prop_map(move |records| {
            let write = |(field, quoted): &(String, bool)| {
                let needs = field.contains([',', '"', '\r', '\n']) || (field.is_empty() && width == 1);
                if *quoted || needs { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.clone() }
            };
            let lines: Vec<String> =
                records.iter().map(|record| record.iter().map(write).collect::<Vec<_>>().join(",")).collect();
            (lines.join(end) + if last { end } else { "" }).into_bytes()
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_as_csv_reads_them(bytes in soup(), cuts in prop::collection::vec(any::<usize>(), 0..8)) {
        // What is no UTF-8 in a header is shown with replacement characters.
        prop_assume!(std::str::from_utf8(&bytes).is_ok());
        let closed = if open_quote(&bytes) { [&bytes, &b"\""[..]].concat() } else { bytes };
        prop_assert_eq!(ours(&cut(&closed, &cuts)), theirs(&closed));
    }

    #[test]
    fn a_quote_that_is_never_closed_is_an_error_wherever_it_starts(
        bytes in table(),
        rest in "[a-z,\n]{0,100}",
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        prop_assume!(theirs(&bytes).is_some());
        let bytes = [&bytes, &b"\n\""[..], rest.as_bytes()].concat();
        let mut reader = Reader::new(Memory::new("o", cut(&bytes, &cuts))).unwrap();
        let error = loop {
            match reader.read() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the open quote went unseen"),
                Err(error) => break error,
            }
        };
        prop_assert!(matches!(error.kind(), ErrorKind::OpenQuote), "{error}");
        let start = bytes.len() - rest.len();
        let line = bytes[..start].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        prop_assert_eq!(error.line(), Some(line));
    }

    #[test]
    fn tables_are_read_as_csv_reads_them(bytes in table(), cuts in prop::collection::vec(any::<usize>(), 0..8)) {
        let outcome = ours(&cut(&bytes, &cuts));
        prop_assert!(outcome.as_ref().is_none_or(|(_, _, failure)| failure.is_none()));
        prop_assert_eq!(outcome, theirs(&bytes));
    }

    #[test]
    fn a_filter_returns_what_a_comparison_would(
        records in prop::collection::vec(("[ab]{0,20}", "[ab]{0,3}|PRCP|\"PRCP\"", "[ab]{0,60}"), 0..60),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
        value in "[ab]{0,3}|PRCP",
    ) {
        let lines = records.iter().map(|(a, b, c)| format!("{a},{b},{c}\n"));
        let bytes: Vec<u8> = std::iter::once("x,y,z\n".to_owned()).chain(lines).collect::<String>().into_bytes();
        let mut reader = Reader::new(Memory::new("o", cut(&bytes, &cuts))).unwrap();
        let column = reader.column("y").unwrap();
        reader.only(column, &value);
        let mut found = Vec::new();
        while let Some(record) = reader.read().unwrap() {
            found.push((record.line(), record.text(column).unwrap().to_owned()));
        }
        let wanted = records.iter().enumerate().filter(|(_, (_, b, _))| b.trim_matches('"') == value);
        let expected: Vec<_> = wanted.map(|(index, _)| (index as u64 + 2, value.clone())).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(reader.records() as usize, records.len());
    }
}

/// An object of one endless line.
struct Endless {
    left: usize,
    given: usize,
}

impl Source for Endless {
    fn name(&self) -> &str {
        "s3://b/endless"
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let first = self.given == 0;
        self.left -= 1;
        self.given += 1;
        Ok((self.left > 0).then(|| if first { b"a,b\n1,2\n3,".to_vec() } else { vec![b'x'; 1 << 20] }))
    }
}

#[test]
fn a_line_without_end_is_one_error_after_as_much_as_the_limit() {
    let mut source = Endless { left: 100, given: 0 };
    let mut reader = Reader::new(&mut source).unwrap();
    assert!(reader.read().unwrap().is_some());
    let error = reader.read().map(|_| ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::RecordTooLong { limit } if *limit == 8 << 20));
    assert!(
        error.to_string().starts_with("s3://b/endless: line 3 starts a record of more than 8388608 bytes"),
        "{error}"
    );
    drop(reader);
    assert!(source.given <= 11, "read on for {} MiB", source.given);
}

#[test]
fn a_header_of_delimiters_only_is_bounded() {
    let error = Reader::new(Memory::new("o", [vec![b','; 1 << 20]])).map(|_| ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TooManyFields { .. }), "{error}");
}

#[test]
fn the_limit_and_the_delimiter_are_the_authors_choice() {
    let options = Options { delimiter: b';', record_limit: 100 };
    let read = |length: usize| -> Result<usize, Error> {
        let object = Memory::new("o", [format!("a;b\n1,5;{}\n", "x".repeat(length))]);
        let mut reader = Reader::with_options(object, options)?;
        let column = reader.column("b")?;
        Ok(reader.read()?.unwrap().bytes(column).len())
    };
    assert_eq!(read(90).unwrap(), 90);
    assert!(matches!(read(300_000).unwrap_err().kind(), ErrorKind::RecordTooLong { limit: 100 }));
}

#[test]
fn errors_say_where() {
    let mut reader = Reader::new(Memory::new("s3://b/k", [&b"a,b\n\n\"1\n1\",\xff\n2,x\n"[..]])).unwrap();
    let b = reader.column("b").unwrap();
    let missing = reader.column("c").unwrap_err();
    assert_eq!(missing.to_string(), r#"s3://b/k has no column "c" in its header, which is "a,b""#);
    let first = reader.read().unwrap().unwrap();
    assert_eq!(first.text(b).unwrap_err().to_string(), "s3://b/k: line 3 has a b that is not UTF-8");
    let second = reader.read().unwrap().unwrap();
    assert_eq!(
        second.int64(b).unwrap_err().to_string(),
        r#"s3://b/k: line 5 has "x" as b, which is not a whole number"#
    );
    let empty = Reader::new(Memory::new("s3://b/k", ["\r\n", "\n"])).map(|_| ()).unwrap_err();
    assert_eq!(empty.to_string(), "s3://b/k is empty, there is no header");
}

#[test]
fn what_is_no_csv_is_said_to_be_what_it_is() {
    for (bytes, says) in [
        (&b"\x1f\x8b\x08\0\0\0\0\0\0\xff"[..], "gzip: let its key end in `.gz`, and it is decompressed"),
        (b"BZh91AY&SY\x01\n", "bzip2: let its key end in `.bz2`, and it is decompressed"),
        (b"PAR1\x15\x04\x15", "Parquet"),
        (b"PK\x03\x04\x14\0", "a ZIP archive, as a spreadsheet (.xlsx) is too: unpack it"),
        (b"\xff\xfea\0,\0\n\0", "text in UTF-16: save it as UTF-8"),
        (b"a\0,\0b\0\n\0", "text in UTF-16: save it as UTF-8"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\n<!DOCTYPE html>\n<html>", "an HTML page"),
    ] {
        for size in [1, 2, 100] {
            let error = Reader::new(Memory::new("s3://b/k", bytes.chunks(size))).map(|_| ()).unwrap_err();
            assert_eq!(error.to_string(), format!("s3://b/k is no CSV; by its first bytes it is {says}"));
            assert_eq!(Failure::from(error).code(), "NotCsv");
        }
    }
    for text in ["PAR1,PAR2\n1,2\n", "BZh9\n", "PK\n", "<html\n"] {
        assert_eq!(Reader::new(Memory::new("o", [text])).is_ok(), text != "<html\n", "{text}");
    }
}

#[test]
fn columns_without_a_name_are_no_obstacle() {
    let mut reader = Reader::new(Memory::new("o", ["pk,n,,,\n1,2,,,\n3,4,x,,\n"])).unwrap();
    let n = reader.column("n").unwrap();
    assert_eq!(reader.read().unwrap().unwrap().text(n).unwrap(), "2");
    assert_eq!(reader.read().unwrap().unwrap().text(n).unwrap(), "4");
    assert!(reader.column("").is_err(), "no name is no name");
}

#[test]
fn a_failing_source_is_passed_on_as_it_is() {
    struct Failing(u8);
    impl Source for Failing {
        fn name(&self) -> &str {
            "o"
        }
        fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
            self.0 += 1;
            if self.0 == 1 { Ok(Some(b"a\n1\n2".to_vec())) } else { Err(Failure::retry("ObjectChanged", "o changed")) }
        }
    }
    let mut reader = Reader::new(Failing(0)).unwrap();
    assert!(reader.read().unwrap().is_some());
    let failure: Failure = reader.read().map(|_| ()).unwrap_err().into();
    assert_eq!(failure, Failure::retry("ObjectChanged", "o changed"));
}
