//! Rows, log lines, numbers, results and WASI: what is handed to the host.

use super::*;
use gristmill::job::FailureKind;
use gristmill::telemetry::guest_metrics::DatasetMetrics;
use gristmill::telemetry::metrics::Metrics;

#[test]
fn a_gigabyte_in_one_call_is_refused_before_it_is_copied() {
    let emits = "(drop (memory.grow (i32.const 20000)))
        (call $emit «rows» (i32.const 0) (i32.const 65536) (i32.const 0x40000000) $out) (i32.const 0)";
    let case =
        Case::of(&Guest::new(emits)).limits(|limits| (limits.memory, limits.max_output) = (4096 * MIB, 4096 * MIB));
    let (run, peak) = case.peak();
    failed(run, "Gristmill.Trap", "at once");
    assert!(peak < 300 * MIB, "{peak}");
    assert_eq!(case.rows.decoded.load(Ordering::Relaxed), 0);
}

#[test]
fn many_megabytes_in_many_calls_are_refused_at_the_limit() {
    let emits = "(loop $l
          (call $emit «rows» (i32.const 0) (i32.const 65536) (i32.const 65000) $out)
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $i) (i32.const 1000))))
        (i32.const 0)";
    let fill = "(memory.fill (i32.const 65536) (i32.const 10) (i32.const 65536))";
    let case = Case::of(&Guest::new(&format!("{fill} {emits}")));
    fails_with(&case, "Gristmill.OutputLimit", "`[plugin] max_output` allows 1048576");
    assert!(case.rows.decoded.load(Ordering::Relaxed) <= MIB);
}

/// `{}` is two bytes for the guest, and a null in each of two hundred columns for the host.
#[test]
fn small_rows_that_are_large_for_the_host_are_refused() {
    let one_by_one =
        "(loop $l (call $emit «rows» (i32.const 0) «{}» $out) (br_if $l (i32.eqz (i32.load8_u $out)))) (i32.const 0)";
    let fill = "(loop $f (i32.store (i32.add (i32.const 65536) (local.get $i)) (i32.const 0x0a7d7b0a))
          (br_if $f (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 65536))))";
    let in_blocks = "(loop $l (call $emit «rows» (i32.const 0) (i32.const 65536) (i32.const 65536) $out)
          (br_if $l (i32.eqz (i32.load8_u $out)))) (i32.const 0)";
    for emits in [one_by_one.to_owned(), format!("{fill} {in_blocks}")] {
        let mut case = Case::of(&Guest::new(&emits));
        case.rows = Arc::new(Rows::wide(200));
        let (run, peak) = case.peak();
        failed(run, "Gristmill.OutputLimit", "`[plugin] max_output`");
        assert!(peak < 200 * MIB, "{peak}");
    }
}

#[test]
fn refused_rows_fail_an_item_that_goes_on_as_if_nothing_happened() {
    let goes_on = "(call $emit «rows» (i32.const 0) «{\"id\":2}» $out) (call $text «\"all is well\"»)";
    for (emit, message) in [
        ("(call $emit «nowhere» (i32.const 0) «{\"id\":1}» $out)", "there is no output `nowhere`"),
        ("(call $emit «rows» (i32.const 0) «{\"id\":\"one\"}» $out)", "row 1"),
        ("(call $emit «rows» (i32.const 0) «{\"id\":1,\"other\":1}» $out)", "`other`"),
        ("(call $emit «rows» (i32.const 0) «not json» $out)", "not json"),
        ("(call $emit «rows» (i32.const 1) «not arrow» $out)", "Arrow"),
        (
            "(i32.store8 (i32.const 300) (i32.const 255)) (call $emit «rows» (i32.const 0) (i32.const 300) (i32.const 1) $out)",
            "UTF-8",
        ),
    ] {
        fails(&Guest::new(&format!("{emit} {goes_on}")), "Gristmill.BadOutput", message);
    }
}

#[test]
fn what_is_no_string_is_a_trap() {
    let bad = "(i32.store8 (i32.const 300) (i32.const 255))";
    for (name, message) in [
        ("(i32.const 300) (i32.const 1)", "invalid utf-8"),
        ("(i32.const -8) (i32.const 4)", "out of bounds"),
        ("(i32.const 0) (i32.const -1)", "out of bounds"),
    ] {
        fails(
            &Guest::new(&format!("{bad} (call $count {name} (i64.const 1)) (i32.const 0)")),
            "Gristmill.Trap",
            message,
        );
        fails(&Guest::new(&format!("{bad} (call $reject {name} «message»)")), "Gristmill.Trap", message);
        fails(&Guest::new(&format!("{bad} (call $text {name})")), "Gristmill.Trap", message);
    }
    fails(&Guest::new("(i32.store8 (i32.const 16) (i32.const 9)) (i32.const 16)"), "Gristmill.Trap", "discriminant");
    fails(&Guest::new("(i32.const -16)"), "Gristmill.Trap", "out of bounds");
    fails(&Guest::new("(i32.const 17)"), "Gristmill.Trap", "aligned");
    fails(&Guest { realloc: "(i32.const -8)", ..Guest::default() }, "Gristmill.Trap", "beyond end of memory");
    fails(&Guest { realloc: "(unreachable)", ..Guest::default() }, "Gristmill.Trap", "unreachable");
}

#[test]
fn results_are_json_of_a_few_kilobytes() {
    let result = |process: &str| Case::of(&Guest::new(process)).run().result;
    let refused = |process: &str| result(process).unwrap_err();
    let big = refused(
        "(memory.fill (i32.const 65536) (i32.const 49) (i32.const 5000)) (call $text (i32.const 65536) (i32.const 5000))",
    );
    assert_eq!(big.code, "Gristmill.BadOutput");
    assert!(big.message.contains("5000 bytes; at most 4096"), "{}", big.message);
    assert!(refused("(call $text «{»)").message.contains("no JSON"));
    assert!(refused("(call $text «1 2»)").message.contains("no JSON"));
    let deep = "[".repeat(4000);
    assert!(refused(&format!("(call $text «{deep}»)")).message.contains("no JSON"));
    let nested = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
    assert!(result(&format!("(call $text «{nested}»)")).is_ok());
    // The report has one line for each item.
    let lines = "(i32.store8 (i32.const 300) (i32.const 91)) (i32.store8 (i32.const 301) (i32.const 10))
        (i32.store8 (i32.const 302) (i32.const 13)) (i32.store8 (i32.const 303) (i32.const 93))
        (call $text (i32.const 300) (i32.const 4))";
    assert_eq!(result(lines), Ok(Some("[  ]".into())));
}

#[test]
fn a_guests_fault_has_a_bounded_code_of_its_own() {
    let fault = |process: &str| Case::of(&Guest::new(process)).fault();
    assert_eq!(fault("(call $reject «Gristmill.HostFault» «pretends»)").code, "HostFault");
    assert_eq!(fault("(call $reject «Gristmill.Gristmill.Trap» «pretends»)").code, "Trap");
    assert_eq!(fault("(call $reject «Gri stmill.Trap» «pretends»)").code, "Trap");
    assert_eq!(fault("(call $reject «» «has no name»)").code, "Unnamed");
    assert_eq!(fault("(call $reject «a\n\u{1b}b»  «is no name»)").code, "ab");
    let retry = fault("(call $retry «NotReady» «not yet»)");
    assert_eq!((retry.kind, retry.message.as_str()), (FailureKind::Retryable, "not yet"));
    let big = "(drop (memory.grow (i32.const 100))) (memory.fill (i32.const 65536) (i32.const 65) (i32.const 4000000))
        (call $reject (i32.const 65536) (i32.const 4000000) (i32.const 65536) (i32.const 4000000))";
    let big = fault(big);
    assert_eq!((big.code.len(), big.message.len()), (64, 4096));
}

#[test]
fn more_than_fits_one_call_is_a_trap_that_says_so() {
    let big = "(drop (memory.grow (i32.const 1100))) (call $log (i32.const 2) «c» (i32.const 65536) (i32.const 68000000)) (i32.const 0)";
    let case = Case::of(&Guest::new(big)).limits(|limits| limits.memory = 256 * MIB);
    fails_with(&case, "Gristmill.Trap", "64.0 MiB at once");
}

#[test]
fn log_floods_are_cut() {
    const LINES: u64 = 3_000;
    let times = |what: &str| {
        format!(
            "(memory.fill (i32.const 65536) (i32.const 88) (i32.const 60000))
             (loop $l {what} (local.set $i (i32.add (local.get $i) (i32.const 1)))
             (br_if $l (i32.lt_u (local.get $i) (i32.const {LINES})))) (i32.const 0)"
        )
    };
    for (marker, flood) in [
        ("LINES", times("(call $log (i32.const 2) «LINES» «a line»)")),
        ("GIANT", times("(call $log (i32.const 2) «GIANT» (i32.const 65536) (i32.const 60000))")),
        ("EMPTY", times("(call $log (i32.const 2) «EMPTY» (i32.const 0) (i32.const 0))")),
        (
            "CONTEXT",
            times(
                "(memory.copy (i32.const 65536) «CONTEXT») (call $log (i32.const 2) (i32.const 65536) (i32.const 60000) «x»)",
            ),
        ),
        (
            "STDOUT",
            format!(
                "(local.set $n (i64.extend_i32_u (call $stdout))) {}",
                times("(call $write (i32.wrap_i64 (local.get $n)) «STDOUT\n» $out)")
            ),
        ),
        (
            "UNENDED",
            format!(
                "(local.set $n (i64.extend_i32_u (call $stdout))) {}",
                times("(call $write (i32.wrap_i64 (local.get $n)) «UNENDED» $out)")
            ),
        ),
    ] {
        assert_eq!(Case::of(&Guest::new(&flood)).run().result, Ok(None), "{marker}");
        let logged = logged(marker);
        assert!(logged.len() > 100 && logged.len() < 100_000, "{marker}: {} bytes", logged.len());
    }
    assert!(logged("the rest is dropped").contains("max_log"));
}

#[test]
fn metric_floods_are_dropped() {
    let flood = "(local.set $i (i32.const 100000))
        (loop $l (i32.store (i32.const 300) (local.get $i))
          (call $count «fine» (i64.const -1)) (call $observe «f» (f64.const nan)) (call $observe «f» (f64.const inf))
          (call $count (i32.add (i32.const 256) (i32.const 0)) (i32.const 0) (i64.const 1))
          (drop (call $number (i64.extend_i32_u (local.get $i))))
          (i32.store8 (i32.const 249) (i32.const 110))
          (call $count (i32.const 249) (i32.const 7) (i64.const 1))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $i) (i32.const 105000)))) (i32.const 0)";
    let case = Case::of(&Guest::new(flood));
    let metrics = Arc::new(Metrics::new().unwrap());
    let context = Arc::into_inner(case.context()).unwrap();
    let context = BatchContext { metrics: Arc::new(DatasetMetrics::new(metrics.clone(), "hostile")), ..context };
    let mut lane = Lane::new(case.plugin.clone(), Arc::new(context));
    let run = HOUSE.io.block_on(lane.run(&Item { index: 0, body: "{}".into() }));
    assert_eq!(run.result, Ok(None));
    let text = metrics.render();
    assert!(text.len() < 100_000, "{}", text.len());
    assert_eq!(text.matches("# TYPE gristmill_guest_n").count(), 63);
}

#[test]
fn wasi_gives_no_more_than_is_asked_in_reason() {
    fails(&Guest::new("(call $random-bytes (i64.const -1) $out) (i32.const 0)"), "Gristmill.Trap", "exceeds limit");
    fails(
        &Guest::new("(call $insecure-bytes (i64.const 0x100000000) $out) (i32.const 0)"),
        "Gristmill.Trap",
        "exceeds limit",
    );
    let zeroes = "(call $write-zeroes (call $stdout) (i64.const -1) $out) (i32.const 0)";
    fails(&Guest::new(zeroes), "Gristmill.Trap", "more zeroes than");
}

#[test]
fn there_are_no_sockets() {
    let tries = "(call $socket (i32.const 0) $out) (if (i32.eqz (i32.load8_u $out)) (then (unreachable)))
        (call $number (i64.extend_i32_u (i32.load8_u (i32.const 68))))";
    // access-denied
    assert_eq!(Case::of(&Guest::new(tries)).run().result, Ok(Some("1".into())));
}

#[test]
fn handles_are_bounded() {
    let pollables = "(loop $l (drop (call $subscribe (i64.const 0))) (br $l)) (unreachable)";
    fails(&Guest::new(pollables), "Gristmill.Trap", "1000 handles");
    let streams = "(loop $l (drop (call $stdout)) (br $l)) (unreachable)";
    fails(&Guest::new(streams), "Gristmill.Trap", "1000 handles");
}
