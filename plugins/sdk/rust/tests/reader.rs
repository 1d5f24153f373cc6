//! A reader is the object's bytes, however it is asked; and it asks for few of them.

#![allow(clippy::unwrap_used, reason = "a test that finds what it did not expect should stop there")]

use std::io::{Read as _, Seek as _, SeekFrom};

use gristmill_plugin::Failure;
use gristmill_plugin::objects::{Ranges, Reader, Stats};
use proptest::prelude::*;

struct Bytes(u64);

fn byte(at: u64) -> u8 {
    (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

fn bytes(start: u64, length: u64) -> Vec<u8> {
    (start..start + length).map(byte).collect()
}

impl Ranges for Bytes {
    fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>, Failure> {
        assert!(length <= 8 << 20 && offset + u64::from(length) <= self.0, "{length} bytes from {offset} on");
        Ok(bytes(offset, length.into()))
    }
}

fn reader(size: u64) -> Reader {
    Reader::new("s3://b/k", size, Bytes(size))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_read_is_what_is_there(
        size in prop_oneof![0_u64..3_000, (33_u64 << 20)..(34 << 20)],
        places in prop::collection::vec((any::<prop::sample::Index>(), 0_u64..700_000, any::<bool>()), 1..12),
    ) {
        let reader = reader(size);
        for (place, length, ahead) in places {
            let start = place.index(size as usize + 1) as u64;
            let length = length.min(size - start);
            if ahead {
                reader.prefetch([start..start + length / 2, start..start + length], 100).unwrap();
            }
            let mut buffer = vec![0; length as usize];
            reader.read_at(start, &mut buffer).unwrap();
            prop_assert!(buffer == bytes(start, length));
        }
        prop_assert!(reader.take_error().is_none());
    }
}

#[test]
fn pieces_may_be_smaller_than_the_size_suggests() {
    let sparing = reader(20 << 20).pieces(64 << 10);
    sparing.read_at(5, &mut [0; 10]).unwrap();
    sparing.read_at(19 << 20, &mut [0; 100_000]).unwrap();
    assert_eq!(sparing.stats(), Stats { reads: 2, bytes: (64 << 10) + (128 << 10) });
}

#[test]
fn a_small_object_comes_at_once_and_a_large_one_in_what_is_wanted() {
    let small = reader(3 << 20);
    small.read_at(5, &mut [0; 10]).unwrap();
    small.read_at(2 << 20, &mut [0; 10]).unwrap();
    assert_eq!(small.stats(), Stats { reads: 1, bytes: 3 << 20 });
    let large = reader(100 << 20);
    large.prefetch([0..10, 1_000..2_000, 9 << 20..10 << 20], 1_000).unwrap();
    assert_eq!(large.stats(), Stats { reads: 2, bytes: 2_000 + (1 << 20) });
    large.read_at(1_500, &mut [0; 400]).unwrap();
    large.read_at(9 << 20, &mut [0; 400]).unwrap();
    assert_eq!(large.stats().reads, 2);
    // More than is kept: what came first goes first.
    large.prefetch(std::iter::once(20 << 20..53 << 20), 0).unwrap();
    large.read_at(1_500, &mut [0; 400]).unwrap();
    assert_eq!(large.stats().reads, 2 + 5 + 1);
}

#[test]
fn it_is_a_file_and_clones_are_places_of_their_own() {
    let mut first = reader(10);
    let mut second = first.clone();
    let mut all = Vec::new();
    first.read_to_end(&mut all).unwrap();
    assert_eq!(all, bytes(0, 10));
    second.seek(SeekFrom::End(-3)).unwrap();
    second.seek(SeekFrom::Current(1)).unwrap();
    let mut two = [0; 2];
    second.read_exact(&mut two).unwrap();
    assert_eq!(two, *bytes(8, 2));
    assert!(second.seek(SeekFrom::Current(-11)).is_err());
    assert_eq!(first.stats().reads, 1);
}

#[test]
fn the_hosts_error_is_kept() {
    struct Away;
    impl Ranges for Away {
        fn read(&self, _: u64, _: u32) -> Result<Vec<u8>, Failure> {
            Err(Failure::retry("ObjectUnavailable", "s3://b/k: the store is away"))
        }
    }
    let mut reader = Reader::new("s3://b/k", 10, Away);
    assert!(reader.read(&mut [0; 4]).is_err());
    assert!(reader.take_error().unwrap().is_retry());
    assert!(reader.take_error().is_none());
    let failure = reader.read_at(8, &mut [0; 4]).unwrap_err();
    assert_eq!(failure.to_string(), "ObjectInvalid: s3://b/k: 4 bytes from 8 on are wanted of 10");
}
