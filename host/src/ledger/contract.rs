//! What every [`Ledger`], every [`Fleet`] and all [`Registers`] have to do, as suites that run against SQLite and against DynamoDB.

// A suite fails by panicking.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, SystemTime};

use super::fleet::{Fleet, Tally};
use super::registers::Registers;
use super::{Claim, ClaimRequest, Claimed, GiveBack, Ledger, LedgerError, Receipt, Record};
use crate::job::{BatchId, Digest};

const LEASE: Duration = Duration::from_secs(60);

/// Runs the suite. All its batches have executions that start with `prefix`. The ledger must not have any yet.
pub async fn suite(ledger: &dyn Ledger, prefix: &str) {
    let name = |case: &str| format!("{prefix}:{case}");
    a_batch_is_claimed_once(ledger, &name("once")).await;
    a_committed_batch_stays_committed(ledger, &name("committed")).await;
    an_expired_claim_is_taken_over(ledger, &name("expired")).await;
    a_renewed_claim_is_not(ledger, &name("renewed")).await;
    a_released_claim_is_free(ledger, &name("released")).await;
    what_is_prepared_is_for_whoever_comes_next(ledger, &name("prepared")).await;
    large_records_come_back_whole(ledger, &name("large")).await;
    other_contents_are_other_work(ledger, &name("contents")).await;
    states_of_one_execution_are_apart(ledger, &name("states")).await;
}

/// A claim of the batch `execution`, `seconds` after a fixed time.
pub fn request(execution: &str, seconds: u64) -> ClaimRequest {
    ClaimRequest {
        id: BatchId { execution: execution.into(), state: "Wait".into() },
        fingerprint: Digest::of(b"contents"),
        component: Digest::of(b"component"),
        now: clock(seconds),
        lease: LEASE,
    }
}

fn clock(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

fn receipt() -> Receipt {
    Receipt { output: r#"{"rows": 1, "text": "é"}"#.into(), fingerprint: Digest::of(b"contents"), evidence: None }
}

async fn take(ledger: &dyn Ledger, request: &ClaimRequest) -> Claimed {
    match ledger.claim(request).await.unwrap() {
        Claim::Taken(claimed) => claimed,
        other => panic!("expected to get the claim: {other:?}"),
    }
}

async fn assert_held(ledger: &dyn Ledger, request: &ClaimRequest, seconds: u64) {
    match ledger.claim(request).await.unwrap() {
        Claim::Held { remaining } => assert_eq!(remaining, Duration::from_secs(seconds)),
        other => panic!("expected the claim to be held: {other:?}"),
    }
}

/// Whatever somebody does under a claim that was taken over is refused.
async fn assert_lost(ledger: &dyn Ledger, claimed: &Claimed) {
    let lost = [
        ledger.renew(claimed, clock(1_000_000), LEASE).await,
        ledger.commit(claimed, &Receipt { output: "of the zombie".into(), ..receipt() }).await,
        ledger.prepare(claimed, &Record::from(b"of the zombie".to_vec())).await,
        ledger.release(claimed, GiveBack::Afresh).await,
    ];
    for result in lost {
        assert!(matches!(&result, Err(LedgerError::Lost(id)) if *id == claimed.id), "{result:?}");
    }
}

async fn a_batch_is_claimed_once(ledger: &dyn Ledger, name: &str) {
    let claimed = take(ledger, &request(name, 0)).await;
    assert_eq!((claimed.component, claimed.started), (Digest::of(b"component"), clock(0)));
    assert!(!claimed.resumed);
    assert_held(ledger, &request(name, 0), 60).await;
    assert_held(ledger, &request(name, 59), 1).await;
}

async fn a_committed_batch_stays_committed(ledger: &dyn Ledger, name: &str) {
    let claimed = take(ledger, &request(name, 0)).await;
    // Twice, as when the first answer was lost on the way.
    for _ in 0..2 {
        ledger.commit(&claimed, &receipt()).await.unwrap();
    }
    // Nothing is left to give back, and nothing is lost by trying.
    ledger.release(&claimed, GiveBack::Afresh).await.unwrap();
    for seconds in [1, 61, 1_000_000] {
        let claim = ledger.claim(&request(name, seconds)).await.unwrap();
        assert!(matches!(&claim, Claim::Committed(found) if *found == receipt()), "{claim:?}");
    }
}

async fn an_expired_claim_is_taken_over(ledger: &dyn Ledger, name: &str) {
    let zombie = take(ledger, &request(name, 0)).await;
    let promoted = ClaimRequest { component: Digest::of(b"promoted meanwhile"), ..request(name, 60) };
    let heir = take(ledger, &promoted).await;
    assert!(heir.fence > zombie.fence);
    // The same component at the same time of day: the same rows.
    assert_eq!((heir.component, heir.started, heir.resumed), (zombie.component, zombie.started, true));
    assert_lost(ledger, &zombie).await;
    ledger.commit(&heir, &receipt()).await.unwrap();
    assert_lost(ledger, &zombie).await;
    let claim = ledger.claim(&request(name, 1000)).await.unwrap();
    assert!(matches!(&claim, Claim::Committed(found) if *found == receipt()), "{claim:?}");
}

async fn a_renewed_claim_is_not(ledger: &dyn Ledger, name: &str) {
    let claimed = take(ledger, &request(name, 0)).await;
    ledger.renew(&claimed, clock(50), LEASE).await.unwrap();
    assert_held(ledger, &request(name, 100), 10).await;
    // A lease that ended is still ours as long as nobody has taken it.
    ledger.renew(&claimed, clock(500), LEASE).await.unwrap();
    ledger.commit(&claimed, &receipt()).await.unwrap();
}

async fn a_released_claim_is_free(ledger: &dyn Ledger, name: &str) {
    let promoted = |seconds| ClaimRequest { component: Digest::of(b"promoted meanwhile"), ..request(name, seconds) };
    let first = take(ledger, &request(name, 0)).await;
    ledger.release(&first, GiveBack::Unfinished).await.unwrap();
    let second = take(ledger, &promoted(1)).await;
    assert!(second.fence > first.fence);
    assert_eq!((second.started, second.component, second.resumed), (first.started, first.component, true));
    assert_lost(ledger, &first).await;
    // A claim that is given back afresh does not bind the next one to a component.
    ledger.release(&second, GiveBack::Afresh).await.unwrap();
    let third = take(ledger, &promoted(2)).await;
    assert!(third.fence > second.fence);
    assert_eq!((third.component, third.resumed), (Digest::of(b"promoted meanwhile"), false));
    assert_lost(ledger, &second).await;
}

async fn prepared(ledger: &dyn Ledger, request: &ClaimRequest) -> (Claimed, Record) {
    match ledger.claim(request).await.unwrap() {
        Claim::Prepared(claimed, record) => (claimed, record),
        other => panic!("expected to find it prepared: {other:?}"),
    }
}

async fn what_is_prepared_is_for_whoever_comes_next(ledger: &dyn Ledger, name: &str) {
    let record = Record::from(b"about to be seen".to_vec());
    let first = take(ledger, &request(name, 0)).await;
    // Twice, as when the first answer was lost on the way.
    for _ in 0..2 {
        ledger.prepare(&first, &record).await.unwrap();
    }
    ledger.renew(&first, clock(10), LEASE).await.unwrap();
    assert_held(ledger, &request(name, 20), 50).await;
    // The first one died. Its heirs find the record, one after the other, also after one that gave up in the middle.
    let promoted = ClaimRequest { component: Digest::of(b"promoted meanwhile"), ..request(name, 100) };
    let (second, found) = prepared(ledger, &promoted).await;
    assert_eq!((found, second.component, second.resumed), (record.clone(), first.component, true));
    assert_lost(ledger, &first).await;
    ledger.release(&second, GiveBack::Unfinished).await.unwrap();
    let (third, found) = prepared(ledger, &request(name, 101)).await;
    assert_eq!(found, record);
    // What turned out to be of no use is given back afresh.
    ledger.release(&third, GiveBack::Afresh).await.unwrap();
    let fourth = take(ledger, &request(name, 102)).await;
    assert!(!fourth.resumed);
    ledger.prepare(&fourth, &record).await.unwrap();
    ledger.commit(&fourth, &receipt()).await.unwrap();
    let claim = ledger.claim(&request(name, 1000)).await.unwrap();
    assert!(matches!(&claim, Claim::Committed(found) if *found == receipt()), "{claim:?}");
    // Other work has no use for the record.
    let other = ClaimRequest { fingerprint: Digest::of(b"other contents"), ..request(name, 1001) };
    take(ledger, &other).await;
}

/// Staged rows can be many: more than one item of DynamoDB holds.
async fn large_records_come_back_whole(ledger: &dyn Ledger, name: &str) {
    for (n, size) in [0, 1, 300_000, 400_000, 3_000_000].into_iter().enumerate() {
        let name = format!("{name}-{n}");
        let bytes: Vec<u8> = (0..size).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let record = Record::from(bytes);
        let claimed = take(ledger, &request(&name, 0)).await;
        ledger.prepare(&claimed, &record).await.unwrap();
        let (_, found) = prepared(ledger, &request(&name, 100)).await;
        assert!(found == record, "{size} bytes came back otherwise");
    }
}

async fn other_contents_are_other_work(ledger: &dyn Ledger, name: &str) {
    let other = |seconds| ClaimRequest {
        fingerprint: Digest::of(b"other contents"),
        component: Digest::of(b"other component"),
        ..request(name, seconds)
    };
    let first = take(ledger, &request(name, 0)).await;
    assert_held(ledger, &other(1), 59).await;
    ledger.commit(&first, &receipt()).await.unwrap();
    let second = take(ledger, &other(2)).await;
    assert!(second.fence > first.fence);
    assert_eq!((second.component, second.started), (Digest::of(b"other component"), clock(2)));
    // The earlier receipt is gone.
    assert_held(ledger, &request(name, 3), 59).await;
    assert_lost(ledger, &first).await;
    // So it is with a claim that nobody committed.
    let third = take(ledger, &request(name, 1000)).await;
    assert_eq!((third.component, third.started), (Digest::of(b"component"), clock(1000)));
    assert_lost(ledger, &second).await;
}

async fn states_of_one_execution_are_apart(ledger: &dyn Ledger, name: &str) {
    let mut other = request(name, 0);
    other.id.state = "Another".into();
    take(ledger, &request(name, 0)).await;
    take(ledger, &other).await;
}

/// What all [`Registers`] have to do. They must not have one of the name yet.
pub async fn registers_suite(ledger: &dyn Registers, name: &str) {
    assert_eq!(ledger.register(name).await.unwrap(), None);
    assert!(!ledger.write_register(name, "out of nothing", 3).await.unwrap());
    let racing = ["a", "b", "c", "d"].map(|text| ledger.write_register(name, text, 0));
    let written: Vec<bool> = futures::future::join_all(racing).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(written.iter().filter(|written| **written).count(), 1, "{written:?}");
    let first = ledger.register(name).await.unwrap().unwrap();
    assert_eq!(first.revision, 1);
    assert!(!ledger.write_register(name, "as if it were new", 0).await.unwrap());
    assert!(ledger.write_register(name, "é\n{}", 1).await.unwrap());
    assert!(!ledger.write_register(name, "late", 1).await.unwrap());
    let second = ledger.register(name).await.unwrap().unwrap();
    assert_eq!((second.text.as_str(), second.revision), ("é\n{}", 2));
    assert_eq!(ledger.register(&format!("{name}x")).await.unwrap(), None);
}

/// What every [`Fleet`] has to do. All keys that it makes start with `prefix`.
pub async fn fleet_suite(fleet: &dyn Fleet, prefix: &str) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let key = |case: &str| format!("{prefix}:{case}");
    assert_eq!(fleet.agree(&key("run"), "first", now).await.unwrap(), "first");
    assert_eq!(fleet.agree(&key("run"), "second", now).await.unwrap(), "first");
    assert_eq!(fleet.agree(&key("other run"), "second", now).await.unwrap(), "second");
    let (racing, proposals) = (key("race"), ["a", "b", "c", "d"]);
    let agreed = futures::future::join_all(proposals.map(|proposal| fleet.agree(&racing, proposal, now))).await;
    let agreed: Vec<String> = agreed.into_iter().map(Result::unwrap).collect();
    assert!(agreed.iter().all(|value| *value == agreed[0]) && proposals.contains(&agreed[0].as_str()), "{agreed:?}");

    let more = Tally { batches: 1, items: 10, failed: 2, micros: 5_000_000_000 };
    assert_eq!(fleet.tally(&key("trial"), more, now).await.unwrap(), more);
    let sum = Tally { batches: 2, items: 20, failed: 4, micros: 10_000_000_000 };
    assert_eq!(fleet.tally(&key("trial"), more, now).await.unwrap(), sum);
    assert_eq!(fleet.tally(&key("trial"), Tally::default(), now).await.unwrap(), sum);
    assert_eq!(fleet.tally(&key("another"), Tally::default(), now).await.unwrap(), Tally::default());
}
