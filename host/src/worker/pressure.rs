//! How much a worker holds back while the services around it do not keep up.
//!
//! A batch that failed because a store was away or throttled goes back to its queue, and the next one would fail too: asked for
//! at full speed, a queue full of batches spends its deliveries on an outage, and a store that is throttled gets no rest. So
//! each such failure doubles a pause before the next receive, which then asks for one message only, and each batch that gets
//! through halves it. Without failures there is no pause.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::{Backoff, jittered};
use crate::batch::{Settled, Strain};
use crate::job::Disposition;
use crate::telemetry::metrics::Metrics;

/// The first pause. Half of it ends the pressure.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause: how late a worker may notice that an outage is over.
const LONGEST: Duration = Duration::from_secs(30);
const PAUSES: Backoff = Backoff::new(FIRST, LONGEST);

/// The pressure on one worker, as batches feel it.
#[derive(Debug, Default)]
pub struct Pressure(Mutex<State>);

/// Pure: it is told the time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct State {
    pause: Duration,
    /// When the pause last grew.
    grown: Option<Instant>,
}

impl State {
    /// A service was away or throttled us. What fails together counts once: all that was under way when the outage began.
    fn up(&mut self, now: Instant) {
        if self.grown.is_none_or(|grown| now - grown >= self.pause) {
            self.pause = PAUSES.after(self.pause);
            self.grown = Some(now);
        }
    }

    /// Everything that a batch needed was there.
    fn down(&mut self) {
        self.pause = if self.pause > FIRST { self.pause / 2 } else { Duration::ZERO };
    }
}

impl Pressure {
    /// Counts a service that was away, or throttled us. `why` is for the log line when the pressure begins.
    pub fn up(&self, metrics: &Metrics, why: &str) {
        let mut state = self.state();
        if state.pause.is_zero() {
            tracing::warn!(why, "services do not keep up: batches are taken one at a time, with growing pauses");
        }
        state.up(Instant::now());
        metrics.board.held_back(why);
        metrics.pressure.set(state.pause.as_secs_f64());
    }

    /// Counts a batch that got through.
    pub fn down(&self, metrics: &Metrics) {
        let mut state = self.state();
        if state.pause.is_zero() {
            return;
        }
        state.down();
        if state.pause.is_zero() {
            tracing::info!("services keep up again: batches are taken as there is room for them");
            metrics.board.keeps_up();
        }
        metrics.pressure.set(state.pause.as_secs_f64());
    }

    /// Takes into account how a batch was served.
    pub fn feel(&self, metrics: &Metrics, settled: &Settled) {
        match (settled.strain, &settled.disposition) {
            (Strain::Felt, Disposition::Returned { reason, .. } | Disposition::DeadLettered { reason }) => {
                self.up(metrics, reason);
            }
            (Strain::None, _) => self.down(metrics),
            _ => {}
        }
    }

    /// Waits before the next receive, and says how many messages it may ask for, of `room`.
    pub async fn admit(&self, room: usize) -> usize {
        let pause = self.state().pause;
        if pause.is_zero() {
            return room;
        }
        // Workers that were slowed down together do not all come back together.
        tokio::time::sleep(jittered(pause)).await;
        1
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_doubles_to_a_limit_and_halves_to_nothing() {
        let (mut state, mut now) = (State::default(), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..7 {
            state.up(now);
            pauses.push(state.pause.as_secs());
            now += state.pause;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        let mut successes = 0;
        while !state.pause.is_zero() {
            state.down();
            successes += 1;
        }
        assert_eq!(successes, 6);
    }

    #[test]
    fn what_fails_together_counts_once() {
        let (mut state, now) = (State::default(), Instant::now());
        for millis in 0..100 {
            state.up(now + Duration::from_millis(millis));
        }
        assert_eq!(state.pause, SECOND);
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds_and_ends_with_the_failures(events in prop::collection::vec((any::<bool>(), 0..60_u64), 0..200)) {
            let (mut state, mut now) = (State::default(), Instant::now());
            for (failed, seconds) in events {
                now += SECOND * u32::try_from(seconds).unwrap();
                if failed { state.up(now) } else { state.down() }
                prop_assert!(state.pause.is_zero() || (FIRST / 2..=LONGEST).contains(&state.pause));
            }
            (0..7).for_each(|_| state.down());
            prop_assert!(state.pause.is_zero());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_under_pressure_asks_seldom_and_for_one_message() {
        let (pressure, metrics, start) = (Pressure::default(), Metrics::new().unwrap(), Instant::now());
        assert_eq!((pressure.admit(8).await, start.elapsed()), (8, Duration::ZERO));
        pressure.up(&metrics, "throttled");
        assert_eq!(metrics.pressure.get(), 1.0);
        assert_eq!(pressure.admit(8).await, 1);
        assert!((SECOND / 2..=SECOND * 2).contains(&start.elapsed()), "{:?}", start.elapsed());
        pressure.down(&metrics);
        assert_eq!((pressure.admit(8).await, metrics.pressure.get()), (8, 0.0));
    }
}
