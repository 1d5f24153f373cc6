//! An item is a pure function call, whatever the guest asks WASI for.

use super::*;

const RANDOM: &str = "(call $number (i64.shr_u (call $random) (i64.const 1)))";

fn results(case: &Case, items: &[&str]) -> Vec<String> {
    case.run_all(items).into_iter().map(|run| run.result.unwrap().unwrap()).collect()
}

#[test]
fn randomness_follows_from_the_item() {
    let case = Case::of(&Guest::new(RANDOM));
    let [first, again, other] = results(&case, &["{\"Key\":1}", "{\"Key\":1}", "{\"Key\":2}"]).try_into().unwrap();
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert_eq!(results(&Case::of(&Guest::new(RANDOM)), &["{\"Key\":1}"]), [first]);
    let bytes =
        "(call $random-bytes (i64.const 8) $out) (call $number (i64.shr_u (i64.load (i32.load $out)) (i64.const 1)))";
    let [first, again, other] = results(&Case::of(&Guest::new(bytes)), &["1", "1", "2"]).try_into().unwrap();
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[test]
fn the_clock_stands_at_the_start_of_the_batch() {
    let seconds = "(call $wall $out) (call $number (i64.load $out))";
    assert_eq!(results(&Case::of(&Guest::new(seconds)), &["1", "1"]), ["1700000000", "1700000000"]);
    let mut early = Case::of(&Guest::new(seconds));
    early.started = SystemTime::UNIX_EPOCH - Duration::from_secs(5);
    assert_eq!(results(&early, &["1"]), ["0"]);
    let monotonic =
        "(drop (call $monotonic)) (call $block (call $subscribe (i64.const 2000000))) (call $number (call $monotonic))";
    assert_eq!(results(&Case::of(&Guest::new(monotonic)), &["1", "2"]), ["1000", "1000"]);
}

/// What WASI tells an item does not depend on the items before it, where they share an instance either.
#[test]
fn an_item_is_told_the_same_whatever_ran_before_it() {
    let load = |place: &str| format!("(call $number (i64.shr_u (i64.load {place}) (i64.const 1)))");
    let asked = [
        ("secure", RANDOM.into()),
        ("secure bytes", format!("(call $random-bytes (i64.const 8) $out) {}", load("(i32.load $out)"))),
        ("insecure bytes", format!("(call $insecure-bytes (i64.const 8) $out) {}", load("(i32.load $out)"))),
        ("insecure seed", format!("(call $insecure-seed $out) {}", load("$out"))),
        ("wall clock", format!("(call $wall $out) {}", load("$out"))),
        ("monotonic clock", "(drop (call $monotonic)) (call $number (call $monotonic))".into()),
    ];
    for (what, asks) in asked {
        let fresh = Case::of(&Guest::new(&asks));
        let kept = Case::of(&Guest::new(&asks)).limits(|limits| limits.instance = InstanceLife::Batch);
        let alone: Vec<_> = ["1", "2", "1"].iter().flat_map(|item| results(&fresh, &[*item])).collect();
        assert_eq!(results(&fresh, &["1", "2", "1"]), alone, "{what}");
        assert_eq!(results(&kept, &["1", "2", "1"]), alone, "{what}");
    }
}

const COUNTS: &str = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (i32.eq (local.get $body-len) (i32.const 4)) (then (unreachable)))
    (if (i32.eq (local.get $body-len) (i32.const 5)) (then (loop $l (br $l))))
    (if (i32.eq (local.get $body-len) (i32.const 6)) (then (loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))))
    (call $number (i64.extend_i32_u (global.get $calls)))";

fn counts() -> Case {
    let case = Case::of(&Guest { also: "(global $calls (mut i32) (i32.const 0))", ..Guest::new(COUNTS) });
    case.limits(|limits| limits.timeout = Duration::from_secs(1))
}

fn codes(case: &Case, items: &[&str]) -> Vec<String> {
    let text = |run: ItemRun| run.result.map_or_else(|fault| fault.code, Option::unwrap_or_default);
    case.run_all(items).into_iter().map(text).collect()
}

#[test]
fn state_ends_with_the_item() {
    assert_eq!(codes(&counts(), &["1", "1", "1"]), ["1", "1", "1"]);
}

#[test]
fn state_of_a_batch_ends_with_a_trap() {
    let case = counts().limits(|limits| limits.instance = InstanceLife::Batch);
    let found = codes(&case, &["1", "1", "trap", "1", "1", "loops", "1"]);
    assert_eq!(found, ["1", "2", "Gristmill.Trap", "1", "2", "Gristmill.Timeout", "1"]);
    // The memory that an item wanted in vain is not the reason why the next one traps.
    assert_eq!(codes(&case, &["memory", "trap"]), ["1", "Gristmill.Trap"]);
}
