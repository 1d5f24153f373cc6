//! The one transaction that decides who gets a batch.

use std::time::Duration;

use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};

use super::super::{Claim, ClaimRequest, Claimed, Receipt, Record, millis, time_of};
use super::file::forget_parts;
use crate::job::Digest;

/// Claims the batch, or says who has it or what came of it.
pub(super) fn claim(connection: &Connection, request: &ClaimRequest, owner: &str) -> rusqlite::Result<Claim> {
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

/// What the file knows of a batch.
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

/// What is prepared of a batch.
fn record(connection: &Connection, key: &str, prepared: &Value) -> rusqlite::Result<Record> {
    if let Value::Blob(bytes) = prepared {
        return Ok(Record::from(bytes.clone()));
    }
    let mut parts = connection.prepare_cached("SELECT bytes FROM parts WHERE key = ?1 ORDER BY number")?;
    parts.query_map([key], |row| row.get::<_, Vec<u8>>(0).map(Bytes::from))?.collect()
}

/// A column with a digest as text.
pub(super) fn digest(row: &Row<'_>, column: usize) -> rusqlite::Result<Digest> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error: String| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
    })
}
