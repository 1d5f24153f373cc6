//! A database: asked by statements that only read, through at most so many sessions.

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Pool, PoolError, Timeouts};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio_postgres::{Row, Statement};

use super::classify::Fault;
use super::error::DatabaseError;
use super::file::Settings;
use super::leased::{Leased, Opener, Turn};
use super::password::Vaults;
use super::rows::{Rows, Source, block_rows};
use super::session::Server;
use super::typed::{Typed, typed};
use super::value::Value;
use crate::backoff::Backoff;

/// How often a statement is tried whose connection fails before its first row, the first time included.
const ATTEMPTS: u32 = 3;

/// Between them.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(2));

/// The longest statement, in bytes.
const MAX_STATEMENT: usize = 1 << 20;

/// The most bytes of the answer to [`Database::ask`].
const MAX_ANSWER: usize = 64 << 20;

/// How long somebody waits for their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As long as it takes: whoever waits holds no session meanwhile, so that those who do go on.
    Endless,
    /// For whoever holds a session already: two of them might wait for each other.
    Short,
}

impl Patience {
    fn time(self) -> Option<Duration> {
        match self {
            Self::Endless => None,
            Self::Short => Some(Duration::from_secs(10)),
        }
    }
}

/// A database behind a connection's name. Clones are the same sessions.
#[derive(Clone)]
pub struct Database {
    server: Arc<Server>,
    turns: Arc<Semaphore>,
    pool: Pool<Opener>,
}

impl Database {
    pub(super) fn new(name: &str, settings: Settings, vaults: Vaults) -> Result<Self, String> {
        let sessions = settings.connections;
        let server = Server::new(name, settings, vaults).map_err(|error| format!("{name:?}: {error}"))?;
        let server = Arc::new(server);
        let pool = Pool::builder(Opener(server.clone())).max_size(sessions).build();
        let turns = Arc::new(Semaphore::new(sessions));
        Ok(Self { server, turns, pool: pool.map_err(|error| format!("{name:?}: {error}"))? })
    }

    /// The connection's name.
    pub fn name(&self) -> &str {
        &self.server.name
    }

    /// Waits until fewer statements are under way than the connection has sessions.
    pub async fn turn(&self, patience: Patience) -> Result<Turn, DatabaseError> {
        let unavailable = |why: String| DatabaseError::Unavailable(format!("connection `{}`: {why}", self.name()));
        let wait = self.turns.clone().acquire_owned();
        let permit = match patience.time() {
            None => wait.await,
            Some(time) => tokio::time::timeout(time, wait).await.map_err(|_| {
                unavailable(format!(
                    "all {} sessions are in use, some by this item: end the rows that it reads before it asks for others, or raise \
                     `connections`",
                    self.server.settings.connections
                ))
            })?,
        };
        // Nobody ever closes it.
        permit.map(Turn::new).map_err(|closed| unavailable(closed.to_string()))
    }

    /// Asks for rows in blocks of at most so many, 0 for a good number. The statement is tried again if the connection fails before
    /// the first row; an error of the statement comes from here, too, if it comes before that.
    ///
    /// Has to be polled on a runtime for I/O, which outlives the rows.
    pub async fn query(&self, statement: &str, parameters: &[Value], rows: usize) -> Result<Rows, DatabaseError> {
        let turn = self.turn(Patience::Endless).await?;
        self.query_in(&turn, statement, parameters, rows).await
    }

    /// The same for somebody whose turn it is.
    pub async fn query_in(
        &self,
        turn: &Turn,
        statement: &str,
        parameters: &[Value],
        rows: usize,
    ) -> Result<Rows, DatabaseError> {
        tried(|| self.query_once(turn, statement, parameters, rows).boxed()).await
    }

    /// Asks for a few rows: for the host's own questions. Their values have PostgreSQL's own types.
    pub async fn ask(&self, statement: &str, parameters: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        let turn = self.turn(Patience::Endless).await?;
        tried(|| self.ask_once(&turn, statement, parameters).boxed()).await
    }

    async fn query_once(&self, turn: &Turn, statement: &str, parameters: &[Value], rows: usize) -> Result<Rows, Fault> {
        let mut leased = self.leased(turn).await?;
        let described = self.described(&mut leased, statement, parameters).await?;
        let Typed { columns, reads, wrapped } = typed(self.name(), statement, described.columns())?;
        let prepared = match wrapped {
            None => described,
            Some(wrapped) => prepared_as_subquery(&mut leased, &wrapped).await?,
        };
        let mut source = run(leased, &prepared, parameters).await?;
        let next = source.row().await?;
        let source = next.is_some().then_some(source);
        let (name, block_rows) = (self.name().to_owned(), block_rows(rows));
        Ok(Rows { name, columns, reads, block_rows, source, next, fetched: Vec::new(), bytes: 0 })
    }

    async fn ask_once(&self, turn: &Turn, statement: &str, parameters: &[Value]) -> Result<Vec<Row>, Fault> {
        let mut leased = self.leased(turn).await?;
        let prepared = self.described(&mut leased, statement, parameters).await?;
        let mut source = run(leased, &prepared, parameters).await?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while let Some(row) = source.row().await? {
            bytes += row.raw_size_bytes();
            if bytes > MAX_ANSWER {
                let name = self.name();
                return Err(Fault::too_large(format!(
                    "connection `{name}`: the answer has more than {MAX_ANSWER} bytes"
                )));
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// A session, which there is room for: what may still be waited for is that the one before is cleaned up.
    async fn leased(&self, turn: &Turn) -> Result<Leased, Fault> {
        let got = Box::pin(self.pool.timeout_get(&Timeouts::default())).await;
        let session = got.map_err(|error| match error {
            PoolError::Backend(fault) => fault,
            PoolError::Closed
            | PoolError::Timeout(_)
            | PoolError::PostCreateHook(_)
            | PoolError::NoRuntimeSpecified => {
                Fault::passing(format!("connection `{}`: no session of it can be had", self.name()))
            }
        })?;
        Ok(Leased::new(session, self.server.clone(), turn.clone()))
    }

    /// Begins a transaction that only reads, and asks what the statement gives.
    async fn described(&self, leased: &mut Leased, statement: &str, parameters: &[Value]) -> Result<Statement, Fault> {
        let name = self.name();
        if statement.len() > MAX_STATEMENT {
            let size = statement.len();
            return Err(Fault::invalid(format!(
                "connection `{name}`: a statement of {size} bytes; at most {MAX_STATEMENT}"
            )));
        }
        leased.busy = true;
        let begun = leased.client()?.batch_execute("BEGIN READ ONLY").await;
        leased.settled(begun)?;
        let prepared = leased.client()?.prepare(statement).await;
        let prepared = leased.settled(prepared)?;
        leased.busy = false;
        let (wants, given) = (prepared.params().len(), parameters.len());
        if wants != given {
            return Err(Fault::invalid(format!(
                "connection `{name}`: the statement has {wants} parameters ($1, $2, …), and {given} are given"
            )));
        }
        // What gives nothing may end the transaction, or change the session.
        if prepared.columns().is_empty() {
            return Err(Fault::invalid(format!(
                "connection `{name}`: the statement gives no columns: only queries can be asked"
            )));
        }
        Ok(prepared)
    }
}

/// Prepares the statement in which the server prints columns.
async fn prepared_as_subquery(leased: &mut Leased, wrapped: &str) -> Result<Statement, Fault> {
    leased.busy = true;
    let prepared = leased.client()?.prepare(wrapped).await;
    let prepared = leased.settled(prepared).map_err(|fault| match fault.error {
        DatabaseError::Invalid(why) => Fault::invalid(format!(
            "{why}: some of its columns are of types that the server has to print, for which the statement is asked as a \
             subquery, and it cannot be one: cast these columns to `text` in it"
        )),
        error => Fault { error, ..fault },
    })?;
    leased.busy = false;
    Ok(prepared)
}

async fn run(mut leased: Leased, prepared: &Statement, parameters: &[Value]) -> Result<Source, Fault> {
    leased.busy = true;
    let asked = leased.client()?.query_raw(prepared, parameters).await;
    let stream = leased.settled(asked)?;
    Ok(Source { stream: Box::pin(stream), leased })
}

/// Tries as long as the next attempt may go better.
async fn tried<'a, T>(attempt: impl Fn() -> BoxFuture<'a, Result<T, Fault>>) -> Result<T, DatabaseError> {
    let mut tries = 1;
    loop {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(fault) if fault.again && tries < ATTEMPTS => {
                tracing::debug!(error = %fault.error, "a database is asked again");
                tokio::time::sleep(PAUSES.pause(tries - 1)).await;
                tries += 1;
            }
            Err(fault) => return Err(fault.error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Connections;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_may_hold_up_others_does_not_wait_for_ever() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let shop = "[shop]\nurl = 'postgresql://reader@localhost/shop'\ntls = 'off'\nconnections = 2";
        std::fs::write(file.path(), shop).unwrap();
        let connections = Connections::load(file.path(), None).unwrap();
        let shop = connections.named("shop").unwrap();
        let held = [shop.turn(Patience::Endless).await.unwrap(), shop.turn(Patience::Short).await.unwrap()];
        let refused = shop.turn(Patience::Short).await.unwrap_err();
        assert!(
            matches!(&refused, DatabaseError::Unavailable(why) if why.contains("all 2 sessions are in use")),
            "{refused:?}"
        );
        assert!(tokio::time::timeout(Duration::from_secs(3600), shop.turn(Patience::Endless)).await.is_err());
        drop(held);
        shop.turn(Patience::Short).await.unwrap();
    }
}
