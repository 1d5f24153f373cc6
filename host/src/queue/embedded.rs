//! A queue in memory with the rules of Amazon SQS: a message that is received is hidden, and comes again unless it is deleted
//! in time. `gristmill map --local` uses it.
//!
//! Time is tokio's, so that tests can move it. Messages get into the dead-letter list by [`Queue::dead_letter`] alone.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Delivery, Depth, LONG_POLL, MAX_VISIBILITY, Queue, QueueError, Receipt};

/// A queue that lives as long as this process.
#[derive(Debug)]
pub struct EmbeddedQueue {
    visibility_timeout: Duration,
    state: Mutex<State>,
    /// Notified whenever a message may have become visible, or when none will come any more.
    changed: Notify,
}

/// How many messages there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Waiting to be received (`ApproximateNumberOfMessages`).
    pub visible: usize,
    /// Received and hidden (`ApproximateNumberOfMessagesNotVisible`).
    pub in_flight: usize,
    /// In the dead-letter list.
    pub dead: usize,
}

/// A message that nobody can work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message's id.
    pub id: String,
    /// Its body.
    pub body: String,
    /// Why nobody can work on it.
    pub reason: String,
}

#[derive(Debug, Default)]
struct State {
    sent: u64,
    messages: HashMap<u64, Message>,
    visible: VecDeque<u64>,
    /// When hidden messages become visible again, the next one first.
    hidden: BTreeSet<(Instant, u64)>,
    dead: Vec<DeadLetter>,
    closed: bool,
}

#[derive(Debug)]
struct Message {
    body: String,
    sent: SystemTime,
    receives: u32,
    in_flight: Option<InFlight>,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    received: Instant,
    until: Instant,
}

impl EmbeddedQueue {
    /// An empty queue that hides what is received for `visibility_timeout`.
    pub fn new(visibility_timeout: Duration) -> Self {
        Self { visibility_timeout, state: Mutex::default(), changed: Notify::new() }
    }

    /// Adds a message and returns its id.
    pub fn send(&self, body: impl Into<String>) -> String {
        let mut state = self.state();
        state.sent += 1;
        let id = state.sent;
        let message = Message { body: body.into(), sent: SystemTime::now(), receives: 0, in_flight: None };
        state.messages.insert(id, message);
        state.visible.push_back(id);
        drop(state);
        self.changed.notify_waiters();
        id.to_string()
    }

    /// Says that nothing more will be sent. From now on a receive that finds nothing returns at once instead of waiting;
    /// what is in flight can still be deleted or come again.
    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_waiters();
    }

    /// How many messages there are now.
    pub fn counts(&self) -> Counts {
        let mut state = self.state();
        state.expire();
        Counts { visible: state.visible.len(), in_flight: state.hidden.len(), dead: state.dead.len() }
    }

    /// The dead letters, the oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.state().dead.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Queue for EmbeddedQueue {
    async fn receive(&self, max: usize) -> Result<Vec<Delivery>, QueueError> {
        let give_up = Instant::now() + LONG_POLL;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Listening begins before looking, so that nothing is sent unnoticed in between.
            changed.as_mut().enable();
            let next_return = {
                let mut state = self.state();
                let taken = state.take(max, self.visibility_timeout);
                if !taken.is_empty() || max == 0 || state.closed || Instant::now() >= give_up {
                    return Ok(taken);
                }
                state.hidden.first().map_or(give_up, |(until, _)| *until)
            };
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(give_up.min(next_return)) => {}
            }
        }
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<(Receipt, String)>, QueueError> {
        let mut state = self.state();
        Ok(failures(receipts.iter().map(|receipt| (receipt, state.delete(receipt)))))
    }

    async fn change_visibility(&self, receipts: &[(Receipt, Duration)]) -> Result<Vec<(Receipt, String)>, QueueError> {
        let mut state = self.state();
        let failed = failures(receipts.iter().map(|(receipt, hidden)| (receipt, state.hide(receipt, *hidden))));
        drop(state);
        self.changed.notify_waiters();
        Ok(failed)
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &str) -> Result<(), QueueError> {
        let mut state = self.state();
        state.current(&delivery.receipt).map_err(QueueError::Refused)?;
        state.delete(&delivery.receipt).map_err(QueueError::Refused)?;
        let (id, body) = (delivery.id.clone(), delivery.body.clone());
        state.dead.push(DeadLetter { id, body, reason: reason.into() });
        Ok(())
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let Counts { visible, in_flight, .. } = self.counts();
        Ok(Depth { visible: visible as u64, in_flight: in_flight as u64, delayed: 0 })
    }

    fn visibility_timeout(&self) -> Duration {
        self.visibility_timeout
    }
}

impl State {
    /// Makes visible what nobody deleted in time.
    fn expire(&mut self) {
        let now = Instant::now();
        while let Some((until, id)) = self.hidden.first().copied().filter(|(until, _)| *until <= now) {
            self.hidden.remove(&(until, id));
            if let Some(message) = self.messages.get_mut(&id) {
                message.in_flight = None;
                self.visible.push_back(id);
            }
        }
    }

    fn take(&mut self, max: usize, hidden: Duration) -> Vec<Delivery> {
        self.expire();
        let received = Instant::now();
        let mut taken = Vec::new();
        while taken.len() < max {
            let Some(id) = self.visible.pop_front() else { break };
            let Some(message) = self.messages.get_mut(&id) else {
                continue;
            };
            let until = received + hidden.min(MAX_VISIBILITY);
            message.receives += 1;
            message.in_flight = Some(InFlight { received, until });
            self.hidden.insert((until, id));
            taken.push(Delivery {
                id: id.to_string(),
                body: message.body.clone(),
                receipt: Receipt(format!("{id}-{}", message.receives)),
                receives: message.receives,
                sent: message.sent,
            });
        }
        taken
    }

    /// The message of this receipt, if no later delivery has made the receipt stale. None when it is deleted.
    fn current(&self, receipt: &Receipt) -> Result<Option<u64>, String> {
        let parsed =
            receipt.0.split_once('-').and_then(|(id, receive)| Some((id.parse().ok()?, receive.parse().ok()?)));
        let Some((id, receive)) = parsed.filter(|(id, _): &(u64, u32)| (1..=self.sent).contains(id)) else {
            return Err("ReceiptHandleIsInvalid: this queue gave no such receipt".into());
        };
        match self.messages.get(&id) {
            Some(message) if message.receives != receive => {
                Err("ReceiptHandleIsInvalid: the message was delivered again since".into())
            }
            Some(_) => Ok(Some(id)),
            None => Ok(None),
        }
    }

    /// Deletes a message, also one that is visible again but not received again. One that was deleted before counts as deleted.
    fn delete(&mut self, receipt: &Receipt) -> Result<(), String> {
        let Some(id) = self.current(receipt)? else {
            return Ok(());
        };
        match self.messages.remove(&id).and_then(|message| message.in_flight) {
            Some(in_flight) => {
                self.hidden.remove(&(in_flight.until, id));
            }
            None => self.visible.retain(|other| *other != id),
        }
        Ok(())
    }

    fn hide(&mut self, receipt: &Receipt, hidden: Duration) -> Result<(), String> {
        self.expire();
        let id = self.current(receipt)?.ok_or("ReceiptHandleIsInvalid: the message is deleted")?;
        let in_flight = self.messages.get_mut(&id).and_then(|message| message.in_flight.as_mut());
        let in_flight = in_flight.ok_or("MessageNotInflight: the visibility time-out ended before")?;
        self.hidden.remove(&(in_flight.until, id));
        in_flight.until = (Instant::now() + hidden.min(MAX_VISIBILITY)).min(in_flight.received + MAX_VISIBILITY);
        self.hidden.insert((in_flight.until, id));
        self.expire();
        Ok(())
    }
}

fn failures<'a>(results: impl Iterator<Item = (&'a Receipt, Result<(), String>)>) -> Vec<(Receipt, String)> {
    results.filter_map(|(receipt, result)| Some((receipt.clone(), result.err()?))).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::contract;
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn queue(messages: usize) -> EmbeddedQueue {
        let queue = EmbeddedQueue::new(MINUTE);
        (0..messages).for_each(|n| _ = queue.send(n.to_string()));
        queue
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_the_contract() {
        let queue = Arc::new(EmbeddedQueue::new(MINUTE));
        let sender = Arc::clone(&queue);
        contract::suite(&*queue, async |body| _ = sender.send(body)).await;
        assert_eq!(queue.counts(), Counts { visible: 0, in_flight: 0, dead: 1 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_comes_again_exactly_when_its_time_out_ends() {
        let queue = queue(1);
        let start = Instant::now();
        let first = queue.receive(1).await.unwrap().remove(0);
        tokio::time::advance(MINUTE - Duration::from_secs(1)).await;
        assert_eq!(queue.counts(), Counts { visible: 0, in_flight: 1, dead: 0 });
        let second = queue.receive(1).await.unwrap().remove(0);
        assert_eq!(start.elapsed().as_secs(), 60);
        assert_eq!((second.receives, &second.id, second.sent), (2, &first.id, first.sent));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_receive_wakes_up_on_a_message_and_on_close() {
        let queue = Arc::new(queue(0));
        let start = Instant::now();
        let waiting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { (queue.receive(10).await.unwrap(), queue.receive(10).await.unwrap()) }
        });
        tokio::time::sleep(LONG_POLL / 2).await;
        queue.send("x");
        tokio::time::sleep(LONG_POLL / 4).await;
        queue.close();
        let (message, nothing) = waiting.await.unwrap();
        assert_eq!((message.len(), nothing.len(), start.elapsed()), (1, 0, LONG_POLL * 3 / 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_receive_without_messages_ends_by_itself() {
        let start = Instant::now();
        assert!(queue(0).receive(10).await.unwrap().is_empty());
        assert_eq!(start.elapsed(), LONG_POLL);
    }

    #[tokio::test(start_paused = true)]
    async fn many_messages_come_in_one_receive() {
        let queue = queue(25);
        assert_eq!(queue.receive(0).await.unwrap().len(), 0);
        assert_eq!(queue.receive(23).await.unwrap().len(), 23);
        assert_eq!(queue.receive(23).await.unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn no_extension_goes_beyond_twelve_hours_after_the_receipt() {
        let queue = queue(1);
        let start = Instant::now();
        let receipt = queue.receive(1).await.unwrap().remove(0).receipt;
        let mut failed = queue.change_visibility(&[(receipt.clone(), MINUTE * 10)]).await.unwrap();
        while failed.is_empty() && start.elapsed() < MAX_VISIBILITY * 2 {
            tokio::time::advance(Duration::from_secs(599)).await;
            failed = queue.change_visibility(&[(receipt.clone(), MINUTE * 10)]).await.unwrap();
        }
        assert!(failed[0].1.contains("MessageNotInflight"));
        assert!(start.elapsed() >= MAX_VISIBILITY && start.elapsed() < MAX_VISIBILITY + MINUTE * 10);
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_message_can_be_deleted_before_it_is_received_again() {
        let queue = queue(1);
        let receipt = queue.receive(1).await.unwrap().remove(0).receipt;
        tokio::time::advance(MINUTE * 2).await;
        assert_eq!(queue.change_visibility(&[(receipt.clone(), MINUTE)]).await.unwrap().len(), 1);
        assert!(queue.delete(&[receipt]).await.unwrap().is_empty());
        assert_eq!(queue.counts(), Counts { visible: 0, in_flight: 0, dead: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_stale_delivery_is_not_dead_lettered_twice() {
        let queue = queue(1);
        let first = queue.receive(1).await.unwrap().remove(0);
        let second = queue.receive(1).await.unwrap();
        assert!(second.is_empty(), "the long poll ends before the time-out");
        tokio::time::advance(MINUTE).await;
        let second = queue.receive(1).await.unwrap().remove(0);
        assert!(matches!(queue.dead_letter(&first, "r").await, Err(QueueError::Refused(_))));
        queue.dead_letter(&second, "r").await.unwrap();
        assert_eq!(queue.dead_letters(), [DeadLetter { id: second.id, body: "0".into(), reason: "r".into() }]);
    }

    #[tokio::test(start_paused = true)]
    async fn receipts_of_nobody_are_refused() {
        let queue = queue(1);
        for receipt in ["", "x", "0-1", "2-1", "1-9", "-1"] {
            assert_eq!(queue.delete(&[Receipt(receipt.into())]).await.unwrap().len(), 1, "{receipt}");
        }
        assert_eq!(queue.counts().visible, 1);
    }
}
