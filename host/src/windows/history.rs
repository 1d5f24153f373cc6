//! What runs took of a table, window by window. Pure: a text in the ledger goes in, another one comes out.
//!
//! A window is moved once, by the run that has it, when everything of that run is committed and published.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// How many runs are remembered. The text has to fit an item of DynamoDB (400 KB).
const MOST: usize = 200;

/// The latest runs, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The table and the column that the windows are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    runs: Vec<WindowRun>,
}

/// What one run took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowRun {
    /// Which rows.
    #[serde(flatten)]
    pub window: Window,
    /// Who: the ARN of an execution. None for a correction by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// What became of it.
    pub status: RunStatus,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub began: OffsetDateTime,
    /// When that was known which `status` says.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub ended: Option<OffsetDateTime>,
    /// How many rows had come into earlier windows since these were read. None where nobody counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<u64>,
}

/// The rows with `start <= column < stop`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Which one of the dataset's, from 1. A run that begins again after a failure has the same one.
    pub number: u64,
    /// None takes everything from the beginning.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub start: Option<OffsetDateTime>,
    /// Where the next one starts.
    #[serde(with = "time::serde::rfc3339")]
    pub stop: OffsetDateTime,
    /// Which transactions were over when the stop was decided (`pg_snapshot`): later runs count what came since. Only the latest one
    /// is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// It is under way, or it died and nobody has looked yet.
    Running,
    /// The next window starts where this one stops.
    Succeeded,
    /// The next run takes the same window.
    Failed,
    /// Somebody set the stop by hand.
    Corrected,
}

/// What a run that begins has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The run has this window already, or takes over what a failed one had.
    Again(Window),
    /// A new window: its number, and where it starts. None starts at the beginning.
    New(u64, Option<OffsetDateTime>),
    /// A run that is, as far as the history knows, under way.
    Held(WindowRun),
}

/// The window of a run that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which one.
    pub number: u64,
    /// Whether it begins at the beginning.
    pub full: bool,
    /// When the first of those runs began which had it before and did not end.
    pub unended: Option<OffsetDateTime>,
}

/// What came of closing a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It has moved now.
    Moved,
    /// It had moved before.
    Already,
    /// Another run has it, or it was corrected by hand meanwhile.
    NotOurs,
}

impl History {
    /// The runs, the oldest first.
    pub fn runs(&self) -> &[WindowRun] {
        &self.runs
    }

    /// What the windows are of, if it is another thing than this and a run cannot go on from there: it would never read what was
    /// there before.
    pub fn of_another(&self, of: &str) -> Option<&str> {
        let by_hand = self.runs.last().is_some_and(|last| last.status == RunStatus::Corrected);
        self.of.as_deref().filter(|before| *before != of && !by_hand)
    }

    /// From now on the windows are of this.
    pub fn is_of(&mut self, of: &str) {
        self.of = Some(of.to_owned());
    }

    /// What `run` is to take; with `full` everything.
    pub fn next(&self, run: &str, full: bool) -> Next {
        let Some(last) = self.runs.last() else { return Next::New(1, None) };
        let ours = last.run.as_deref() == Some(run);
        let number = last.window.number + 1;
        match last.status {
            RunStatus::Running if ours => Next::Again(last.window.clone()),
            RunStatus::Running => Next::Held(last.clone()),
            // What was full stays so, and what was not becomes so when somebody asks for it.
            RunStatus::Failed if !full || last.window.start.is_none() => Next::Again(last.window.clone()),
            RunStatus::Succeeded | RunStatus::Corrected if !full => Next::New(number, Some(last.window.stop)),
            RunStatus::Failed | RunStatus::Succeeded | RunStatus::Corrected => Next::New(number, None),
        }
    }

    /// The run has the window from now on.
    pub fn open(&mut self, window: Window, run: &str, late: Option<u64>, now: OffsetDateTime) {
        let last = self.runs.last();
        let same = last.is_some_and(|last| last.status == RunStatus::Running && last.run.as_deref() == Some(run));
        if !same {
            let run = Some(run.to_owned());
            self.push(WindowRun { window, run, status: RunStatus::Running, began: now, ended: None, late });
        }
    }

    /// The run that was under way is over, and has not closed its window.
    pub fn fail(&mut self, run: &str, now: OffsetDateTime) {
        if let Some(last) = self.runs.last_mut().filter(|last| last.run.as_deref() == Some(run))
            && last.status == RunStatus::Running
        {
            (last.status, last.ended) = (RunStatus::Failed, Some(now));
        }
    }

    /// Everything of the run is committed.
    pub fn close(&mut self, number: u64, run: &str, now: OffsetDateTime) -> Closed {
        let ours = |entry: &WindowRun| entry.window.number == number && entry.run.as_deref() == Some(run);
        let latest = self.runs.len().saturating_sub(1);
        match self.runs.iter_mut().enumerate().rev().find(|(_, entry)| ours(entry)) {
            Some((_, entry)) if entry.status == RunStatus::Succeeded => Closed::Already,
            // Also of one that was given up while it lived: nobody has taken the window since.
            Some((at, entry)) if at == latest && entry.status != RunStatus::Corrected => {
                (entry.status, entry.ended) = (RunStatus::Succeeded, Some(now));
                Closed::Moved
            }
            _ => Closed::NotOurs,
        }
    }

    /// The window that a run has; none if another one has it by now.
    pub fn held_by(&self, run: &str, number: u64) -> Option<Held> {
        let (last, earlier) = self.runs.split_last()?;
        if last.run.as_deref() != Some(run) || last.window.number != number || last.status == RunStatus::Succeeded {
            return None;
        }
        // Whoever began since the last window that counts, and did not close its own.
        let unended = earlier.iter().rev().take_while(|run| run.status != RunStatus::Succeeded);
        let unended = unended.filter(|run| run.status != RunStatus::Corrected).map(|run| run.began).min();
        Some(Held { number, full: last.window.start.is_none(), unended })
    }

    /// Sets by hand where the next window starts.
    pub fn correct(&mut self, stop: OffsetDateTime, now: OffsetDateTime) {
        let number = self.runs.last().map_or(1, |last| last.window.number + 1);
        let window = Window { number, start: Some(stop), stop, seen: None };
        let (status, ended) = (RunStatus::Corrected, Some(now));
        self.push(WindowRun { window, run: None, status, began: now, ended, late: None });
    }

    /// Which transactions the latest window that counts has seen.
    pub fn seen(&self) -> Option<&str> {
        let last = self.runs.iter().rev().find(|run| run.status == RunStatus::Succeeded);
        last.and_then(|run| run.window.seen.as_deref())
    }

    fn push(&mut self, run: WindowRun) {
        // What was seen counts from the last window that succeeded, and may be long.
        let counts = self.runs.iter().rposition(|run| run.status == RunStatus::Succeeded);
        for (_, earlier) in self.runs.iter_mut().enumerate().filter(|(at, _)| Some(*at) != counts) {
            earlier.window.seen = None;
        }
        self.runs.push(run);
        let beyond = self.runs.len().saturating_sub(MOST);
        self.runs.drain(..beyond);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::Duration;

    use super::*;

    fn at(hour: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::hours(400_000 + hour)
    }

    fn window(number: u64, start: Option<i64>, stop: i64) -> Window {
        Window { number, start: start.map(at), stop: at(stop), seen: Some(format!("{stop}:{stop}:")) }
    }

    fn opened(history: &mut History, run: &str, full: bool, stop: i64) -> Window {
        let window = match history.next(run, full) {
            Next::Again(window) => window,
            Next::New(number, start) => Window { number, start, stop: at(stop), seen: None },
            Next::Held(held) => panic!("held by {held:?}"),
        };
        history.open(window.clone(), run, None, at(stop));
        window
    }

    #[test]
    fn each_run_starts_where_the_last_one_stopped() {
        let mut history = History::default();
        assert_eq!(history.next("a", false), Next::New(1, None));
        history.open(window(1, None, 5), "a", None, at(6));
        assert!(matches!(history.next("b", false), Next::Held(held) if held.run.as_deref() == Some("a")));
        // A planning message that comes twice changes nothing.
        assert_eq!(history.next("a", false), Next::Again(window(1, None, 5)));
        let before = history.clone();
        history.open(window(1, None, 5), "a", None, at(7));
        assert_eq!(history, before);
        assert_eq!(history.close(1, "a", at(8)), Closed::Moved);
        assert_eq!(history.close(1, "a", at(9)), Closed::Already);
        assert_eq!(history.next("b", false), Next::New(2, Some(at(5))));
        assert_eq!(history.next("b", true), Next::New(2, None));
        assert_eq!(history.seen(), Some("5:5:"));
    }

    #[test]
    fn a_failed_run_leaves_its_window_to_the_next_one() {
        let mut history = History::default();
        opened(&mut history, "a", false, 5);
        history.close(1, "a", at(6));
        let second = opened(&mut history, "b", false, 9);
        history.fail("b", at(10));
        assert_eq!(history.next("c", false), Next::Again(second.clone()));
        assert_eq!(opened(&mut history, "c", false, 99), second);
        // Whoever was taken for dead cannot move what others have.
        assert_eq!(history.close(2, "b", at(11)), Closed::NotOurs);
        assert_eq!(history.held_by("b", 2), None);
        assert_eq!(history.held_by("c", 2), Some(Held { number: 2, full: false, unended: Some(at(9)) }));
        assert_eq!(history.close(2, "c", at(12)), Closed::Moved);
    }

    #[test]
    fn a_correction_counts_for_the_next_run_and_against_the_one_under_way() {
        let mut history = History::default();
        opened(&mut history, "a", false, 5);
        history.correct(at(3), at(6));
        assert_eq!(history.close(1, "a", at(7)), Closed::NotOurs);
        assert_eq!(history.next("b", false), Next::New(3, Some(at(3))));
    }

    #[test]
    fn the_text_is_what_people_can_read() {
        let mut history = History::default();
        history.open(window(1, None, 5), "a", Some(3), at(6));
        let text = serde_json::to_string(&history).unwrap();
        insta::assert_snapshot!(text, @r#"{"runs":[{"number":1,"start":null,"stop":"2015-08-19T21:00:00Z","seen":"5:5:","run":"a","status":"running","began":"2015-08-19T22:00:00Z","late":3}]}"#);
        assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history);
        for n in 0..MOST as i64 + 5 {
            history.correct(at(n), at(n));
        }
        assert_eq!(history.runs().len(), MOST);
        assert!(serde_json::to_string(&history).unwrap().len() < 100_000);
    }

    #[derive(Clone, Debug)]
    enum Did {
        Begin(u8, bool),
        Close(u8),
        Die(u8),
    }

    fn did() -> impl Strategy<Value = Did> {
        let run = 0..3_u8;
        prop_oneof![
            (run.clone(), any::<bool>()).prop_map(|(run, full)| Did::Begin(run, full && run == 0)),
            run.clone().prop_map(Did::Close),
            run.prop_map(Did::Die),
        ]
    }

    proptest! {
        /// Whatever runs do and however they die, the windows that count follow each other without a gap, and no row is in two of
        /// them, but for those that were asked for in full.
        #[test]
        fn windows_that_succeeded_touch(steps in proptest::collection::vec(did(), 0..60)) {
            let (mut history, mut open) = (History::default(), std::collections::BTreeMap::new());
            for (hour, step) in (0_i64..).zip(steps) {
                match step {
                    Did::Begin(run, full) => {
                        let name = run.to_string();
                        let window = match history.next(&name, full) {
                            Next::Held(_) => continue,
                            Next::Again(window) => window,
                            Next::New(number, start) => Window { number, start, stop: at(hour), seen: None },
                        };
                        history.open(window.clone(), &name, None, at(hour));
                        open.insert(run, window.number);
                    }
                    Did::Close(run) => {
                        if let Some(number) = open.get(&run) {
                            history.close(*number, &run.to_string(), at(hour));
                        }
                    }
                    Did::Die(run) => history.fail(&run.to_string(), at(hour)),
                }
            }
            let succeeded: Vec<_> = history.runs().iter().filter(|run| run.status == RunStatus::Succeeded).collect();
            for pair in succeeded.windows(2) {
                prop_assert!(pair[1].window.start.is_none_or(|start| start == pair[0].window.stop), "{pair:?}");
            }
        }
    }
}
