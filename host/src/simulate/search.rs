//! The best target value, by trying.

use super::outcome::Outcome;
use super::policy::Track;
use super::run::Run;
use super::scenario::Scenario;

/// What came of one target.
#[derive(Clone, Debug)]
pub struct Tried {
    /// `TargetValue`
    pub target: f64,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether it is the best.
    pub is_best: bool,
}

/// Batches for each slot, waiting and at work, that are tried.
const PER_SLOT: [f64; 17] =
    [1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0];

/// How much longer than the fastest one a run may take to be the best, if nobody says how long it may.
const SLOWER: f64 = 1.1;

/// Tries targets. The best is the cheapest of those in which no message waits too long and that drain within so many seconds, or
/// else nearly as fast as the fastest. None if the policy has no target.
pub fn search(scenario: &Scenario, within: Option<f64>) -> Option<Vec<Tried>> {
    let track = scenario.policy.track.clone()?;
    let mut tried: Vec<Tried> = PER_SLOT
        .iter()
        .map(|per_slot| {
            let target = per_slot * f64::from(scenario.fleet.slots);
            let mut other = scenario.clone();
            other.policy.track = Some(Track { target, ..track.clone() });
            let mut outcome = Run::new(&other).play();
            outcome.timeline = Vec::new();
            Tried { target, outcome, is_best: false }
        })
        .collect();
    let sound = |tried: &Tried| tried.outcome.drained.filter(|_| tried.outcome.is_sound());
    let fastest = tried.iter().filter_map(sound).reduce(f64::min);
    let limit = within.or(fastest.map(|fastest| fastest * SLOWER))?;
    let good = tried.iter().enumerate().filter(|(_, tried)| sound(tried).is_some_and(|drained| drained <= limit));
    let best = good.min_by(|(_, one), (_, other)| one.outcome.dollars().total_cmp(&other.outcome.dollars()));
    if let Some(best) = best.map(|(n, _)| n) {
        tried[best].is_best = true;
    }
    Some(tried)
}
