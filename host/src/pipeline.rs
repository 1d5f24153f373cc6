//! One batch from start to finish. The file to read first.
//!
//! ```text
//! Delivery ─parse─► Batch ─claim─► Attempt ─run─► Ready ─prepare, show, commit─► Receipt ─answer─► Disposition
//! ```
//!
//! Nothing is visible before it is ready. Where a batch has more than rows of tables, what is ready is recorded first, and whoever
//! finds the record ends the batch. Where it has not, whoever takes the batch over runs the component that began: items are
//! pure, and their rows are taken in the items' order, so that the same rows lie under the same keys.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::callback::{Answer, Callback};
use crate::catalog::{Catalog, Choice, Loaded, NoVersion};
use crate::commit::{Attempt, Ready};
use crate::evidence::Evidence;
use crate::fate::{End, Fault, Refusal, caught, crowded, line, panicked};
use crate::fault::FaultKind;
use crate::items;
use crate::job::{Batch, Digest, Disposition, error_names};
use crate::lease::{self, Lease, Lost};
use crate::ledger::fleet::Tally;
use crate::ledger::{Claim, ClaimRequest, Claimed, GiveBack, Ledger, LedgerError, Receipt};
use crate::pressure::Pressure;
use crate::queue::{Delivery, Queue};
use crate::report::BatchReport;
use crate::sink::{SinkError, Stores};
use crate::telemetry::metrics::Metrics;

/// How long a claim lasts unless it is renewed, where nobody says otherwise.
pub const LEASE: Duration = Duration::from_secs(60);

/// How long a claim is waited for: nobody extends the message's visibility meanwhile, which is 30 s or more.
const CLAIM: Duration = Duration::from_secs(20);

/// Everything that a batch needs on its way.
pub struct Pipeline {
    /// The datasets and their plugins.
    pub catalog: Arc<Catalog>,
    /// Where batches come from.
    pub queue: Arc<dyn Queue>,
    /// Who works on what, and what is done.
    pub ledger: Arc<dyn Ledger>,
    /// Who waits.
    pub callback: Arc<dyn Callback>,
    /// What plugins read, and where rows and reports go.
    pub stores: Stores,
    /// Where guests run.
    pub guests: Handle,
    /// Which item may run next.
    pub admission: Arc<Admission>,
    /// How many items of a batch run at once, at most.
    pub lanes: usize,
    /// When a committed batch counts as this one.
    pub identity: Identity,
    /// How long a claim lasts unless it is renewed; [`LEASE`] by default.
    pub lease: Duration,
    /// Which delivery of a message is the last: when the host fails then, the waiting state is told, which does what its
    /// `Retry` says, and the message is set aside.
    pub deliveries: u32,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// How much the worker holds back.
    pub pressure: Arc<Pressure>,
    /// The wall clock.
    pub now: fn() -> SystemTime,
}

/// What makes a committed batch the same work as the one at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Its name and input: Step Functions gives every child execution a new name.
    Execution,
    /// Its name, input, component, settings and outputs: local runs give the same names again. What it rests on is remembered
    /// with it ([`Evidence`]).
    Contents,
}

impl Identity {
    /// How long a batch is left alone that another process holds, at most. Locally that is another run over the same
    /// folder, which will be done with it long before its lease ends; and nobody counts how often a message was received.
    fn patience(self) -> Duration {
        match self {
            Self::Execution => Duration::MAX,
            Self::Contents => Duration::from_millis(500),
        }
    }
}

/// A batch with everything that is needed to work on it.
pub(crate) struct Work {
    pub(crate) batch: Arc<Batch>,
    choice: Choice,
    fingerprint: Digest,
}

/// What a claim says of the version that begins: only that version can end what it shows without a record. One that records before
/// it shows anything can be followed by any.
struct Begun;

impl Begun {
    fn of(loaded: &Loaded) -> Digest {
        if loaded.has_only_tables() { loaded.identity() } else { Self::any() }
    }

    /// The digest of nothing: no component has it.
    fn any() -> Digest {
        Digest::of(b"")
    }
}

/// Why there is no work in a delivery.
enum Unread {
    /// Nobody can work on it.
    Refused(Refusal),
    /// It may be another time.
    Later(Arc<Batch>, Fault),
    /// Nobody knows what is in it.
    Unknown(Fault),
}

impl From<Refusal> for Unread {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Pipeline {
    /// Works on a delivery until its fate is known: [`Disposition::DeadLettered`] is set aside already, the others are the
    /// caller's to delete or return. `give_up` ends the work early; the batch is then free for another worker at once.
    /// Dropping the future gives the batch up too, but its claim has to run out.
    pub async fn process(&self, delivery: &Delivery, give_up: &CancellationToken) -> Disposition {
        let start = Instant::now();
        let (batch, loaded, end) = match caught(self.read(delivery)).await.map_err(Unread::Unknown).flatten() {
            Ok(work) => {
                let end = match caught(self.work(&work, delivery, give_up)).await.flatten() {
                    Ok(end) => end,
                    Err(fault) => self.fault(&work.batch, delivery, fault).await,
                };
                (Some(work.batch), Some(work.choice.loaded), end)
            }
            Err(Unread::Refused(refusal)) => (refusal.batch.clone(), None, self.refuse(delivery, refusal).await),
            Err(Unread::Later(batch, fault)) => {
                let end = self.fault(&batch, delivery, fault).await;
                (Some(batch), None, end)
            }
            Err(Unread::Unknown(fault)) => (None, None, self.fault_unread(delivery, fault).await),
        };
        let took = start.elapsed();
        // Only names that this worker knows are labels: there are few of them.
        let dataset = batch.as_ref().map(|batch| &*batch.dataset).filter(|name| self.catalog.get(name).is_some());
        self.metrics.batch(dataset.unwrap_or_default(), &end.disposition, took);
        self.weigh(&end);
        line(delivery, batch.as_deref(), loaded.as_deref(), &end).log(&end.disposition, took);
        end.disposition
    }

    /// Reads the message, and finds the version of its dataset that it runs on.
    async fn read(&self, delivery: &Delivery) -> Result<Work, Unread> {
        let batch = Batch::parse(&delivery.body).map_err(|malformed| Refusal {
            kind: FaultKind::Malformed,
            batch: None,
            token: malformed.token,
            error: error_names::BAD_MESSAGE,
            reason: format!("message {}: {}", delivery.id, malformed.reason),
        })?;
        let batch = Arc::new(batch);
        let choice = match self.catalog.choose(&batch).await {
            Ok(choice) => choice,
            Err(NoVersion::Later(why)) => return Err(Unread::Later(batch, Fault::Version(why))),
            Err(refused) => {
                let (kind, error) = match refused {
                    NoVersion::Unknown(_) => (FaultKind::UnknownDataset, error_names::BAD_MESSAGE),
                    NoVersion::Other { .. } => (FaultKind::OtherComponent, error_names::BAD_PLUGIN),
                    _ => (FaultKind::BrokenDataset, error_names::BAD_PLUGIN),
                };
                let reason = format!("dataset {}, batch {}: {refused}", batch.dataset, batch.id);
                let token = Some(batch.token.clone());
                return Err(Refusal { kind, batch: Some(batch), token, error, reason }.into());
            }
        };
        let fingerprint = self.fingerprint(&batch, &choice.loaded);
        Ok(Work { batch, choice, fingerprint })
    }

    async fn work(&self, work: &Work, delivery: &Delivery, give_up: &CancellationToken) -> Result<End, Fault> {
        let Work { batch, choice: Choice { loaded, .. }, .. } = work;
        // At its last delivery a batch is worked on however many there are: given back once more it would be lost.
        let last = delivery.receives >= self.deliveries;
        let Some(_seat) = self.admission.seat(&loaded.need(), last) else { return Ok(crowded(delivery, loaded)) };
        let received = Instant::now();
        let lease = Lease::new(received, self.lease);
        let (claimed, record) = match self.claim(work).await? {
            Claim::Taken(claimed) => (claimed, None),
            Claim::Prepared(claimed, record) => (claimed, Some(record)),
            Claim::Held { remaining } => {
                let after = remaining.min(self.identity.patience());
                let reason = "another worker holds the batch".into();
                let kind = Some(FaultKind::ClaimHeld);
                return Ok(End { kind, ..End::of(Disposition::Returned { after, reason, fault: false }) });
            }
            Claim::Committed(receipt) => {
                return match BatchReport::from_receipt(&receipt.output) {
                    Ok(report) => self.answer(work, report.answer(tolerated(loaded)), Some(report)).await,
                    Err(_) => self.answer(work, Answer::Success { output: receipt.output }, None).await,
                };
            }
        };
        // Without a record only rows of tables can be visible: all else is recorded before. What another version shows is not known
        // here.
        let unrecorded = loaded.has_only_tables() || claimed.component != Begun::of(loaded);
        let rolled_forward = record.is_some();
        let seen = rolled_forward || (claimed.resumed && unrecorded);
        let attempt = Arc::new(Attempt::new(claimed, lease, seen));
        let mut kept = lease::keep(self, batch, &attempt, delivery, received, loaded.dataset.map.heartbeat);
        let ran = tokio::select! {
            // First: an attempt that lost the batch while the process was stopped must not go on.
            biased;
            lost = &mut kept => Err(lost.map_or_else(|error| error.try_into_panic().map_or(Fault::Stopped, panicked), Fault::Lost)),
            () = give_up.cancelled() => Err(Fault::Stopped),
            ran = caught(async {
                match record {
                    // An attempt that did not end had come as far as this.
                    Some(record) => {
                        let ready = Ready::from_record(record, self.admission.holding(&loaded.need())).await?;
                        self.finish(work, &attempt, Arc::new(ready), true).await
                    }
                    None => self.run(work, &attempt).await,
                }
            }) => ran.flatten(),
        };
        drop(kept);
        match ran {
            Ok((answer, report)) => {
                if rolled_forward {
                    self.metrics.rolled_forward(&batch.dataset);
                }
                if let Some(tally) = attempt.tally.get() {
                    self.catalog.count(&work.choice, *tally);
                }
                let end = self.answer(work, answer, report).await?;
                if !rolled_forward {
                    self.catalog.answered(&work.choice, batch, attempt.claimed.started);
                }
                Ok(End { rolled_forward, ..end })
            }
            Err(fault) => {
                if matches!(fault, Fault::Sink(SinkError::Gone(_))) {
                    attempt.give_up_on_the_rest();
                }
                if !matches!(fault, Fault::Lost(Lost::Claim(_))) {
                    self.give_back(&attempt).await;
                }
                // An output that a version's rows do not get into is that version's failure, as far as anybody can tell.
                if attempt.runs_chosen.load(Ordering::Relaxed) && fault.is_refusal() {
                    let items = batch.items.len() as u64;
                    let micros = attempt.tally.get().map_or(0, |tally| tally.micros);
                    self.catalog.count(&work.choice, Tally { batches: 1, items, failed: items, micros });
                }
                Err(fault)
            }
        }
    }

    /// Runs the items and makes their rows visible, or gives the claim back when the batch is worth another attempt.
    async fn run(&self, work: &Work, attempt: &Attempt) -> Result<(Answer, Option<BatchReport>), Fault> {
        let Work { batch, choice, .. } = work;
        let loaded = &self.as_begun(batch, choice, &attempt.claimed).await?.placed(batch)?;
        let claimed = &attempt.claimed;
        let is_chosen = loaded.identity() == choice.loaded.identity();
        attempt.runs_chosen.store(is_chosen, Ordering::Relaxed);
        let outcome = items::run(self, loaded, batch, attempt).await?;
        if let Some(trouble) = outcome.trouble() {
            let fault = Fault::Objects(trouble);
            outcome.abort().await;
            return Err(fault);
        }
        if is_chosen {
            let _ = attempt.tally.set(outcome.tally());
        }
        if let Some(failure) = outcome.retryable() {
            let cause = format!(
                "dataset {}, batch {}, item {}{}: {}: {}",
                batch.dataset,
                batch.id,
                failure.index,
                failure.item.as_ref().map(|name| format!(" ({name})")).unwrap_or_default(),
                failure.code,
                failure.message
            );
            outcome.abort().await;
            self.ledger.release(claimed, attempt.release()).await?;
            return Ok((Answer::Failure { error: error_names::RETRYABLE.into(), cause }, None));
        }
        let (ready, uploads) = outcome.prepare(self, loaded, batch, claimed.started).await?;
        let ready = Arc::new(ready);
        // Without a record the claim has to say what is running.
        let recorded = !loaded.has_only_tables() || claimed.component != Begun::of(loaded);
        if recorded {
            self.prepare(attempt, &ready, uploads).await?;
        }
        self.finish(work, attempt, ready, recorded).await
    }

    /// The version to run on: the one that was chosen, unless somebody began with another one and may have written rows.
    async fn as_begun(&self, batch: &Batch, choice: &Choice, claimed: &Claimed) -> Result<Arc<Loaded>, Fault> {
        let (chosen, begun) = (&choice.loaded, claimed.component);
        if !claimed.resumed || begun == Begun::of(chosen) || begun == Begun::any() {
            return Ok(chosen.clone());
        }
        // A gristmill that knew no registry claimed with the component in any case.
        if chosen.release.is_none() && !chosen.has_only_tables() {
            return Ok(chosen.clone());
        }
        let version = self.catalog.version(&batch.dataset, &begun).await;
        let ours = chosen.identity();
        version.map_err(|why| Fault::OtherComponent { begun, ours, why: why.to_string() })
    }

    /// Makes visible what is ready, and writes down that it is.
    async fn finish(
        &self,
        work: &Work,
        attempt: &Attempt,
        ready: Arc<Ready>,
        recorded: bool,
    ) -> Result<(Answer, Option<BatchReport>), Fault> {
        self.show(attempt, &ready, recorded).await?;
        let (report, answer) = (ready.report.clone(), ready.answer.clone());
        self.metrics.items(&work.batch.dataset, &report);
        match &answer {
            Answer::Success { output } => {
                let evidence = Evidence::of(&ready, &work.choice.loaded.dataset, &self.stores).await?;
                let evidence = evidence.and_then(|evidence| serde_json::to_string(&evidence).ok());
                let receipt = Receipt { output: output.clone(), fingerprint: work.fingerprint, evidence };
                self.ledger.commit(&attempt.claimed, &receipt).await?;
            }
            // A batch that failed is worked on again when it is asked for again: after a redrive, or with a better plugin.
            Answer::Failure { .. } => self.ledger.release(&attempt.claimed, GiveBack::Afresh).await?,
        }
        Ok((answer, Some(report)))
    }

    async fn claim(&self, work: &Work) -> Result<Claim, LedgerError> {
        let request = ClaimRequest {
            id: work.batch.id.clone(),
            fingerprint: work.fingerprint,
            component: Begun::of(&work.choice.loaded),
            now: (self.now)(),
            lease: self.lease,
        };
        let claim = timeout(CLAIM, self.ledger.claim(&request)).await;
        claim.unwrap_or_else(|_| Err(LedgerError::Unavailable(format!("no answer in {} s", CLAIM.as_secs()))))
    }

    async fn answer(&self, work: &Work, answer: Answer, report: Option<BatchReport>) -> Result<End, Fault> {
        let waiting = self.callback.answer(&work.batch.token, &answer).await?;
        let answer = match answer {
            Answer::Success { .. } => "success".into(),
            Answer::Failure { error, .. } => error,
        };
        Ok(End {
            answer: Some(answer),
            waiting: Some(waiting),
            report: report.map(Box::new),
            ..End::of(Disposition::Acked)
        })
    }

    fn fingerprint(&self, batch: &Batch, loaded: &Loaded) -> Digest {
        let mut text = String::new();
        let mut add = |part: &str| {
            text.push_str(part);
            text.push('\n');
        };
        add(&batch.dataset);
        add(&batch.batch_input);
        batch.items.iter().for_each(|item| add(&item.body));
        if !batch.values.is_empty() {
            add(&format!("{:?}", batch.values));
        }
        if self.identity == Identity::Contents {
            add(&loaded.plugin.digest.to_string());
            add(&loaded.settings);
            add(&format!("{:?}", loaded.dataset.outputs));
        }
        Digest::of(text.as_bytes())
    }
}

pub(crate) fn tolerated(loaded: &Loaded) -> f64 {
    loaded.dataset.map.tolerated_rejected_percentage
}
