//! The ledger of `gristmill map --local DIR`: one SQLite file that every process working on `DIR` shares.
//!
//! It survives the death of a process at any instruction. A power cut may lose the last entries (`synchronous = NORMAL`);
//! their batches are then done again, which leaves the same rows.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, TransactionBehavior, named_params, params};

use super::owners::{self, Owner};
use super::{Claim, ClaimRequest, Claimed, GiveBack, Ledger, LedgerError, Receipt, Record, millis, time_of};
use crate::job::{BatchId, Digest};
use crate::sqlite;

/// Where the ledger of a folder lies below it.
pub const FILE: &str = ".gristmill/ledger.sqlite";

/// The layout of the table below (`PRAGMA user_version`).
const VERSION: i64 = 3;

/// Times are in milliseconds since 1970, digests as text: to be read with one's own tools. A ledger of an earlier layout is
/// begun anew: its batches are done again, with the same rows.
const SCHEMA: &str = "
    DROP TABLE IF EXISTS batches;
    DROP TABLE IF EXISTS parts;
    CREATE TABLE batches (
        key         TEXT PRIMARY KEY,   -- execution#state
        execution   TEXT NOT NULL,
        state       TEXT NOT NULL,
        fence       INTEGER NOT NULL,
        lease_until INTEGER NOT NULL,
        started     INTEGER NOT NULL,
        component   TEXT,               -- none: nobody has begun, or it was given back
        fingerprint TEXT NOT NULL,
        owner       TEXT NOT NULL,      -- the process that claimed it
        prepared    BLOB,               -- how many parts what is about to become visible has; of an earlier gristmill its bytes
        output      TEXT,               -- set when the batch is committed
        evidence    TEXT                -- what it rests on
    ) WITHOUT ROWID;
    PRAGMA user_version = 3;";

/// A committed batch with what it rests on.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Which batch.
    pub id: BatchId,
    /// The claim that committed it.
    fence: i64,
    /// As [`Receipt::evidence`].
    pub evidence: Option<String>,
}

/// What is about to become visible is written and read part by part: it may be large.
const PARTS: &str = "
    CREATE TABLE IF NOT EXISTS parts (
        key    TEXT NOT NULL,
        number INTEGER NOT NULL,
        bytes  BLOB NOT NULL,
        PRIMARY KEY (key, number)
    );";

/// A ledger in a file.
#[derive(Clone, Debug)]
pub struct SqliteLedger {
    connection: Arc<Mutex<Connection>>,
    owner: Arc<Owner>,
}

impl SqliteLedger {
    /// Opens the ledger of the folder `directory`, or begins one. Claims of processes that are gone are given back.
    pub fn open(directory: &Path) -> Result<Self, LedgerError> {
        let file = directory.join(FILE);
        let fault = |error: &dyn std::fmt::Display| {
            LedgerError::Unavailable(format!(
                "{}: {error}; once it is moved away, all batches of this folder count as not done",
                file.display()
            ))
        };
        let owners = file.with_file_name("owners");
        std::fs::create_dir_all(&owners).map_err(|error| fault(&error))?;
        let mut connection = sqlite::open(&file).map_err(|error| fault(&error))?;
        let version = layout(&connection).map_err(|error| fault(&error))?;
        if version > VERSION {
            return Err(fault(&format!("written by a later gristmill (layout {version}, this one knows {VERSION})")));
        }
        let enter = |connection: &Connection| {
            // Asked again: another process may have begun it in between.
            if layout(connection)? < VERSION {
                connection.execute_batch(SCHEMA)?;
            }
            connection.execute_batch(PARTS)?;
            let mut release = connection.prepare("UPDATE batches SET lease_until = 0 WHERE owner = ?1")?;
            for dead in owners::remove_dead(&owners).map_err(io_error)? {
                release.execute([dead])?;
            }
            Owner::enter(&owners).map_err(io_error)
        };
        let owner = immediately(&mut connection, enter).map_err(|error| fault(&error))?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), owner: Arc::new(owner) })
    }

    /// Some of the committed batches whose execution starts with `prefix`, in the order of their keys, behind the one that is
    /// given: at most so many, because each may rest on much.
    pub async fn kept_under(
        &self,
        prefix: &str,
        behind: Option<&BatchId>,
        most: usize,
    ) -> Result<Vec<Kept>, LedgerError> {
        let (first, end) = (prefix.to_owned(), format!("{prefix}\u{10ffff}"));
        let behind = behind.map(BatchId::key).unwrap_or_default();
        self.with(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT execution, state, fence, evidence FROM batches
                 WHERE key >= ?1 AND key < ?2 AND key > ?3 AND output IS NOT NULL ORDER BY key LIMIT ?4",
            )?;
            let kept = |row: &Row<'_>| {
                let id = BatchId { execution: row.get(0)?, state: row.get(1)? };
                Ok(Kept { id, fence: row.get(2)?, evidence: row.get(3)? })
            };
            statement.query_map(params![first, end, behind, most as i64], kept)?.collect()
        })
        .await
    }

    /// Makes of a committed batch one that is to be done: its receipt counts no longer, unless somebody has done it again
    /// meanwhile.
    pub async fn outdate(&self, kept: &Kept) -> Result<(), LedgerError> {
        let (key, fence) = (kept.id.key(), kept.fence);
        // No work has the digest of nothing, so that whatever is claimed is new work.
        let nothing = Digest::of(b"").to_string();
        self.with(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE batches SET fingerprint = ?3 WHERE key = ?1 AND fence = ?2 AND output IS NOT NULL",
                )?
                .execute(params![key, fence, nothing])
                .map(|_| ())
        })
        .await
    }

    /// The committed batches whose execution starts with `prefix`, in the order of their keys. What they rest on stays there.
    pub async fn committed_under(&self, prefix: &str) -> Result<Vec<(BatchId, Receipt)>, LedgerError> {
        // Text compares by its UTF-8 bytes, and no text has a character behind this one.
        let (first, behind) = (prefix.to_owned(), format!("{prefix}\u{10ffff}"));
        self.with(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT execution, state, output, fingerprint FROM batches
                 WHERE key >= ?1 AND key < ?2 AND output IS NOT NULL ORDER BY key",
            )?;
            let entry = |row: &Row<'_>| {
                let id = BatchId { execution: row.get(0)?, state: row.get(1)? };
                Ok((id, Receipt { output: row.get(2)?, fingerprint: digest(row, 3)?, evidence: None }))
            };
            statement.query_map([first, behind], entry)?.collect()
        })
        .await
    }

    /// Forgets a batch, so that it counts as never done.
    pub async fn forget(&self, id: &BatchId) -> Result<(), LedgerError> {
        let key = id.key();
        self.with(move |connection| {
            forget_parts(connection, &key)?;
            connection.prepare_cached("DELETE FROM batches WHERE key = ?1")?.execute([key]).map(|_| ())
        })
        .await
    }

    /// Runs statements where they may block: another process may be writing.
    async fn with<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let connection = Arc::clone(&self.connection);
        tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            call(&mut connection).map_err(|error| failed(&connection, &error))
        })
        .await
        .map_err(|error| LedgerError::Unavailable(error.to_string()))?
    }

    /// Changes the entry of a claim, if nobody has taken the batch over.
    async fn update(
        &self,
        claimed: &Claimed,
        call: impl FnOnce(&Connection, &str, i64) -> rusqlite::Result<usize> + Send + 'static,
    ) -> Result<(), LedgerError> {
        let (key, fence) = (claimed.id.key(), claimed.fence.cast_signed());
        let call =
            move |connection: &mut Connection| immediately(connection, |transaction| call(transaction, &key, fence));
        match self.with(call).await? {
            0 => Err(LedgerError::Lost(claimed.id.clone())),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn claim(&self, request: &ClaimRequest) -> Result<Claim, LedgerError> {
        let (request, owner) = (request.clone(), Arc::clone(&self.owner));
        self.with(move |connection| immediately(connection, |transaction| claim(transaction, &request, &owner.name)))
            .await
    }

    async fn renew(&self, claimed: &Claimed, now: SystemTime, lease: Duration) -> Result<(), LedgerError> {
        let until = millis(now) + lease.as_millis() as i64;
        self.update(claimed, move |connection, key, fence| {
            connection
                .prepare_cached("UPDATE batches SET lease_until = ?3 WHERE key = ?1 AND fence = ?2")?
                .execute(params![key, fence, until])
        })
        .await
    }

    async fn prepare(&self, claimed: &Claimed, record: &Record) -> Result<(), LedgerError> {
        let record = record.clone();
        self.update(claimed, move |connection, key, fence| {
            let mut ours = connection.prepare_cached("SELECT 1 FROM batches WHERE key = ?1 AND fence = ?2")?;
            if !ours.exists(params![key, fence])? {
                return Ok(0);
            }
            forget_parts(connection, key)?;
            let mut put = connection.prepare_cached("INSERT INTO parts (key, number, bytes) VALUES (?1, ?2, ?3)")?;
            let mut count = 0_i64;
            for part in record.parts() {
                put.execute(params![key, count, &*part])?;
                count += 1;
            }
            connection
                .prepare_cached("UPDATE batches SET prepared = ?3 WHERE key = ?1 AND fence = ?2")?
                .execute(params![key, fence, count])
        })
        .await
    }

    async fn commit(&self, claimed: &Claimed, receipt: &Receipt) -> Result<(), LedgerError> {
        let receipt = receipt.clone();
        self.update(claimed, move |connection, key, fence| {
            let ours = connection
                .prepare_cached(
                    "UPDATE batches SET output = ?3, fingerprint = ?4, evidence = ?5, prepared = NULL
                     WHERE key = ?1 AND fence = ?2",
                )?
                .execute(params![key, fence, receipt.output, receipt.fingerprint.to_string(), receipt.evidence])?;
            if ours > 0 {
                forget_parts(connection, key)?;
            }
            Ok(ours)
        })
        .await
    }

    async fn release(&self, claimed: &Claimed, state: GiveBack) -> Result<(), LedgerError> {
        self.update(claimed, move |connection, key, fence| {
            let update = match state {
                GiveBack::Unfinished => "UPDATE batches SET lease_until = 0 WHERE key = ?1 AND fence = ?2",
                GiveBack::Afresh => {
                    "UPDATE batches SET lease_until = 0, component = NULL, prepared = NULL WHERE key = ?1 AND fence = ?2"
                }
            };
            let ours = connection.prepare_cached(update)?.execute(params![key, fence])?;
            if ours > 0 && state == GiveBack::Afresh {
                forget_parts(connection, key)?;
            }
            Ok(ours)
        })
        .await
    }
}

fn forget_parts(connection: &Connection, key: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM parts WHERE key = ?1")?.execute([key]).map(|_| ())
}

/// What is prepared of a batch.
fn record(connection: &Connection, key: &str, prepared: &Value) -> rusqlite::Result<Record> {
    if let Value::Blob(bytes) = prepared {
        return Ok(Record::from(bytes.clone()));
    }
    let mut parts = connection.prepare_cached("SELECT bytes FROM parts WHERE key = ?1 ORDER BY number")?;
    parts.query_map([key], |row| row.get::<_, Vec<u8>>(0).map(Bytes::from))?.collect()
}

fn failed(connection: &Connection, error: &rusqlite::Error) -> LedgerError {
    let file = connection.path().unwrap_or(FILE);
    let why = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => format!("the disk with `{file}` is full: make room and run again"),
        _ => format!("`{file}`: {error}"),
    };
    if sqlite::may_pass(error) { LedgerError::Unavailable(why) } else { LedgerError::Refused(why) }
}

/// The layout of the file's table; 0 where there is none.
fn layout(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn io_error(error: std::io::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

/// Reads and writes as one: nobody else writes in between.
fn immediately<T>(
    connection: &mut Connection,
    call: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let result = call(&transaction)?;
    transaction.commit()?;
    Ok(result)
}

struct Entry {
    fence: i64,
    lease_until: i64,
    started: i64,
    component: Option<Digest>,
    prepared: Option<Value>,
    receipt: Option<String>,
    fingerprint: Digest,
    evidence: Option<String>,
}

impl Entry {
    fn find(connection: &Connection, key: &str) -> rusqlite::Result<Option<Self>> {
        let mut statement = connection.prepare_cached(
            "SELECT fence, lease_until, started, component, prepared, output, fingerprint, evidence FROM batches
             WHERE key = ?1",
        )?;
        let entry = |row: &Row<'_>| {
            let component = row.get::<_, Option<String>>(3)?.map(|_| digest(row, 3)).transpose()?;
            let [fence, lease_until, started] = [row.get(0)?, row.get(1)?, row.get(2)?];
            let (prepared, receipt, fingerprint) = (row.get(4)?, row.get(5)?, digest(row, 6)?);
            let evidence = row.get(7)?;
            Ok(Self { fence, lease_until, started, component, prepared, receipt, fingerprint, evidence })
        };
        statement.query_row([key], entry).optional()
    }
}

fn claim(connection: &Connection, request: &ClaimRequest, owner: &str) -> rusqlite::Result<Claim> {
    let (key, now) = (request.id.key(), millis(request.now));
    let mut claimed = Claimed {
        id: request.id.clone(),
        fence: 1,
        component: request.component,
        resumed: false,
        started: time_of(now),
    };
    let mut prepared = None;
    if let Some(entry) = Entry::find(connection, &key)? {
        let same = entry.fingerprint == request.fingerprint;
        match entry.receipt {
            Some(output) if same => {
                return Ok(Claim::Committed(Receipt {
                    output,
                    fingerprint: entry.fingerprint,
                    evidence: entry.evidence,
                }));
            }
            None if entry.lease_until > now => {
                let remaining = Duration::from_millis(entry.lease_until.abs_diff(now));
                return Ok(Claim::Held { remaining });
            }
            _ => {}
        }
        claimed.fence = entry.fence.cast_unsigned() + 1;
        if same {
            claimed.started = time_of(entry.started);
            claimed.resumed = entry.component.is_some();
            claimed.component = entry.component.unwrap_or(request.component);
            prepared = entry.prepared;
        } else {
            forget_parts(connection, &key)?;
        }
    }
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO batches
                 (key, execution, state, fence, lease_until, started, component, fingerprint, owner, prepared)
             VALUES (:key, :execution, :state, :fence, :lease_until, :started, :component, :fingerprint, :owner, :prepared)",
        )?
        .execute(named_params! {
            ":key": key, ":execution": request.id.execution, ":state": request.id.state,
            ":fence": claimed.fence.cast_signed(), ":lease_until": now + request.lease.as_millis() as i64,
            ":started": millis(claimed.started), ":component": claimed.component.to_string(),
            ":fingerprint": request.fingerprint.to_string(), ":owner": owner, ":prepared": prepared,
        })?;
    Ok(match prepared {
        Some(prepared) => Claim::Prepared(claimed, record(connection, &key, &prepared)?),
        None => Claim::Taken(claimed),
    })
}

fn digest(row: &Row<'_>, column: usize) -> rusqlite::Result<Digest> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error: String| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
    })
}

#[cfg(test)]
mod tests {

    use super::super::contract::{self, request};
    use super::*;

    #[tokio::test]
    async fn keeps_the_contract() {
        let directory = tempfile::tempdir().unwrap();
        contract::suite(&SqliteLedger::open(directory.path()).unwrap(), "run").await;
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
        let (alive, dead) =
            (SqliteLedger::open(directory.path()).unwrap(), SqliteLedger::open(directory.path()).unwrap());
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
}
