//! Reading: grants, ranges, handles, and bytes that are not what they seem.

use super::*;

/// What `open` and `list` say of a URI: `granted`, or the error's number and sentence.
fn asked(call: &str, uri: &str) -> Result<(), (String, String)> {
    let process = format!("(call ${call} «{uri}» $out) (call $refused)");
    let case = Case::of(&Guest::new(&process)).object("dir/x", "held");
    let run = case.run();
    if let Err(fault) = &run.result
        && fault.code == DENIED
    {
        assert_eq!(case.objects.opened.load(Ordering::Relaxed), 0, "{uri} reached the store");
    }
    run.result.map(drop).map_err(|fault| (fault.code, fault.message))
}

/// The errors of the contract, by number.
const NOT_FOUND: &str = "0";
const DENIED: &str = "1";
const INVALID: &str = "2";
const TOO_LARGE: &str = "4";

#[test]
fn only_what_is_granted_is_opened() {
    assert_eq!(asked("open", "s3://b/dir/x"), Ok(()));
    let found = |uri| asked("open", uri).unwrap_err();
    assert_eq!(found("s3://b/dir/y").0, NOT_FOUND);
    for uri in [
        "s3://other/dir/x",
        "s3://b/dir",
        "s3://b/dirx",
        "s3://b/di",
        "s3://b/",
        "s3://b",
        "s3://B/dir/x",
        "s3://b/DIR/x",
        "s3://b//dir/x",
        "s3://b/%64ir/x",
        "s3://b/x?/dir/",
        "s3://b.evil/dir/x",
    ] {
        let (code, message) = found(uri);
        assert_eq!(code, DENIED, "{uri}");
        assert!(message.contains("`[grants] read` of dataset hostile"), "{message}");
    }
    for uri in [
        "",
        "b/dir/x",
        "S3://b/dir/x",
        "file:///etc/passwd",
        "https://b/dir/x",
        "s3:///dir/x",
        "s3://b/dir/../x",
        "s3://b/dir/..",
        "s3://../dir/x",
        "s3://b/dir/./x",
        "s3://b/dir/\0",
        " s3://b/dir/x",
    ] {
        assert_eq!(found(uri).0, INVALID, "{uri}");
    }
    let long = format!("s3://b/dir/{}", "x".repeat(2_000));
    assert_eq!(found(&long).0, INVALID);
}

#[test]
fn only_within_a_grant_is_listed() {
    assert_eq!(asked("list", "s3://b/dir/"), Ok(()));
    assert_eq!(asked("list", "s3://b/dir/2024/"), Ok(()));
    for prefix in ["s3://b/", "s3://b", "s3://b/d", "s3://b/dir", "s3://b/dirx/", "s3://other/dir/"] {
        assert_eq!(asked("list", prefix).unwrap_err().0, DENIED, "{prefix}");
    }
    assert_eq!(asked("list", "s3://b/dir/../").unwrap_err().0, INVALID);
}

#[test]
fn reads_stay_within_the_object() {
    let read = |range: &str| {
        let process = format!(
            "(call $open «s3://b/dir/x» $out) (call $read (i32.load (i32.const 68)) {range} $out)
             (if (i32.load8_u $out) (then (return (call $refused)))) (call $number (i64.extend_i32_u (i32.load (i32.const 72))))"
        );
        let run = Case::of(&Guest::new(&process)).object("dir/x", vec![7; 3_000_000]).run();
        run.result.map(Option::unwrap).map_err(|fault| (fault.code, fault.message))
    };
    assert_eq!(read("(i64.const 0) (i32.const 10)"), Ok("10".into()));
    assert_eq!(read("(i64.const 2999990) (i32.const 100)"), Ok("10".into()));
    assert_eq!(read("(i64.const 3000000) (i32.const 100)"), Ok("0".into()));
    assert_eq!(read("(i64.const 0) (i32.const 0)"), Ok("0".into()));
    let code = |range| read(range).unwrap_err().0;
    assert_eq!(code("(i64.const 3000001) (i32.const 1)"), INVALID);
    assert_eq!(code("(i64.const -1) (i32.const 1)"), INVALID);
    assert_eq!(code("(i64.const 0) (i32.const -1)"), TOO_LARGE);
}

/// Opens `dir/x` and reads its chunks to the end; the result is how many bytes there were.
fn sum(size: u32, compression: u32) -> String {
    format!(
        "(call $open «s3://b/dir/x» $out) (if (i32.load8_u $out) (then (return (call $refused))))
         (call $chunks (i32.load (i32.const 68)) (i32.const {size}) (i32.const {compression}) $out)
         (if (i32.load8_u $out) (then (return (call $refused))))
         (local.set $i (i32.load (i32.const 68)))
         (loop $l (call $free) (call $next (local.get $i) $out)
           (if (i32.load8_u $out) (then (return (call $refused))))
           (if (i32.load8_u (i32.const 68)) (then
             (local.set $n (i64.add (local.get $n) (i64.extend_i32_u (i32.load (i32.const 76))))) (br $l))))
         (call $number (local.get $n))"
    )
}

const GZIP: u32 = 2;
const ZSTD: u32 = 3;
const BZIP2: u32 = 4;

/// Compressed with the crates that the host decompresses with.
fn compressed(compression: u32, plain: Bytes) -> Vec<u8> {
    use async_compression::tokio::bufread::{BzEncoder, GzipEncoder, ZstdEncoder};
    use tokio::io::AsyncReadExt as _;
    let mut packed = Vec::new();
    let plain = &plain[..];
    let done = match compression {
        GZIP => HOUSE.io.block_on(GzipEncoder::new(plain).read_to_end(&mut packed)),
        ZSTD => HOUSE.io.block_on(ZstdEncoder::new(plain).read_to_end(&mut packed)),
        _ => HOUSE.io.block_on(BzEncoder::new(plain).read_to_end(&mut packed)),
    };
    done.unwrap();
    packed
}

/// 128 MiB of zeros: the same member many times over, as `cat` makes it.
fn bomb(compression: u32) -> Vec<u8> {
    compressed(compression, vec![0; 16 << 20].into()).repeat(8)
}

#[test]
fn a_bomb_is_as_large_as_what_the_guest_has_read_of_it() {
    for (compression, most) in [(GZIP, 64), (ZSTD, 64)] {
        let bomb = bomb(compression);
        assert!(bomb.len() < 1 << 20);
        // To the end.
        let case = Case::of(&Guest::new(&sum(0, compression))).object("dir/x", bomb.clone());
        let (run, peak) = case.peak();
        assert_eq!(run.result, Ok(Some("134217728".into())));
        assert!(peak < most * MIB, "{compression}: {peak}");
    }
    // The first chunk, and then nothing any more.
    let waits = sum(0, BZIP2).replace("(br $l)", "(call $block (call $subscribe (i64.const -1)))");
    let case = Case::of(&Guest::new(&waits)).object("dir/x", compressed(BZIP2, vec![0; 16 << 20].into()).repeat(64));
    let case = case.limits(|limits| limits.timeout = Duration::from_millis(300));
    let (run, peak) = case.peak();
    failed(run, "Gristmill.Timeout", "timeout");
    assert!(peak < 64 * MIB, "{peak}");
}

#[test]
fn damaged_compression_is_invalid() {
    for compression in [GZIP, ZSTD, BZIP2] {
        let whole = compressed(
            compression,
            Bytes::from_iter((0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)),
        );
        let read = |bytes: Vec<u8>| {
            let run = Case::of(&Guest::new(&sum(0, compression))).object("dir/x", bytes).run();
            run.result.map(Option::unwrap).map_err(|fault| (fault.code, fault.message))
        };
        assert_eq!(read(whole.clone()), Ok("3000000".into()));
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0x55;
        for damaged in
            [whole[..whole.len() / 2].to_vec(), whole[..whole.len() - 3].to_vec(), flipped, b"id,value\n1,2\n".to_vec()]
        {
            let (code, message) = read(damaged).unwrap_err();
            assert_eq!(code, INVALID, "{message}");
            assert!(message.contains("s3://b/dir/x: the compressed bytes are damaged or cut off"), "{message}");
        }
    }
}

#[test]
fn a_window_of_any_size_is_not_held() {
    use async_compression::tokio::bufread::ZstdEncoder;
    use async_compression::{Level, zstd::CParameter};
    use tokio::io::AsyncReadExt as _;
    let read = |window| {
        let plain = &[7; 1_000_000][..];
        let mut encoder =
            ZstdEncoder::with_quality_and_params(plain, Level::Default, &[CParameter::window_log(window)]);
        let mut packed = Vec::new();
        HOUSE.io.block_on(encoder.read_to_end(&mut packed)).unwrap();
        let run = Case::of(&Guest::new(&sum(0, ZSTD))).object("dir/x", packed).run();
        run.result.map(Option::unwrap).map_err(|fault| (fault.code, fault.message))
    };
    assert_eq!(read(25), Ok("1000000".into()));
    let (code, message) = read(27).unwrap_err();
    assert_eq!(code, TOO_LARGE);
    assert!(message.contains("larger than 32 MiB: compress it without `--long`"), "{message}");
}

/// Nothing comes out of it, so no waiting guest holds it back.
#[test]
fn reading_ahead_ends_with_the_guest() {
    let empty_members = compressed(GZIP, Bytes::new()).repeat(50_000);
    let mut case = Case::of(&Guest::new(&sum(0, GZIP)));
    Arc::get_mut(&mut case.objects).unwrap().repeated.insert("dir/x".into(), (empty_members.into(), 1 << 50));
    let case = case.limits(|limits| limits.timeout = Duration::from_millis(600));
    fails_with(&case, "Gristmill.Timeout", "timeout");
    let deadline = Instant::now() + Duration::from_secs(10);
    while Arc::strong_count(&case.objects) > 1 {
        assert!(Instant::now() < deadline, "somebody still reads");
        std::thread::yield_now();
    }
}

#[test]
fn open_objects_hold_little() {
    let opens = "(loop $l (call $open «s3://b/dir/x» $out) (br_if $l (i32.eqz (i32.load8_u $out)))) (call $refused)";
    let mut case = Case::of(&Guest::new(opens));
    Arc::get_mut(&mut case.objects).unwrap().repeated.insert("dir/x".into(), (vec![7; 1 << 20].into(), 1 << 40));
    let (run, peak) = case.peak();
    failed(run, "Gristmill.Trap", "1000 handles");
    assert!(peak < 128 * MIB, "{peak}");
    // What is given back counts no more.
    let drops = "(loop $l (call $open «s3://b/dir/x» $out) (if (i32.load8_u $out) (then (return (call $refused))))
          (call $drop-object (i32.load (i32.const 68))) (call $free)
          (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3000)))) (i32.const 0)";
    assert_eq!(Case::of(&Guest::new(drops)).object("dir/x", "x").run().result, Ok(None));
}

#[test]
fn chunk_readers_are_bounded_by_what_they_hold() {
    let opens = |size: u32| {
        format!(
            "(call $open «s3://b/dir/x» $out) (local.set $i (i32.load (i32.const 68)))
             (loop $l (call $chunks (local.get $i) (i32.const {size}) (i32.const 1) $out)
               (local.set $n (i64.add (local.get $n) (i64.const 1)))
               (br_if $l (i64.lt_u (local.get $n) (i64.const 100))) (br_if $l (i32.eqz (i32.load8_u $out))))
             (call $block (call $subscribe (i64.const 200000000))) (call $refused)"
        )
    };
    for size in [0, 4096, 8 << 20] {
        let mut case = Case::of(&Guest::new(&opens(size)));
        Arc::get_mut(&mut case.objects).unwrap().repeated.insert("dir/x".into(), (vec![7; 1 << 20].into(), 1 << 40));
        let (run, peak) = case.peak();
        failed(run, TOO_LARGE, "read at once");
        assert!(peak < 200 * MIB, "{size}: {peak}");
    }
}
