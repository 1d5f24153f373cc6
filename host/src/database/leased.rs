//! A session that somebody has for one statement. However that ends, the session is clean before anybody else gets it, or it is
//! closed; and as long as it is there, it counts against the connection's bound.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool::managed::{self, Metrics, Object, RecycleError, RecycleResult};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio_postgres::Client;

use super::classify::{Fault, classify};
use super::session::{Server, Session};

/// Ends what a statement may have left in the session. Locks of the session outlive its transaction, and settings do not.
const END: &str = "ROLLBACK; SELECT pg_advisory_unlock_all()";

/// A session that nobody has used for so long is asked whether it still is there.
const IDLE: Duration = Duration::from_secs(30);

/// How long cleaning up may take before the session is closed.
const CLEANUP: Duration = Duration::from_secs(10);

/// The right to have one of a connection's sessions, for one statement.
#[derive(Clone, Debug)]
pub struct Turn {
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Turn {
    pub(super) fn new(permit: OwnedSemaphorePermit) -> Self {
        Self { _permit: Arc::new(permit) }
    }
}

/// Opens sessions for the pool.
pub(super) struct Opener(pub(super) Arc<Server>);

impl managed::Manager for Opener {
    type Type = Session;
    type Error = Fault;

    async fn create(&self) -> Result<Session, Fault> {
        self.0.open().await
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<Fault> {
        if session.is_closed() {
            return Err(RecycleError::message("it is closed"));
        }
        if session.used.elapsed() > IDLE {
            let asked = tokio::time::timeout(CLEANUP, session.client.batch_execute("")).await;
            asked.ok().and_then(Result::ok).ok_or(RecycleError::message("it does not answer"))?;
        }
        Ok(())
    }
}

/// A session for one statement.
pub(super) struct Leased {
    session: Option<Object<Opener>>,
    server: Arc<Server>,
    turn: Turn,
    /// Where it is cleaned up.
    io: Handle,
    /// Whether the server may be at work for it.
    pub(super) busy: bool,
}

impl Leased {
    pub(super) fn new(session: Object<Opener>, server: Arc<Server>, turn: Turn) -> Self {
        Self { session: Some(session), server, turn, io: Handle::current(), busy: false }
    }

    /// Who speaks with the server. There is none only while this is dropped.
    pub(super) fn client(&self) -> Result<&Client, Fault> {
        let gone = || Fault::passing(format!("connection `{}`: the session is gone", self.server.name));
        self.session.as_deref().map(|session| &session.client).ok_or_else(gone)
    }

    /// What came of a request; after an error the server is at work no more.
    pub(super) fn settled<T>(&mut self, came: Result<T, tokio_postgres::Error>) -> Result<T, Fault> {
        came.map_err(|error| {
            self.busy = false;
            match self.session.as_deref() {
                Some(session) => session.fault(&self.server.name, &error),
                None => classify(&self.server.name, &error),
            }
        })
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            let (server, turn, busy) = (self.server.clone(), self.turn.clone(), self.busy);
            self.io.spawn(async move {
                clean_up(session, server, busy).await;
                drop(turn);
            });
        }
    }
}

async fn clean_up(mut session: Object<Opener>, server: Arc<Server>, busy: bool) {
    if busy
        && !session.is_closed()
        && let Ok(Err(fault)) = tokio::time::timeout(CLEANUP, server.cancel(session.client.cancel_token())).await
    {
        tracing::debug!(error = %fault.error, "a query was not cancelled");
    }
    // What is left of the answer is read and thrown away first. A cancellation that comes late may hit the first of these.
    for _ in 0..2 {
        if let Ok(Ok(())) = tokio::time::timeout(CLEANUP, session.client.batch_execute(END)).await {
            session.used = Instant::now();
            return;
        }
        if session.is_closed() {
            break;
        }
    }
    Object::take(session).kill().await;
}
