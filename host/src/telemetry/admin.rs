//! The admin port: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever starts and stops containers.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::metrics::Metrics;

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

    fn say(&self, state: Result<(), String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, readiness: Readiness) -> io::Result<()> {
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state((metrics, readiness));
    axum::serve(listener, routes).await
}

async fn ready(State((_, readiness)): State<(Arc<Metrics>, Readiness)>) -> impl IntoResponse {
    match &*readiness.0.lock().unwrap_or_else(PoisonError::into_inner) {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not taking messages: {why}\n")),
    }
}

async fn render(State((metrics, _)): State<(Arc<Metrics>, Readiness)>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], metrics.render())
}

/// How long a worker has to say that it is alive: less than the 5 s that ECS waits for a health check by default.
const PATIENCE: Duration = Duration::from_secs(4);

/// Asks another process's admin port whether it is alive: a container's health check without a shell or curl.
pub async fn probe(address: &str, path: &str) -> io::Result<()> {
    let silent = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, ask(address, path)).await.unwrap_or_else(|error| Err(silent(error)))
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

    #[tokio::test]
    async fn health_is_not_readiness() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, readiness) = (listener.local_addr().unwrap().to_string(), Readiness::default());
        tokio::spawn(serve(listener, Arc::new(Metrics::new().unwrap()), readiness.clone()));
        probe(&address, "/healthz").await.unwrap();
        assert!(probe(&address, "/readyz").await.unwrap_err().to_string().contains("503"));
        readiness.ready();
        probe(&address, "/readyz").await.unwrap();
        assert!(probe(&address, "/nosuch").await.unwrap_err().to_string().contains("404"));
    }
}
