//! Amazon ECS must not end a task that is at work only because the service scales in: while there are batches the task is
//! protected, and once there have been none for a moment it is not.
//!
//! The ECS agent is asked at `$ECS_AGENT_URI/task-protection/v1/state` ("Amazon ECS task scale-in protection endpoint" in the ECS
//! developer guide). Work never waits for it: a task that is not protected gets SIGTERM like any other, and drains.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How long a protection lasts unless it is renewed, in minutes (ECS takes 1 to 2,880): what a worker that falls silent leaves
/// behind.
const MINUTES: u64 = 30;
const EXPIRY: Duration = Duration::from_secs(MINUTES * 60);
/// How long there must be nothing to do before the protection ends. Between two batches it stays: ECS limits how often it may
/// be changed.
const LINGER: Duration = Duration::from_secs(30);
/// The first pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How long the agent has to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same when the process ends: what is left of ECS's `stopTimeout` after the drain.
const LAST_PATIENCE: Duration = Duration::from_millis(500);
const MAX_ANSWER: usize = 64 << 10;

/// Sets and ends the protection of this task.
#[expect(async_fn_in_trait, reason = "there is one implementation beside the tests', and nobody names its future")]
pub trait Agent {
    /// Protects the task for the next 30 minutes, or not any more.
    async fn protect(&self, protect: bool) -> Result<(), AgentError>;
}

/// Why the protection is not what it was asked to be.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// `$ECS_AGENT_URI` cannot be used.
    #[error("`ECS_AGENT_URI` is `{0}`: expected `http://HOST/PATH`")]
    Uri(String),
    /// The agent cannot be reached, or what it says is no HTTP.
    #[error("the agent at {at} did not answer: {reason}")]
    Silent {
        /// Where.
        at: Uri,
        /// Why not.
        reason: String,
    },
    /// The agent, or ECS behind it, says no.
    #[error("{0}")]
    Refused(String),
}

/// Keeps the task protected while `batches`, the number of batches under way, is not zero. When `end` comes the protection
/// ends, if there may be any.
pub async fn keep(agent: impl Agent, mut batches: watch::Receiver<usize>, end: CancellationToken) {
    let mut course = Course::new(Instant::now());
    while !end.is_cancelled() {
        let busy = *batches.borrow_and_update() > 0;
        match course.next(Instant::now(), busy) {
            Step::Ask(protect) => {
                let answer = tokio::select! {
                    answer = timeout(PATIENCE, agent.protect(protect)) => answer,
                    () = end.cancelled() => break,
                };
                let answer = answer.map_err(|_| format!("the agent did not answer within {} s", PATIENCE.as_secs()));
                let answer = answer.and_then(|answer| answer.map_err(|error| error.to_string()));
                course.answered(Instant::now(), protect, answer.is_ok());
                match answer {
                    Ok(()) => tracing::debug!(protect, "scale-in protection"),
                    // Once: the next ones say the same.
                    Err(reason) if course.failures == 1 => tracing::warn!(
                        reason,
                        "the task's scale-in protection was not changed: work goes on, and so do the attempts. The task's \
                         role needs ecs:UpdateTaskProtection and ecs:GetTaskProtection"
                    ),
                    Err(reason) => tracing::debug!(reason, "the task's scale-in protection was not changed"),
                }
            }
            Step::Wait(until) => {
                let timer = async {
                    match until {
                        Some(until) => sleep_until(until).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    changed = batches.changed() => if changed.is_err() { break },
                    () = timer => {}
                    () = end.cancelled() => {}
                }
            }
        }
    }
    if course.may_be_protected(Instant::now())
        && !matches!(timeout(LAST_PATIENCE, agent.protect(false)).await, Ok(Ok(())))
    {
        tracing::debug!("the task's scale-in protection was not ended; it ends with the task");
    }
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Ask(bool),
    /// For a batch more or less, and at most until then.
    Wait(Option<Instant>),
}

/// What the agent was asked for so far, and when it is asked again.
#[derive(Debug)]
struct Course {
    /// Until when the task may be protected: an answer that did not arrive can still have been a yes.
    until: Option<Instant>,
    /// Before this it is not asked for protection.
    renew: Instant,
    /// Before this it is not asked to end it.
    clear: Instant,
    idle_since: Option<Instant>,
    failures: u32,
}

impl Course {
    fn new(now: Instant) -> Self {
        Self { until: None, renew: now, clear: now, idle_since: None, failures: 0 }
    }

    fn next(&mut self, now: Instant, busy: bool) -> Step {
        let (protect, due) = if busy {
            self.idle_since = None;
            (true, self.renew)
        } else if self.may_be_protected(now) {
            let since = *self.idle_since.get_or_insert(now);
            (false, self.clear.max(since + LINGER))
        } else {
            return Step::Wait(None);
        };
        if now < due {
            return Step::Wait(Some(due));
        }
        if protect {
            self.until = Some(now + EXPIRY);
        }
        Step::Ask(protect)
    }

    fn answered(&mut self, now: Instant, protect: bool, done: bool) {
        if !done {
            let pause = PAUSE * 2_u32.saturating_pow(self.failures.min(16));
            self.failures += 1;
            let next = now + pause.min(LONGEST_PAUSE);
            (self.renew, self.clear) = (next, next);
            return;
        }
        self.failures = 0;
        if protect {
            // Half of the time is left for attempts that fail.
            (self.renew, self.clear) = (now + EXPIRY / 2, now);
        } else {
            (self.until, self.renew) = (None, now);
        }
    }

    fn may_be_protected(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

/// The agent of the container that this process is in.
#[derive(Clone, Debug)]
pub struct EcsAgent {
    state: Uri,
}

impl EcsAgent {
    /// The agent at `$ECS_AGENT_URI`, as ECS gives it to every container.
    pub fn at(uri: &str) -> Result<Self, AgentError> {
        let state = format!("{}/task-protection/v1/state", uri.trim_end_matches('/')).parse::<Uri>().ok();
        let state = state.filter(|state| state.scheme_str() == Some("http") && state.host().is_some());
        Ok(Self { state: state.ok_or_else(|| AgentError::Uri(uri.into()))? })
    }

    /// One request over one connection.
    async fn put(&self, body: String) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
        let authority = self.state.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let address = (self.state.host().unwrap_or_default(), self.state.port_u16().unwrap_or(80));
        let stream = TokioIo::new(TcpStream::connect(address).await?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let path = self.state.path_and_query().map(|path| path.as_str()).unwrap_or_default();
        let request = Request::put(path).header(HOST, authority).header(CONTENT_TYPE, "application/json");
        let answer = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
        Ok(Limited::new(answer.into_body(), MAX_ANSWER).collect().await?.to_bytes())
    }
}

impl Agent for EcsAgent {
    async fn protect(&self, protect: bool) -> Result<(), AgentError> {
        let body = match protect {
            true => serde_json::json!({"ProtectionEnabled": true, "ExpiresInMinutes": MINUTES}),
            false => serde_json::json!({"ProtectionEnabled": false}),
        };
        let answer = self.put(body.to_string()).await;
        let answer =
            answer.map_err(|error| AgentError::Silent { at: self.state.clone(), reason: error.to_string() })?;
        understood(&answer, protect).map_err(AgentError::Refused)
    }
}

/// An answer of the agent: one of the three.
#[derive(Deserialize)]
struct Answer {
    protection: Option<Protection>,
    failure: Option<Failure>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Protection {
    protection_enabled: bool,
}

/// ECS does not protect this task.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    reason: String,
    detail: Option<String>,
}

/// ECS did not do what the agent asked it for.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    code: String,
    message: Option<String>,
}

fn understood(answer: &[u8], protect: bool) -> Result<(), String> {
    let text = || String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
    match serde_json::from_slice(answer) {
        Ok(Answer { error: Some(Refusal { code, message }), .. }) => {
            Err(format!("{code}: {}", message.unwrap_or_default()))
        }
        Ok(Answer { failure: Some(Failure { reason, detail }), .. }) => {
            Err(detail.map_or(reason.clone(), |detail| format!("{reason}: {detail}")))
        }
        Ok(Answer { protection: Some(protection), .. }) if protection.protection_enabled == protect => Ok(()),
        _ => Err(format!("the agent answered {:?}", text())),
    }
}

#[cfg(test)]
mod tests;
