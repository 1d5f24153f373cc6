//! The ECS agent.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

/// How long a protection lasts unless it is renewed, in minutes (ECS takes 1 to 2,880). A worker that falls silent leaves its
/// task protected for this long.
const MINUTES: u64 = 30;
pub(super) const EXPIRY: Duration = Duration::from_secs(MINUTES * 60);
const MAX_ANSWER: usize = 64 << 10;

/// Sets and ends the protection of this task.
#[expect(async_fn_in_trait, reason = "there is one implementation beside the tests', and nobody names its future")]
pub trait Agent {
    /// Protects the task for the next 30 minutes, or not any more.
    async fn protect(&self, protect: bool) -> Result<(), AgentError>;
}

/// Why the protection was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// `$ECS_AGENT_URI` cannot be used.
    #[error("`ECS_AGENT_URI` is `{0}`: expected `http://HOST/PATH`")]
    Uri(String),
    /// The agent cannot be reached, or does not answer in HTTP.
    #[error("the agent at {at} did not answer: {reason}")]
    Silent {
        /// Where.
        at: Uri,
        /// Why not.
        reason: String,
    },
    /// The agent refuses, or ECS behind it does.
    #[error("{0}")]
    Refused(String),
}

/// Why ECS does not change a protection, as it says itself ("Amazon ECS task scale-in protection endpoint" in the ECS developer
/// guide, and the failures and errors of `UpdateTaskProtection`).
const REASONS: [&str; 8] = [
    "DEPLOYMENT_BLOCKED",
    "MISSING",
    "TASK_NOT_VALID",
    "AccessDeniedException",
    "ClientException",
    "ServerException",
    "ThrottlingException",
    "UnsupportedFeatureException",
];

impl AgentError {
    /// The reason as metrics have it: one of a few.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Uri(_) | Self::Silent { .. } => "no_answer",
            Self::Refused(text) => REASONS.into_iter().find(|reason| text.starts_with(reason)).unwrap_or("other"),
        }
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

/// An answer of the agent: it has one of the three.
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
