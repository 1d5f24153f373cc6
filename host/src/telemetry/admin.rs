//! The admin port: a page for people, the same as JSON, `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever starts
//! and stops containers.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use futures::stream::{self, Stream, StreamExt as _};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::metrics::Metrics;
use super::status;
use crate::text::{json, line};

/// Whether the worker takes messages, or why it does not.
#[derive(Clone)]
pub struct Readiness(Arc<Mutex<Result<(), String>>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Err("it starts".into()))))
    }
}

impl Readiness {
    /// Messages are taken from now on.
    pub fn ready(&self) {
        self.say(Ok(()));
    }

    /// Messages are not taken, for this reason.
    pub fn not_ready(&self, why: impl Into<String>) {
        self.say(Err(why.into()));
    }

    /// Why messages are not taken; none if they are.
    fn why_not(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().err()
    }

    fn say(&self, state: Result<(), String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// The most connections at once. One more ends the oldest: a request for `/healthz` is answered at once, so a
/// connection that grows old asks for nothing.
const MAX_CONNECTIONS: usize = 64;
/// How long a client may take to send the request's head, and how long the whole connection may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of a request is held in memory: requests here are short, and have no body.
const MAX_REQUEST: usize = 16 << 10;
/// The pause after a connection could not be accepted, for example because the process has no file descriptor left.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(500);

/// Binds the address, which no other process may use.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => io::Error::new(
            error.kind(),
            "another process listens there, perhaps another worker: give each an address of its own (port 0 is any that is free)",
        ),
        _ => error,
    })
}

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, readiness: Readiness) {
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .route("/status", get(as_json))
        .route("/", get(page))
        .with_state((metrics, readiness));
    let accept = async |listener: TcpListener| {
        let accepted = listener.accept().await;
        Some((accepted.map(|(stream, _)| stream), listener))
    };
    answer(stream::unfold(listener, accept), routes).await;
}

/// Answers every client. One that could not be accepted does not end the loop.
async fn answer(clients: impl Stream<Item = io::Result<TcpStream>>, routes: Router) {
    let mut clients = pin!(clients);
    let mut connections = VecDeque::new();
    while let Some(client) = clients.next().await {
        let stream = match client {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "the admin port could not take a connection");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                continue;
            }
        };
        connections.retain(|connection: &JoinHandle<()>| !connection.is_finished());
        if connections.len() >= MAX_CONNECTIONS
            && let Some(oldest) = connections.pop_front()
        {
            oldest.abort();
        }
        connections.push_back(tokio::spawn(connection(stream, routes.clone())));
    }
}

/// One request and its answer.
async fn connection(stream: TcpStream, routes: Router) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_REQUEST)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    // A client that leaves or takes too long gets no answer. Nothing else follows.
    let _ = tokio::time::timeout(CONNECTION_TIMEOUT, serving).await;
}

async fn ready(State((_, readiness)): State<(Arc<Metrics>, Readiness)>) -> impl IntoResponse {
    match readiness.why_not() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not taking messages: {}\n", line(&why))),
    }
}

async fn render(State((metrics, _)): State<(Arc<Metrics>, Readiness)>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], metrics.render())
}

/// What is served beside a text that shows a moment: nobody keeps it, and it is what it says it is.
const OF_A_MOMENT: [(HeaderName, &str); 2] =
    [(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];

/// `?pause` is the page without updates, for whoever reads slowly.
async fn page(
    State((metrics, readiness)): State<(Arc<Metrics>, Readiness)>,
    RawQuery(query): RawQuery,
) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, status::content_security_policy()),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let is_live = query.as_deref() != Some("pause");
    (headers, OF_A_MOMENT, status::page(&metrics.status(readiness.why_not()), is_live))
}

async fn as_json(State((metrics, readiness)): State<(Arc<Metrics>, Readiness)>) -> impl IntoResponse {
    let text = serde_json::to_string_pretty(&metrics.status(readiness.why_not())).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], OF_A_MOMENT, json(&text).into_owned() + "\n")
}

/// How long a probe waits for its answer: less than the 5 s that ECS gives a health check by default.
const PROBE_TIMEOUT: Duration = Duration::from_secs(4);

/// Asks another process's admin port whether it is alive: a container's health check without a shell or curl.
pub async fn probe(address: &str, path: &str) -> io::Result<()> {
    let silent = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {} s", PROBE_TIMEOUT.as_secs()));
    tokio::time::timeout(PROBE_TIMEOUT, ask(address, path)).await.unwrap_or_else(|error| Err(silent(error)))
}

async fn ask(address: &str, path: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.take(64 << 10).read_to_string(&mut answer).await?;
    match answer.split_whitespace().nth(1) {
        Some("200") => Ok(()),
        _ => Err(io::Error::other(answer.lines().next().unwrap_or("no answer").to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_does_not_answer_is_not_healthy() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = probe(&silent.local_addr().unwrap().to_string(), "/healthz").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    /// A worker's admin port, and its address.
    async fn port() -> (SocketAddr, Readiness) {
        let listener = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (address, readiness) = (listener.local_addr().unwrap(), Readiness::default());
        tokio::spawn(serve(listener, Arc::new(Metrics::new().unwrap()), readiness.clone()));
        (address, readiness)
    }

    /// A client that says half of what it wants.
    async fn half_open(address: SocketAddr) -> TcpStream {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /healthz HT").await.unwrap();
        client
    }

    /// Whether the server has ended the connection: nothing but an end, or an error, comes.
    async fn is_ended(client: &mut TcpStream) -> bool {
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.map_or(true, |_| !rest.starts_with(b"HTTP/1.1 200"))
    }

    #[tokio::test]
    async fn many_who_ask_for_nothing_do_not_silence_it() {
        let (address, _) = port().await;
        let mut clients = Vec::new();
        for _ in 0..4 * MAX_CONNECTIONS {
            clients.push(half_open(address).await);
        }
        probe(&address.to_string(), "/healthz").await.unwrap();
        probe(&address.to_string(), "/metrics").await.unwrap();
        // The oldest had to go: without a bound this would wait for as long as they like.
        for client in &mut clients[..2 * MAX_CONNECTIONS] {
            assert!(is_ended(client).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_nothing_is_not_waited_for() {
        let (address, _) = port().await;
        let began = tokio::time::Instant::now();
        assert!(is_ended(&mut half_open(address).await).await);
        assert!(is_ended(&mut TcpStream::connect(address).await.unwrap()).await);
        assert!((HEAD_TIMEOUT..3 * HEAD_TIMEOUT).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_request_has_a_bound() {
        let (address, _) = port().await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let endless = format!("GET /healthz HTTP/1.1\r\nX: {}", "x".repeat(1 << 20));
        // Refused before all of it was taken.
        let _ = client.write_all(endless.as_bytes()).await;
        assert!(is_ended(&mut client).await);
        probe(&address.to_string(), "/healthz").await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_cannot_be_taken_is_not_the_end() {
        let listener = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        // No descriptor is left, as the system says it.
        let none_left = || Err(io::Error::from_raw_os_error(24));
        let taken = [none_left(), none_left(), Ok(listener.accept().await.unwrap().0)];
        let routes = Router::new().route("/", get(|| async { "here" }));
        answer(stream::iter(taken), routes).await;
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert!(said.ends_with("here"), "{said}");
    }

    #[tokio::test]
    async fn an_address_is_one_process_s_alone() {
        let (address, _) = port().await;
        let error = listen(address).await.unwrap_err();
        assert!(error.to_string().starts_with("another process listens there"), "{error}");
    }

    #[tokio::test]
    async fn health_is_not_readiness() {
        let (address, readiness) = port().await;
        let address = address.to_string();
        probe(&address, "/healthz").await.unwrap();
        assert!(probe(&address, "/readyz").await.unwrap_err().to_string().contains("503"));
        readiness.ready();
        probe(&address, "/readyz").await.unwrap();
        assert!(probe(&address, "/nosuch").await.unwrap_err().to_string().contains("404"));
    }
}
