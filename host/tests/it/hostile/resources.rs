//! Time, memory, stack and tables.

use gristmill::job::FailureKind;

use super::*;

fn soon(limits: &mut Limits) {
    limits.timeout = Duration::from_millis(200);
}

#[test]
fn an_honest_guest_is_honoured() {
    let run = Case::of(&Guest::new("(call $number (i64.const 42))")).run();
    assert_eq!(run.result, Ok(Some("42".into())));
}

#[test]
fn a_trap_costs_the_item() {
    fails(&Guest::new("(unreachable)"), "Gristmill.Trap", "`unreachable` instruction executed");
    fails(&Guest::new("(i32.load (i32.const -4))"), "Gristmill.Trap", "out of bounds memory access");
    fails(&Guest::new("(i32.div_u (i32.const 1) (i32.const 0))"), "Gristmill.Trap", "divide by zero");
}

#[test]
fn recursion_without_end_is_a_trap() {
    let guest =
        Guest { also: "(func $down (result i32) (i32.add (call $down) (i32.const 1)))", ..Guest::new("(call $down)") };
    fails(&guest, "Gristmill.Trap", "call stack exhausted");
}

#[test]
fn endless_work_is_stopped() {
    let stopped =
        |guest: &Guest<'_>| fails_with(&Case::of(guest).limits(soon), "Gristmill.Timeout", "`[plugin] timeout`");
    stopped(&Guest::new("(loop $l (br $l)) (unreachable)"));
    // Hardly ever in the guest's own code.
    stopped(&Guest::new(
        "(loop $l (memory.fill (i32.const 65536) (i32.const 0) (i32.const 65536)) (br $l)) (unreachable)",
    ));
    stopped(&Guest::new("(loop $l (call $count «n» (i64.const 1)) (br $l)) (unreachable)"));
    // Before `process` begins: when the host asks for memory for the item.
    let allocates = "(if (i32.eq (local.get $size) (i32.const 7)) (then (loop $l (br $l)))) (i32.const 65536)";
    let case = Case::of(&Guest { realloc: allocates, ..Guest::default() }).limits(soon);
    assert_eq!(case.run_all(&["1234567"])[0].result.as_ref().unwrap_err().code, "Gristmill.Timeout");
}

#[test]
fn sleeping_in_a_host_call_is_stopped() {
    for nanoseconds in ["3600000000000", "-1"] {
        let sleeps = format!("(call $block (call $subscribe (i64.const {nanoseconds}))) (i32.const 0)");
        fails_with(&Case::of(&Guest::new(&sleeps)).limits(soon), "Gristmill.Timeout", "stopped after 200ms");
    }
}

/// A tokio worker that always has something to do looks at its timers only now and then; this one never does.
#[test]
fn time_runs_out_although_every_guest_thread_is_busy() {
    let mut thread = tokio::runtime::Builder::new_multi_thread();
    let thread = thread.worker_threads(1).event_interval(u32::MAX).enable_all().build().unwrap();
    let case = Case::of(&Guest::new("(loop $l (br $l)) (unreachable)")).limits(soon);
    let runs = (0..3).map(|_| {
        let mut lane = Lane::new(case.plugin.clone(), case.context());
        thread.spawn(async move { lane.run(&Item { index: 0, body: "{}".into() }).await })
    });
    for run in runs.collect::<Vec<_>>() {
        let run = HOUSE.io.block_on(async { tokio::time::timeout(Duration::from_secs(20), run).await });
        let Ok(run) = run else {
            thread.shutdown_background();
            panic!("nobody stopped it");
        };
        assert_eq!(fault_of(run.unwrap()).code, "Gristmill.Timeout");
    }
}

const EATS: &str = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))";

#[test]
fn memory_is_bounded() {
    fails(
        &Guest::new(&format!("{EATS} (unreachable)")),
        "Gristmill.MemoryLimit",
        "16777216 bytes of `[plugin] memory`",
    );
    // One that copes with it is no worse than any other.
    let copes = format!("{EATS} (call $number (i64.extend_i32_u (memory.size)))");
    assert_eq!(Case::of(&Guest::new(&copes)).run().result, Ok(Some("256".into())));
    // What it has at the start counts, and so does the second memory.
    fails(&Guest { pages: 300, ..Guest::default() }, "Gristmill.MemoryLimit", "`[plugin] memory`");
    let beside = "(core module $M (memory 100)) (core instance (instantiate $M)) (core instance (instantiate $M))
        (core instance (instantiate $M))";
    fails(&Guest { beside, ..Guest::default() }, "Gristmill.MemoryLimit", "`[plugin] memory`");
}

#[test]
fn tables_are_bounded() {
    let grows = "(loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))))
        (call $number (i64.extend_i32_u (table.size $t)))";
    let run = Case::of(&Guest { also: "(table $t 1 funcref)", ..Guest::new(grows) }).run();
    let elements: u64 = run.result.unwrap().unwrap().parse().unwrap();
    assert!(elements <= 100_000, "{elements}");
    // Many tables share one budget.
    let tables: String = (0..30).map(|n| format!("(table $t{n} 90000 funcref)")).collect();
    let error = HOUSE.open(&Guest { also: &tables, ..Guest::default() }.component()).err().unwrap().to_string();
    assert!(error.contains("table"), "{error}");
}

#[test]
fn a_component_of_more_parts_than_the_pool_has_room_for_is_refused() {
    let instances = "(core instance (instantiate $M))".repeat(10);
    let memories = format!("(core module $M (memory 0)) {instances}");
    let tables = format!("(core module $M {}) {instances}", "(table 0 funcref)".repeat(10));
    let modules = format!("(core module $M) {}", instances.repeat(10));
    for beside in [memories, tables, modules] {
        let error = HOUSE.open(&Guest { beside: &beside, ..Guest::default() }.component()).err().unwrap().to_string();
        assert!(error.starts_with("the component could not be prepared"), "{error}");
        assert!(error.contains("exceeds the configured maximum"), "{error}");
    }
}

/// The pool is sized so that nobody can take a neighbour's share of it.
#[test]
fn all_slots_may_have_all_that_one_may_have() {
    const SLOTS: usize = 16;
    let runtime = Runtime::new(&RuntimeConfig { slots: SLOTS, cache: None, io: HOUSE.io.handle().clone() }).unwrap();
    let beside = format!(
        "(core module $M (memory 1) {}) {}",
        "(table 10 funcref)".repeat(13),
        "(core instance (instantiate $M))".repeat(3)
    );
    let guest =
        Guest { beside: &beside, ..Guest::new("(call $block (call $subscribe (i64.const 100000000))) (i32.const 0)") };
    let plugin = Arc::new(HOUSE.io.block_on(runtime.open(&guest.component())).unwrap());
    let context = Case::of(&Guest::default()).context();
    let runs = (0..SLOTS).map(|_| {
        let mut lane = Lane::new(plugin.clone(), context.clone());
        HOUSE.guests.spawn(async move { lane.run(&Item { index: 0, body: "{}".into() }).await })
    });
    for run in runs.collect::<Vec<_>>() {
        assert_eq!(HOUSE.io.block_on(run).unwrap().result, Ok(None));
    }
}

/// Lanes keep instances while they wait for a slot, and there may be many lanes for each slot.
#[test]
fn kept_instances_never_fill_the_pool() {
    let runtime = Runtime::new(&RuntimeConfig { slots: 1, cache: None, io: HOUSE.io.handle().clone() }).unwrap();
    let plugin = Arc::new(HOUSE.io.block_on(runtime.open(&Guest::default().component())).unwrap());
    let context = Case::of(&Guest::default()).limits(|limits| limits.instance = InstanceLife::Batch).context();
    let mut lanes: Vec<_> = (0..50).map(|_| Lane::new(plugin.clone(), context.clone())).collect();
    for lane in lanes.iter_mut() {
        let run = HOUSE.io.block_on(lane.run(&Item { index: 0, body: "{}".into() }));
        assert_eq!(run.result, Ok(None));
    }
}

#[test]
fn a_full_pool_is_not_the_items_fault() {
    let runtime = Runtime::new(&RuntimeConfig { slots: 1, cache: None, io: HOUSE.io.handle().clone() }).unwrap();
    let sleeps = Guest::new("(call $block (call $subscribe (i64.const 100000000))) (i32.const 0)");
    let plugin = Arc::new(HOUSE.io.block_on(runtime.open(&sleeps.component())).unwrap());
    let context = Case::of(&Guest::default()).context();
    let runs = (0..20).map(|_| {
        let mut lane = Lane::new(plugin.clone(), context.clone());
        HOUSE.guests.spawn(async move { lane.run(&Item { index: 0, body: "{}".into() }).await })
    });
    let runs: Vec<_> = runs.collect::<Vec<_>>().into_iter().map(|run| HOUSE.io.block_on(run).unwrap().result).collect();
    let faults: Vec<_> = runs.into_iter().filter_map(Result::err).collect();
    assert!(!faults.is_empty(), "the pool has no end");
    for fault in faults {
        assert_eq!(
            (fault.code.as_str(), fault.kind),
            ("Gristmill.HostFault", FailureKind::Retryable),
            "{}",
            fault.message
        );
    }
}
