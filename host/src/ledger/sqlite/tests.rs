//! The ledger in a file, over processes that live and die.

use rusqlite::Connection;

use super::super::contract::{self, request};
use super::super::{Claim, Ledger as _, LedgerError, Receipt, Record};
use super::SqliteLedger;
use super::file::{FILE, VERSION};

#[tokio::test]
async fn keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(directory.path()).unwrap();
    contract::suite(&ledger, "run").await;
    contract::registers_suite(&ledger, "register").await;
}

#[tokio::test]
async fn two_processes_share_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let ledgers: Vec<_> = (0..4).map(|_| SqliteLedger::open(directory.path()).unwrap()).collect();
    let Claim::Taken(claimed) = ledgers[0].claim(&request("run:1", 0)).await.unwrap() else { panic!() };
    assert!(matches!(ledgers[1].claim(&request("run:1", 0)).await.unwrap(), Claim::Held { .. }));
    let receipt =
        Receipt { output: "{}".into(), fingerprint: request("run:1", 0).fingerprint, evidence: Some("e".into()) };
    ledgers[0].commit(&claimed, &receipt).await.unwrap();
    assert!(
        matches!(ledgers[1].claim(&request("run:1", 0)).await.unwrap(), Claim::Committed(found) if found == receipt)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_claim_at_once_one_gets_it() {
    let directory = tempfile::tempdir().unwrap();
    let claims = (0..8).map(|_| {
        let directory = directory.path().to_owned();
        tokio::spawn(async move {
            let open = tokio::task::spawn_blocking(move || SqliteLedger::open(&directory).unwrap());
            let (ledger, mut taken) = (open.await.unwrap(), 0);
            for n in 0..50 {
                let claim = ledger.claim(&request(&format!("run:{n}"), 0)).await.unwrap();
                taken += usize::from(matches!(claim, Claim::Taken(_)));
            }
            // The ledger comes along: with it gone, its claims would be free.
            (taken, ledger)
        })
    });
    let taken: Vec<_> = futures::future::join_all(claims).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(taken.iter().map(|(taken, _)| taken).sum::<usize>(), 50);
}

#[tokio::test]
async fn claims_of_the_dead_are_free_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (alive, dead) = (SqliteLedger::open(directory.path()).unwrap(), SqliteLedger::open(directory.path()).unwrap());
    alive.claim(&request("run:alive", 0)).await.unwrap();
    dead.claim(&request("run:dead", 0)).await.unwrap();
    drop(dead);
    let next = SqliteLedger::open(directory.path()).unwrap();
    assert!(matches!(next.claim(&request("run:alive", 1)).await.unwrap(), Claim::Held { .. }));
    let claim = next.claim(&request("run:dead", 1)).await.unwrap();
    assert!(matches!(&claim, Claim::Taken(claimed) if claimed.fence == 2), "{claim:?}");
}

#[tokio::test]
async fn committed_batches_of_a_run_are_listed_and_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(directory.path()).unwrap();
    for name in ["run:2", "run:1", "run;", "ru", "run:3"] {
        let request = request(name, 0);
        let Claim::Taken(claimed) = ledger.claim(&request).await.unwrap() else { panic!() };
        if name != "run:3" {
            let evidence = Some(format!("of {name}"));
            let receipt = Receipt { output: name.into(), fingerprint: request.fingerprint, evidence };
            ledger.commit(&claimed, &receipt).await.unwrap();
        }
    }
    let found = ledger.committed_under("run:").await.unwrap();
    assert_eq!(found.iter().map(|(_, receipt)| &*receipt.output).collect::<Vec<_>>(), ["run:1", "run:2"]);
    ledger.forget(&found[0].0).await.unwrap();
    assert_eq!(ledger.committed_under("run:").await.unwrap().len(), 1);
    assert_eq!(ledger.committed_under("").await.unwrap().len(), 3);
}

#[tokio::test]
async fn what_is_outdated_is_new_work_and_only_once() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(directory.path()).unwrap();
    let commit = async |seconds| {
        let request = request("run:1", seconds);
        let Claim::Taken(claimed) = ledger.claim(&request).await.unwrap() else { panic!("at {seconds}") };
        let receipt = Receipt { output: "{}".into(), fingerprint: request.fingerprint, evidence: Some("e".into()) };
        ledger.commit(&claimed, &receipt).await.unwrap();
        claimed
    };
    let first = commit(0).await;
    let kept = ledger.kept_under("run:", None, 10).await.unwrap();
    assert_eq!((kept.len(), kept[0].evidence.as_deref()), (1, Some("e")));
    assert!(ledger.kept_under("run:", Some(&kept[0].id), 10).await.unwrap().is_empty());
    assert!(ledger.kept_under("run:", None, 0).await.unwrap().is_empty());
    ledger.outdate(&kept[0]).await.unwrap();
    // What it left is still known, should nobody do it again.
    assert_eq!(ledger.committed_under("run:").await.unwrap().len(), 1);
    let again = commit(50).await;
    assert!(again.fence > first.fence && !again.resumed && again.started > first.started);
    // Somebody else who had looked at the first receipt does not undo the second.
    ledger.outdate(&kept[0]).await.unwrap();
    assert!(matches!(ledger.claim(&request("run:1", 60)).await.unwrap(), Claim::Committed(_)));
}

#[tokio::test]
async fn a_disk_without_room_is_no_reason_to_wait() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(directory.path()).unwrap();
    // SQLite answers a limit on its pages as it answers a disk without room.
    ledger.connection.lock().unwrap().pragma_update(None, "max_page_count", 4).unwrap();
    let Claim::Taken(claimed) = ledger.claim(&request("run:1", 0)).await.unwrap() else { panic!() };
    let error = ledger.prepare(&claimed, &Record::from(vec![7; 1 << 20])).await.unwrap_err();
    assert!(matches!(&error, LedgerError::Refused(why) if why.contains("is full: make room")), "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_no_ledger_is_said() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join(".gristmill")).unwrap();
    std::fs::write(directory.path().join(FILE), "this is not a database, whatever it is called").unwrap();
    let error = SqliteLedger::open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("ledger.sqlite") && error.contains("moved away"), "{error}");
}

#[tokio::test]
async fn an_earlier_layout_is_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join(".gristmill")).unwrap();
    let connection = Connection::open(directory.path().join(FILE)).unwrap();
    connection.execute_batch("CREATE TABLE batches (key TEXT PRIMARY KEY); PRAGMA user_version = 1;").unwrap();
    contract::suite(&SqliteLedger::open(directory.path()).unwrap(), "run").await;
}

#[tokio::test]
async fn a_later_layout_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    drop(SqliteLedger::open(directory.path()).unwrap());
    let connection = Connection::open(directory.path().join(FILE)).unwrap();
    connection.pragma_update(None, "user_version", VERSION + 1).unwrap();
    let error = SqliteLedger::open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("later gristmill"), "{error}");
}
