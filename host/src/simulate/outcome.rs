//! What came of a run.

use serde::Serialize;

use super::prices::Prices;
use super::scenario::Scenario;

/// Counted on the way.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) first: Option<f64>,
    pub(super) sent: u64,
    pub(super) stale: u64,
    pub(super) timeouts: u64,
    pub(super) duplicates: u64,
    pub(super) failed: u64,
    pub(super) given_back: u64,
    pub(super) blocked: u64,
    pub(super) spot_lost: u64,
    pub(super) launched: u64,
    pub(super) peak: u32,
    pub(super) busy: f64,
    scalings: u64,
    turns: u64,
    was_out: Option<bool>,
    longest: f64,
    waits: f64,
    waited: u64,
}

impl Counts {
    pub(super) fn waited(&mut self, seconds: f64) {
        self.longest = self.longest.max(seconds);
        self.waits += seconds;
        self.waited += 1;
    }

    /// The capacity was changed. If it grows again after it was made smaller, and there was work all the time, then one policy
    /// works against another one.
    pub(super) fn scaled(&mut self, is_out: bool, has_work: bool) {
        self.scalings += 1;
        if has_work {
            self.turns += u64::from(is_out && self.was_out == Some(false));
            self.was_out = Some(is_out);
        }
    }
}

/// The state at one time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Seconds since the start.
    pub at: f64,
    /// Messages in the queue.
    pub waiting: u32,
    /// Batches that are worked on, which is slots that are busy.
    pub running: u32,
    /// Tasks that run.
    pub tasks: u32,
    /// Tasks that should run.
    pub desired: u32,
}

/// What came of a run. Times are in seconds since its start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// Batches that came to an answer.
    pub batches: u64,
    /// Their items.
    pub items: u64,
    /// When the first batch was taken; none if no batch was.
    pub first_batch: Option<f64>,
    /// When the last batch had its answer; none if that did not come within two weeks.
    pub drained: Option<f64>,
    /// The most tasks that ran at once.
    pub peak_tasks: u32,
    /// How many tasks were launched.
    pub launched: u64,
    /// Task-seconds that are paid for.
    pub paid_task_seconds: f64,
    /// Those of them in which slots were busy.
    pub busy_task_seconds: f64,
    /// What the tasks cost.
    pub task_dollars: f64,
    /// What the transitions of the children cost.
    pub transition_dollars: f64,
    /// How long a message waited at most.
    pub longest_wait: f64,
    /// How long messages waited on average.
    pub mean_wait: f64,
    /// How many messages nobody took within the heartbeat.
    pub timeouts: u64,
    /// How many messages were sent again because of that.
    pub duplicates: u64,
    /// How many batches failed in the end.
    pub failed: u64,
    /// How many batches a stopped task gave back.
    pub given_back: u64,
    /// How many tasks Spot took away.
    pub spot_lost: u64,
    /// How often protection was refused (`DEPLOYMENT_BLOCKED`).
    pub protection_refused: u64,
    /// How often the capacity was changed.
    pub scalings: u64,
    /// How often it grew again after it was made smaller, while there was work.
    pub turns: u64,
    /// What it looked like on the way.
    #[serde(skip)]
    pub timeline: Vec<Point>,
}

/// Transitions of a child with one state: its start and its end ("Pricing" of Step Functions counts both).
const TRANSITIONS: f64 = 2.0;

impl Outcome {
    pub(super) fn new(
        scenario: &Scenario,
        counts: Counts,
        timeline: Vec<Point>,
        [on_demand, spot]: [f64; 2],
        drained: Option<f64>,
        over: u32,
    ) -> Self {
        let prices = &scenario.prices;
        let batches = u64::from(over) - counts.failed;
        Self {
            batches,
            items: batches * u64::from(scenario.load.items_per_batch),
            first_batch: counts.first,
            drained,
            peak_tasks: counts.peak,
            launched: counts.launched,
            paid_task_seconds: on_demand + spot,
            busy_task_seconds: counts.busy / f64::from(scenario.fleet.slots),
            task_dollars: prices.of_tasks(on_demand, spot),
            transition_dollars: Prices::of_transitions(TRANSITIONS * f64::from(over) + counts.duplicates as f64),
            longest_wait: counts.longest,
            mean_wait: counts.waits / counts.waited.max(1) as f64,
            timeouts: counts.timeouts,
            duplicates: counts.duplicates,
            failed: counts.failed,
            given_back: counts.given_back,
            spot_lost: counts.spot_lost,
            protection_refused: counts.blocked,
            scalings: counts.scalings,
            turns: counts.turns,
            timeline,
        }
    }

    /// Tasks and transitions.
    pub fn dollars(&self) -> f64 {
        self.task_dollars + self.transition_dollars
    }

    /// Whether all batches came to an answer and none waited too long.
    pub fn is_sound(&self) -> bool {
        self.drained.is_some() && self.timeouts == 0 && self.failed == 0
    }
}
