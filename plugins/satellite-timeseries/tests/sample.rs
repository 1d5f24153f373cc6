//! The sample's images, read natively: the rows are those of Python's netCDF4, few bytes are read, and neither a damaged file nor a
//! store that fails is more than what it is.

#![allow(clippy::unwrap_used, reason = "a test that finds what it did not expect should stop there")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gristmill_plugin::Failure;
use gristmill_plugin::csv::{self, Memory};
use gristmill_plugin::objects::{Ranges, Reader};
use proptest::prelude::*;
use satellite_timeseries::extract::{self, Day};
use satellite_timeseries::points::Points;
use satellite_timeseries::settings::Unreadable;
use serde_json::Value;

const GRID: [u64; 2] = [3201, 3201];

/// An object of which reads fail from one on.
struct Object {
    bytes: Arc<[u8]>,
    reads: Arc<AtomicUsize>,
    fails: Option<(usize, Failure)>,
}

impl Ranges for Object {
    fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>, Failure> {
        let read = self.reads.fetch_add(1, Ordering::Relaxed);
        match &self.fails {
            Some((from, failure)) if read >= *from => Err(failure.clone()),
            _ => Ok(self.bytes[offset as usize..][..length as usize].to_vec()),
        }
    }
}

fn reader(bytes: &[u8]) -> Reader {
    failing(bytes, None)
}

fn failing(bytes: &[u8], fails: Option<(usize, Failure)>) -> Reader {
    let object = Object { bytes: bytes.into(), reads: Arc::default(), fails };
    Reader::new("s3://b/k.nc", bytes.len() as u64, object)
}

/// The images' bytes in the order of their names.
fn images() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample/MSG/MDSSFTD/NETCDF/2018/01/01");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn points() -> Points {
    let text = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("sample/points.csv")).unwrap();
    Points::of(&mut csv::Reader::new(Memory::new("s3://b/points.csv", [text])).unwrap(), GRID).unwrap()
}

/// A day of these files, and its rows.
fn day(
    count: usize,
    unreadable: Unreadable,
    open: impl Fn(usize) -> Result<Reader, Failure>,
) -> (Result<Day, Failure>, Vec<Value>) {
    let uris: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    let mut rows = Vec::new();
    let day = extract::day(
        &uris,
        &points(),
        GRID,
        unreadable,
        |uri| open(uri.parse().unwrap()),
        |row| {
            rows.push(serde_json::to_value(row).unwrap());
            Ok(())
        },
    );
    rows.sort_by_key(|row| (row["time"].as_str().unwrap().to_owned(), row["point_id"].as_i64().unwrap()));
    (day, rows)
}

fn golden() -> Vec<Value> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/values.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_rows_are_those_of_netcdf4() {
    let images = images();
    let (said, rows) = day(3, Unreadable::Reject, |number| Ok(reader(&images[number])));
    assert_eq!(said.unwrap(), Day { files: 3, rows: 18, ..Day::default() });
    assert_eq!(rows, golden());
}

#[test]
fn a_small_file_is_read_once() {
    let image = images().remove(0);
    let object = Object { bytes: image.as_slice().into(), reads: Arc::default(), fails: None };
    let reads = object.reads.clone();
    let read = Reader::new("s3://b/k.nc", image.len() as u64, object);
    let said = extract::one("s3://b/k.nc", &points(), GRID, |_| Ok(read.clone()), |_| Ok(()));
    assert_eq!((said.unwrap().rows, reads.load(Ordering::Relaxed)), (6, 1));
    assert_eq!(read.stats().bytes, image.len() as u64);
}

#[test]
fn a_store_that_is_not_there_is_a_retry_at_every_read() {
    let image = images().remove(0);
    let unavailable = Failure::retry("ObjectUnavailable", "s3://b/k.nc: the store is not there");
    // In pieces so small that there are many reads: of the header, of the directories, of the chunks.
    let mut failed = 0;
    for from in 0.. {
        let read = || Ok(failing(&image, Some((from, unavailable.clone()))).pieces(512));
        match extract::one("s3://b/k.nc", &points(), GRID, |_| read(), |_| Ok(())) {
            Ok(_) => break,
            Err(failure) => assert_eq!(failure, unavailable),
        }
        let (said, _) = day(1, Unreadable::Report, |_| read());
        assert_eq!(said.unwrap_err(), unavailable);
        failed += 1;
    }
    assert!(failed > 20, "{failed} reads");
    let opened = day(1, Unreadable::Report, |_| Err(unavailable.clone())).0;
    assert_eq!(opened.unwrap_err(), unavailable);
}

#[test]
fn what_is_not_granted_ends_the_day_and_what_is_gone_does_not() {
    let images = images();
    let denied = Failure::reject("ObjectDenied", "s3://b/k.nc is not granted");
    let gone = Failure::reject("ObjectNotFound", "there is no object s3://b/k.nc");
    let with = |failure: &Failure| {
        day(
            3,
            Unreadable::Report,
            |number| if number == 1 { Err(failure.clone()) } else { Ok(reader(&images[number])) },
        )
    };
    assert_eq!(with(&denied).0.unwrap_err(), denied);
    let (said, rows) = with(&gone);
    let said = said.unwrap();
    assert_eq!((said.files, said.unread_files, rows.len()), (2, 1, 12));
    assert_eq!((said.unread[0].uri.as_str(), said.unread[0].code.as_str()), ("1", "ObjectNotFound"));
}

#[test]
fn of_two_files_of_one_time_the_later_one_counts() {
    let images = images();
    // Of the earlier one nothing is read but its time: that its chunks are gone does not matter.
    let mut gone = images[0].clone();
    gone[10_000..40_000].fill(0);
    let alone = day(1, Unreadable::Report, |_| Ok(reader(&gone))).0.unwrap_err();
    assert_eq!(alone.code(), "Unreadable");
    let (said, rows) = day(2, Unreadable::Reject, |number| Ok(reader([&gone, &images[0]][number])));
    let said = said.unwrap();
    assert_eq!((said.files, said.rows, said.repeated_files), (1, 6, 1));
    assert_eq!((said.repeated[0].uri.as_str(), said.repeated[0].counts.as_str()), ("0", "1"));
    assert_eq!(rows, golden()[..6]);
}

#[test]
fn a_report_has_room_for_any_number_of_files() {
    let images = images();
    let (said, _) =
        day(400, Unreadable::Report, |number| if number == 7 { Ok(reader(&images[0])) } else { Ok(reader(b"no")) });
    let said = said.unwrap();
    assert_eq!((said.files, said.unread_files), (1, 399));
    assert!(said.unread.len() > 5 && serde_json::to_string(&said).unwrap().len() < 4096);
    let rejected = day(400, Unreadable::Report, |_| Ok(reader(b"no"))).0.unwrap_err();
    assert!(rejected.message().starts_with("400 of 400 files could not be read; 399: BadImage: "), "{rejected}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_damaged_file_is_no_more_than_a_file_that_cannot_be_read(
        cut in prop::option::of(any::<prop::sample::Index>()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        pieces in 64_u64..100_000,
    ) {
        let mut image = images().remove(0);
        for (at, byte) in damage {
            let at = at.index(image.len());
            image[at] = byte;
        }
        image.truncate(cut.map_or(image.len(), |cut| cut.index(image.len())));
        let read = extract::one("s3://b/k.nc", &points(), GRID, |_| Ok(reader(&image).pieces(pieces)), |_| Ok(()));
        if let Err(failure) = read {
            prop_assert!(!failure.is_retry(), "{failure}");
        }
    }
}
