//! A plugin's sample in the real sandbox, under the dataset file's limits: once as it is, then in other circumstances that must
//! not show in its rows, then while its objects fail.

mod answers;
mod checked;
mod fault;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

pub use self::answers::Answers;
pub use self::checked::{Checked, Flaw};
pub use self::fault::Fault;
use self::fault::judge;
use self::store::TrialStore;
use crate::catalog::DatasetVersion;
use crate::job::{Batch, Item, item_name};
use crate::object::{Location, ObjectStore};
use crate::rollout::compare::{Comparison, Heard, Ran, Tried, add_item, check_keys};
use crate::rollout::{SampleStore, sample_batch};
use crate::sink::OutputSchema;
use crate::sink::keys::KeySet;

/// Where the plugin's clock stands: a day that is nobody's today, so that rows with the time of the run are noticed.
const STARTED: Duration = Duration::from_secs(981_173_106);
/// Where it stands another time.
const LATER: Duration = Duration::from_secs(1_234_567_890);

/// The most objects of one item that fail in turn.
const MAX_FAULTY: usize = 8;

/// A sample that is ready to run.
pub struct Sample {
    /// The dataset, opened.
    pub loaded: Arc<DatasetVersion>,
    batch: Batch,
    objects: Arc<dyn ObjectStore>,
}

/// One item of the sample, and what came of it.
pub struct Outcome {
    /// What it is called.
    pub name: String,
    /// The item.
    pub item: Item,
    /// What came of it.
    pub ran: Ran,
}

impl Sample {
    /// The dataset's sample, over the files of its folder. None if there is no item.
    pub fn new(loaded: Arc<DatasetVersion>, files: &BTreeMap<String, Bytes>) -> Option<Self> {
        let sample = loaded.dataset.sample.as_ref().filter(|sample| !sample.items.is_empty())?;
        let objects: Arc<dyn ObjectStore> = Arc::new(SampleStore::new(sample, files));
        let batch = sample_batch(&loaded, sample);
        Some(Self { loaded, batch, objects })
    }

    /// Runs each item once, in order. What the plugin prints is heard. To be polled where guests run.
    pub async fn run(&self) -> Vec<Outcome> {
        let mut tried = self.tried(STARTED, &self.objects, Heard::Log);
        let mut outcomes = Vec::new();
        for (number, item) in self.batch.items.iter().enumerate() {
            let name = item_name(&item.body).unwrap_or_else(|| format!("item {}", number + 1));
            outcomes.push(Outcome { name, item: item.clone(), ran: tried.call(item).await });
        }
        outcomes
    }

    /// Whether each item has a result, and no key that an item before it has.
    pub fn results(&self, outcomes: &[Outcome]) -> Vec<Checked> {
        let mut keys: Vec<KeySet> = self.outputs().iter().map(|_| KeySet::default()).collect();
        let checked = outcomes.iter().map(|outcome| {
            let mut kept = || check_keys(self.outputs(), &mut keys, &outcome.ran.rows);
            let flaw = match &outcome.ran.result {
                Err(fault) => Some(Flaw::failed(fault)),
                Ok(_) => kept().err().map(|fault| Flaw {
                    message: fault.message,
                    help:
                        "two items have one key, so one row would take the other's place: put into the key what tells \
                           the items apart"
                            .into(),
                }),
            };
            Checked::of("result", &outcome.name, flaw)
        });
        checked.collect()
    }

    /// Whether each item gives the same again: twice, in another order, and at another time. Only items with a result are asked.
    pub async fn again(&self, outcomes: &[Outcome]) -> Vec<Checked> {
        let good: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.ran.result.is_ok()).collect();
        let mut checked = Vec::new();
        // Each way is its own, so that the sentence names what it is that shows.
        let mut tried = self.tried(STARTED, &self.objects, Heard::Nothing);
        for outcome in &good {
            let again = tried.call(&outcome.item).await;
            checked.push(Checked::of("again", &outcome.name, self.differs(outcome, &again, checked::AGAIN)));
        }
        let mut tried = self.tried(STARTED, &self.objects, Heard::Nothing);
        for outcome in good.iter().rev() {
            let first = tried.call(&outcome.item).await;
            let second = tried.call(&outcome.item).await;
            let flaw = self.differs(outcome, &first, checked::ORDER);
            let flaw = flaw.or_else(|| self.differs(outcome, &second, checked::ORDER));
            checked.push(Checked::of("in another order", &outcome.name, flaw));
        }
        let mut tried = self.tried(LATER, &self.objects, Heard::Nothing);
        for outcome in &good {
            let later = tried.call(&outcome.item).await;
            checked.push(Checked::of("at another time", &outcome.name, self.differs(outcome, &later, checked::CLOCK)));
        }
        checked
    }

    /// What each item with a result answers while one of its objects fails. Faults that are accepted make no flaw.
    pub async fn under_faults(&self, outcomes: &[Outcome], accepted: &[Fault]) -> (Answers, Vec<Checked>) {
        let (mut answers, mut checked) = (Answers::default(), Vec::new());
        for outcome in outcomes.iter().filter(|outcome| outcome.ran.result.is_ok()) {
            let opened = self.opened(&outcome.item).await;
            for fault in Fault::ALL {
                for at in opened.iter().take(MAX_FAULTY) {
                    let store: Arc<dyn ObjectStore> =
                        Arc::new(TrialStore::failing(self.objects.clone(), fault, at.clone()));
                    let answer = self.tried(STARTED, &store, Heard::Nothing).call(&outcome.item).await;
                    let same = self.compared(outcome, &answer).is_equal();
                    answers.add(fault, &answer, same);
                    let flaw = judge(fault, at, &answer, same).filter(|_| !accepted.contains(&fault));
                    checked.push(Checked::of(&fault.to_string(), &outcome.name, flaw));
                }
            }
        }
        (answers, checked)
    }

    /// The objects that an item opens.
    async fn opened(&self, item: &Item) -> Vec<Location> {
        let store = Arc::new(TrialStore::watching(self.objects.clone()));
        let objects: Arc<dyn ObjectStore> = store.clone();
        self.tried(STARTED, &objects, Heard::Nothing).call(item).await;
        store.opened()
    }

    fn outputs(&self) -> &[Arc<OutputSchema>] {
        &self.loaded.outputs
    }

    fn tried(&self, clock: Duration, objects: &Arc<dyn ObjectStore>, heard: Heard) -> Tried {
        Tried::new(&self.loaded, &self.batch, SystemTime::UNIX_EPOCH + clock, objects, heard)
    }

    fn compared(&self, outcome: &Outcome, other: &Ran) -> Comparison {
        let mut comparison = Comparison::default();
        let (was, is) = ((self.outputs(), outcome.ran.clone()), (self.outputs(), other.clone()));
        add_item(&mut comparison, &outcome.item, was, is);
        comparison
    }

    fn differs(&self, outcome: &Outcome, other: &Ran, why: (&str, &str)) -> Option<Flaw> {
        let found = self.compared(outcome, other);
        let first = found.first.first().map(ToString::to_string).unwrap_or_default();
        let (when, help) = why;
        (!found.is_equal())
            .then(|| Flaw { message: format!("it comes to something else {when}: {first}"), help: help.into() })
    }
}
