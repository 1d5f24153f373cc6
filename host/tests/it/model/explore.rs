//! A model checker in small: every state that a model can reach, breadth first, so that the first trace found is a
//! shortest one. Beside what must never be (`wrong`) it holds what must stay possible: that from every state there is a way to
//! the end. (That is why it is our own: the checkers at hand look at paths one by one, which cannot say it.)

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Debug;
use std::hash::Hash;

/// What is explored.
pub(super) trait Model {
    type State: Clone + Debug + Eq + Hash;

    fn initial(&self) -> Self::State;

    /// Everything that can happen next, with a name for people.
    fn next(&self, state: &Self::State) -> Vec<(String, Self::State)>;

    /// What is wrong with this state, if anything is.
    fn wrong(&self, state: &Self::State) -> Option<&'static str>;

    /// Whether the work is done. Whatever happens afterwards must still not be wrong.
    fn finished(&self, state: &Self::State) -> bool;
}

/// What an exploration came to.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Nothing wrong in any of so many states, and the end can be reached from each.
    Holds { states: usize },
    /// What is wrong, and a shortest way there.
    Wrong { what: &'static str, trace: Trace },
    /// A shortest way to a state from which the end cannot be reached any more.
    Stuck { trace: Trace },
}

/// A way to a state.
#[derive(Debug)]
pub(super) struct Trace {
    /// What happened, in order.
    pub(super) actions: Vec<String>,
    /// The state at the end.
    pub(super) state: String,
}

/// More states than a test should look at; whoever meets this has to make the model's world smaller.
const MOST: usize = 5_000_000;

/// Looks at every state.
pub(super) fn explore<M: Model>(model: &M) -> Verdict {
    let mut states = vec![model.initial()];
    let mut known = HashMap::from([(model.initial(), 0)]);
    // The state from which each one was found first, and all steps, backwards.
    let mut from = vec![0];
    let mut before: Vec<Vec<u32>> = vec![Vec::new()];
    let mut at = 0;
    while at < states.len() {
        if let Some(what) = model.wrong(&states[at]) {
            return Verdict::Wrong { what, trace: trace(model, &states, &from, at) };
        }
        for (_, next) in model.next(&states[at]) {
            let number = match known.entry(next) {
                Entry::Occupied(old) => *old.get(),
                Entry::Vacant(new) => {
                    assert!(states.len() < MOST, "the model has more than {MOST} states");
                    states.push(new.key().clone());
                    from.push(at);
                    before.push(Vec::new());
                    *new.insert(states.len() - 1)
                }
            };
            before[number].push(at as u32);
        }
        at += 1;
    }
    let mut finishes: Vec<bool> = states.iter().map(|state| model.finished(state)).collect();
    let mut open: Vec<usize> = (0..states.len()).filter(|&state| finishes[state]).collect();
    while let Some(state) = open.pop() {
        for &earlier in &before[state] {
            if !std::mem::replace(&mut finishes[earlier as usize], true) {
                open.push(earlier as usize);
            }
        }
    }
    match finishes.iter().position(|finishes| !finishes) {
        Some(stuck) => Verdict::Stuck { trace: trace(model, &states, &from, stuck) },
        None => Verdict::Holds { states: states.len() },
    }
}

/// How this state was found.
fn trace<M: Model>(model: &M, states: &[M::State], from: &[usize], end: usize) -> Trace {
    let mut actions = Vec::new();
    let mut at = end;
    while at != 0 {
        let taken = model.next(&states[from[at]]).into_iter().find(|(_, state)| *state == states[at]);
        actions.extend(taken.map(|(action, _)| action));
        at = from[at];
    }
    actions.reverse();
    Trace { actions, state: format!("{:#?}", states[end]) }
}
