//! Answers for the local Distributed Map: whoever waits for a batch registers its token and gets the answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Answer, Callback, CallbackError, Waiting};
use crate::job::TaskToken;

/// Who waits for what. Whoever stops waiting (a time-out, an end of the run) drops the receiver.
#[derive(Debug, Default)]
pub struct LocalCallback {
    waiting: Mutex<HashMap<TaskToken, Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    answer: oneshot::Sender<Answer>,
    heard: Instant,
}

impl LocalCallback {
    /// Nobody waits yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits for the answer to this token. Registering a token again ends the earlier wait without an answer.
    pub fn register(&self, token: TaskToken) -> oneshot::Receiver<Answer> {
        let (answer, receiver) = oneshot::channel();
        self.waiting().insert(token, Waiter { answer, heard: Instant::now() });
        receiver
    }

    /// When the token's last heartbeat came, or when it was registered if none came. `HeartbeatSeconds` is counted from there.
    /// None when nobody waits.
    pub fn last_heard(&self, token: &TaskToken) -> Option<Instant> {
        self.waiting().get(token).map(|waiter| waiter.heard)
    }

    /// Stops waiting: from now on this token is unknown.
    pub fn forget(&self, token: &TaskToken) {
        self.waiting().remove(token);
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<TaskToken, Waiter>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Callback for LocalCallback {
    async fn answer(&self, token: &TaskToken, answer: &Answer) -> Result<Waiting, CallbackError> {
        let heard = self.waiting().remove(token).map(|waiter| waiter.answer.send(answer.clone()));
        Ok(if matches!(heard, Some(Ok(()))) { Waiting::Yes } else { Waiting::No })
    }

    async fn heartbeat(&self, token: &TaskToken) -> Result<Waiting, CallbackError> {
        let mut waiting = self.waiting();
        match waiting.get_mut(token) {
            Some(waiter) if !waiter.answer.is_closed() => {
                waiter.heard = Instant::now();
                Ok(Waiting::Yes)
            }
            _ => {
                waiting.remove(token);
                Ok(Waiting::No)
            }
        }
    }

    /// Whoever works on a folder's window holds its lock: others are dead.
    async fn is_running(&self, _: &str) -> Result<Option<bool>, CallbackError> {
        Ok(Some(false))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn success() -> Answer {
        Answer::Success { output: "{}".into() }
    }

    #[tokio::test]
    async fn an_answer_arrives_once() {
        let (callback, token) = (LocalCallback::new(), TaskToken::new("t"));
        let receiver = callback.register(token.clone());
        assert_eq!(callback.answer(&token, &success()).await.unwrap(), Waiting::Yes);
        assert_eq!(callback.answer(&token, &success()).await.unwrap(), Waiting::No);
        assert_eq!(receiver.await.unwrap(), success());
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeats_are_heard_while_somebody_waits() {
        let (callback, token) = (LocalCallback::new(), TaskToken::new("t"));
        assert_eq!(callback.heartbeat(&token).await.unwrap(), Waiting::No);
        let receiver = callback.register(token.clone());
        let registered = callback.last_heard(&token).unwrap();
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(callback.heartbeat(&token).await.unwrap(), Waiting::Yes);
        assert_eq!(callback.last_heard(&token).unwrap() - registered, Duration::from_secs(7));
        drop(receiver);
        assert_eq!(callback.heartbeat(&token).await.unwrap(), Waiting::No);
        assert_eq!(callback.last_heard(&token), None);
    }

    #[tokio::test]
    async fn nobody_hears_an_answer_that_comes_too_late() {
        let (callback, token) = (LocalCallback::new(), TaskToken::new("t"));
        drop(callback.register(token.clone()));
        assert_eq!(callback.answer(&token, &success()).await.unwrap(), Waiting::No);
        let receiver = callback.register(token.clone());
        callback.forget(&token);
        assert_eq!(callback.answer(&token, &success()).await.unwrap(), Waiting::No);
        assert!(receiver.await.is_err());
    }
}
