//! The protocol of claims and commits, held by looking at every state of a small world: workers that die, pause and give up,
//! requests that land late, messages that come twice, a component that is promoted in the middle.
//!
//! What always holds: a committed batch shows, from then on, exactly what one run of one component leaves; there is one
//! receipt, and the answer is its; nothing is visible before it was claimed, or prepared where batches are; and from every state there is a
//! way to a batch that is committed, answered and deleted.
//!
//! Each rule is there because without it one of these breaks; the tests below show how, in the fewest steps. Not in this
//! world: batches that fail, entries that expire, two batches that write the same row.

mod explore;
mod protocol;
mod steps;
mod stores;
mod world;

use insta::assert_snapshot;

use self::explore::{Trace, Verdict, explore};
use self::protocol::{Gone, Heir, Often, Outputs, Protocol, Sweep};

/// The protocol with the rules that hold.
fn protocol(outputs: Outputs) -> Protocol {
    Protocol {
        outputs,
        heir: Heir::RunsTheRecorded,
        sweep: Sweep::Earlier,
        gone: Gone::RunsAgain,
        prepares_tables: false,
        object_first: true,
        fence_at_prepare: true,
        fence_at_commit: true,
        checks_lease: true,
        aborts_what_may_be_prepared: false,
        keeps_old: true,
        workers: 2,
        often: Often { crashes: 1, stops: 0, pauses: 1, late: 1, ghosts: 0 },
    }
}

fn holds(protocol: &Protocol) {
    let (what, trace) = match explore(protocol) {
        Verdict::Holds { states } => return assert!(states > 10_000, "{states} states are too few to say anything"),
        Verdict::Wrong { what, trace } => (what, trace),
        Verdict::Stuck { trace } => ("the batch can never be finished", trace),
    };
    panic!("{what}, after\n{}\nwith {protocol:#?}", numbered(trace));
}

/// The shortest way to what is wrong without a rule.
fn breaks(protocol: &Protocol, expected: &str) -> String {
    match explore(protocol) {
        Verdict::Wrong { what, trace } if what == expected => trace.actions.join("\n"),
        other => panic!("expected `{expected}`, not {other:?}"),
    }
}

/// The shortest way to where nothing helps any more.
fn sticks(protocol: &Protocol) -> String {
    match explore(protocol) {
        Verdict::Stuck { trace } => trace.actions.join("\n"),
        other => panic!("expected that the batch can be stuck, not {other:?}"),
    }
}

fn numbered(Trace { actions, state }: Trace) -> String {
    let lines = actions.iter().zip(1..).map(|(action, number)| format!("{number:>3}. {action}\n"));
    lines.collect::<String>() + &state
}

#[test]
fn the_protocol_holds() {
    for outputs in [Outputs::Table, Outputs::Object, Outputs::Both] {
        let rules = protocol(outputs);
        holds(&Protocol { often: Often { stops: 1, ..rules.often.clone() }, ..rules.clone() });
        holds(&Protocol { workers: 3, ..rules });
    }
}

#[test]
fn a_message_that_comes_again_after_it_was_deleted_is_answered_from_the_receipt() {
    let rules = protocol(Outputs::Table);
    holds(&Protocol { often: Often { ghosts: 2, ..rules.often.clone() }, ..rules });
}

#[test]
fn without_the_fence_at_the_commit_a_worker_that_lost_its_claim_commits() {
    for outputs in [Outputs::Object, Outputs::Both] {
        breaks(&Protocol { fence_at_commit: false, ..protocol(outputs) }, "there was a second receipt");
    }
    let trace = breaks(&Protocol { fence_at_commit: false, ..protocol(Outputs::Table) }, "there was a second receipt");
    assert_snapshot!(trace, @r"
    fence 1: a worker with Old begins to run Old
    fence 1: has run Old
    fence 1: write row 0 of Old: Done
    fence 1: write row 1 of Old: Done
    fence 1: its lease ends while it is paused
    fence 2: a worker with Old begins to run Old
    fence 1: commit Old's receipt: Done
    fence 2: looks for uploads of others
    fence 2: has run Old
    fence 2: write row 0 of Old: Done
    fence 2: write row 1 of Old: Done
    fence 2: commit Old's receipt: Done
    ");
}

#[test]
fn without_the_fence_at_the_prepare_a_committed_batch_is_prepared_again() {
    breaks(&Protocol { fence_at_prepare: false, ..protocol(Outputs::Both) }, "there is an answer without a receipt");
    let trace = breaks(
        &Protocol { fence_at_prepare: false, ..protocol(Outputs::Object) },
        "there is an answer without a receipt",
    );
    assert_snapshot!(trace, @r"
    fence 1: a worker with Old begins to run Old
    fence 1: its lease ends while it is paused
    fence 2: a worker with Old begins to run Old
    fence 2: looks for uploads of others
    fence 1: has run Old
    fence 2: has run Old
    fence 2: prepare Old's rows and upload 1: Done
    fence 2: complete upload 1: Done
    fence 2: commit Old's receipt: Done
    fence 1: prepare Old's rows and upload 0: Done
    fence 2: answers
    ");
}

/// Rows that were not prepared may be visible in part, or still on their way, whatever the ledger says.
#[test]
fn an_heir_that_runs_its_own_component_mixes_two_runs_in_a_table() {
    let own = Protocol { heir: Heir::RunsItsOwn, ..protocol(Outputs::Table) };
    let trace = breaks(&own, "a committed batch does not show what one run of its receipt's component leaves");
    assert_snapshot!(trace, @r"
    a worker is promoted
    fence 1: a worker with Old begins to run Old
    fence 1: has run Old
    fence 1: its lease ends while it is paused
    fence 2: a worker with New begins to run New
    fence 2: looks for uploads of others
    fence 2: has run New
    fence 2: write row 0 of New: Done
    fence 1: write row 0 of Old: Done
    fence 2: write row 1 of New: Done
    fence 2: commit New's receipt: Done
    ");
}

/// So a table's batch depends on a component that the fleet may not have any more ...
#[test]
fn a_table_batch_waits_for_a_component_that_nobody_has() {
    let trace = sticks(&Protocol { keeps_old: false, ..protocol(Outputs::Table) });
    assert_snapshot!(trace, @r"
    a worker is promoted
    fence 1: a worker with Old begins to run Old
    fence 1: dies
    a worker is promoted
    ");
}

/// ... and a prepared one on none: before the record nothing is visible, and the record is all that it takes.
#[test]
fn a_prepared_batch_needs_no_component() {
    for outputs in [Outputs::Table, Outputs::Object, Outputs::Both] {
        let rules = protocol(outputs);
        holds(&Protocol { heir: Heir::RunsItsOwn, prepares_tables: true, keeps_old: false, ..rules });
    }
}

/// Who removes what the store lists may remove what its successor is about to prepare, or has prepared.
#[test]
fn removing_every_upload_that_is_listed_leaves_a_record_that_cannot_be_completed() {
    let listed = Protocol { sweep: Sweep::Listed, ..protocol(Outputs::Object) };
    holds(&listed);
    let trace = sticks(&Protocol { gone: Gone::Fails, ..listed });
    assert_snapshot!(trace, @r"
    fence 1: a worker with Old begins to run Old
    fence 1: dies
    fence 1: its lease ends
    fence 2: a worker with Old begins to run Old
    fence 2: its lease ends while it is paused
    fence 3: a worker with Old begins to run Old
    fence 3: looks for uploads of others
    fence 3: has run Old
    fence 2: looks for uploads of others
    fence 2: abort uploads [0]: Done
    ");
}

/// An error of `prepare` does not say that nothing was recorded.
#[test]
fn who_gives_up_while_it_prepares_leaves_its_upload() {
    let rules = protocol(Outputs::Object);
    let often = Often { stops: 1, ..rules.often.clone() };
    let aborts = Protocol { aborts_what_may_be_prepared: true, often, ..rules };
    holds(&aborts);
    let trace = sticks(&Protocol { gone: Gone::Fails, ..aborts });
    assert_snapshot!(trace, @r"
    fence 1: a worker with Old begins to run Old
    fence 1: has run Old
    fence 1: gives up, and on its way is: prepare Old's rows and upload 0
    late: prepare Old's rows and upload 0: Done
    ");
}

/// An upload can be gone, a row cannot: what can fail goes first, while another run can still take the record's place.
#[test]
fn rows_that_are_written_before_the_object_bind_the_batch_to_its_component() {
    let rules = protocol(Outputs::Both);
    let often = Often { crashes: 2, late: 0, ..rules.often.clone() };
    let object_first = Protocol { heir: Heir::RunsItsOwn, keeps_old: false, sweep: Sweep::Listed, often, ..rules };
    holds(&object_first);
    let trace = sticks(&Protocol { object_first: false, ..object_first });
    assert_snapshot!(trace, @r"
    a worker is promoted
    fence 1: a worker with Old begins to run Old
    fence 1: dies
    fence 1: its lease ends
    fence 2: a worker with New begins to run New
    fence 2: its lease ends while it is paused
    fence 3: a worker with Old begins to run Old
    fence 3: looks for uploads of others
    fence 3: has run Old
    fence 3: prepare Old's rows and upload 0: Done
    fence 3: dies
    a worker is promoted
    fence 2: looks for uploads of others
    fence 2: abort uploads [0]: Done
    ");
}

/// Both save work and space. Neither is what the result rests on, so that clocks are not either.
#[test]
fn neither_the_check_of_the_lease_nor_the_removal_of_uploads_is_needed_for_the_result() {
    holds(&Protocol { checks_lease: false, sweep: Sweep::Nothing, ..protocol(Outputs::Both) });
}
