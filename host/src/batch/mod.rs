//! One batch from start to finish. The file to read first.
//!
//! ```text
//! Delivery ─read─► Work ─claim─► Attempt ─run─► Ready ─record, show, commit─► Receipt ─answer─► Disposition
//! ```
//!
//! Nothing is visible before it is ready. Where a batch has more than rows of tables, what is ready is recorded first, and whoever
//! finds the record ends the batch. Where it has not, whoever takes the batch over runs the component that began: items are
//! pure, and their rows are taken in the items' order, so that the same rows lie under the same keys.

mod attempt;
mod commit;
mod conclude;
mod evidence;
mod fault;
mod items;
mod keeper;
mod kind;
mod lease;
mod outcome;
mod plan;
mod ready;
mod services;
mod uploading;
mod wait;
mod work;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use self::attempt::Attempt;
pub use self::evidence::{Cause, Evidence};
use self::fault::{Fault, caught, panicked};
use self::kind::FaultKind;
use self::lease::{Lease, Lost};
use self::outcome::End;
pub use self::outcome::Strain;
use self::ready::Ready;
pub use self::services::{Identity, LEASE, Services};
use self::work::{Unread, Work};
use crate::callback::Answer;
use crate::catalog::Choice;
use crate::job::{Disposition, Step, error_names};
use crate::ledger::fleet::Tally;
use crate::ledger::{Claim, ClaimRequest, LedgerError, Record};
use crate::queue::Delivery;
use crate::report::BatchReport;
use crate::sink::SinkError;
use crate::telemetry::status::{Example, Failed, Stage};

/// How long a claim is waited for: nobody extends the message's visibility meanwhile, which is 30 s or more.
const CLAIM: Duration = Duration::from_secs(20);

/// What became of a delivery.
#[derive(Debug)]
pub struct Settled {
    /// [`Disposition::DeadLettered`] is set aside already, the others are the caller's to delete or return.
    pub disposition: Disposition,
    /// How the services around served it.
    pub strain: Strain,
}

/// What a batch is answered, with its report if there is one.
type Answered = (Answer, Option<BatchReport>);

/// Works on a delivery until its fate is known. `give_up` ends the work early; the batch is then free for another worker at once.
/// Dropping the future gives the batch up too, but its claim has to run out.
pub async fn process(services: &Services, delivery: &Delivery, give_up: &CancellationToken) -> Settled {
    let start = Instant::now();
    let (batch, loaded, end) = match caught(work::read(services, delivery)).await.map_err(Unread::Unknown).flatten() {
        Ok(work) => {
            let end = match caught(claim_and_run(services, &work, delivery, give_up)).await.flatten() {
                Ok(end) => end,
                Err(fault) => outcome::host_failed(services, &work.batch, delivery, fault).await,
            };
            (Some(work.batch), Some(work.choice.loaded), end)
        }
        Err(Unread::Refused(refusal)) => {
            (refusal.batch.clone(), None, outcome::refuse(services, delivery, refusal).await)
        }
        Err(Unread::Later(batch, fault)) => {
            let end = outcome::host_failed(services, &batch, delivery, fault).await;
            (Some(batch), None, end)
        }
        Err(Unread::Unknown(fault)) => (None, None, outcome::host_failed_unread(services, delivery, fault).await),
    };
    let took = start.elapsed();
    // Only names that this worker knows are labels: there are few of them.
    let dataset = batch.as_ref().map(|batch| &*batch.dataset).filter(|name| services.catalog.knows(name));
    services.metrics.batch(dataset.unwrap_or_default(), &end.disposition, took);
    if let Some(kind) = end.kind() {
        services.metrics.fault(kind.label());
        if let Some(why) = end.failure() {
            let name = batch.as_ref().map_or(delivery.id.as_str(), |batch| batch.id.name());
            let latest = Example::now(name, None, why);
            services.metrics.board.failed(Failed::Batches, dataset.unwrap_or_default(), kind.label(), 1, Some(latest));
        }
    }
    if end.report.as_ref().is_some_and(|report| !report.from_receipt) {
        services.metrics.ran(took);
    }
    outcome::line(delivery, batch.as_deref(), loaded.as_deref(), &end).log(&end.disposition, took);
    Settled { strain: end.strain(), disposition: end.disposition }
}

/// Claims the batch, does what the claim asks for, and answers.
async fn claim_and_run(
    services: &Services,
    work: &Work,
    delivery: &Delivery,
    give_up: &CancellationToken,
) -> Result<End, Fault> {
    wait::over(services, work, delivery).await?;
    let loaded = &work.choice.loaded;
    // At its last delivery a batch is worked on however many there are: given back once more it would be lost.
    let last = delivery.receives >= services.deliveries;
    let Some(_seat) = services.admission.seat(&loaded.need(), last) else {
        return Ok(outcome::crowded(delivery, loaded));
    };
    let lease = Lease::new(Instant::now(), services.lease);
    let (claimed, record) = match claim(services, work).await? {
        Claim::Taken(claimed) => (claimed, None),
        Claim::Prepared(claimed, record) => (claimed, Some(record)),
        Claim::Held { remaining } => {
            let after = remaining.min(services.identity.patience());
            let reason = "another worker holds the batch".into();
            let kind = Some(FaultKind::ClaimHeld);
            return Ok(End { kind, ..End::of(Disposition::Returned { after, reason, fault: false }) });
        }
        Claim::Committed(receipt) => {
            let answered = match BatchReport::from_receipt(&receipt.output) {
                Ok(report) => (report.answer(loaded.tolerated()), Some(report)),
                Err(_) => (Answer::Success { output: receipt.output }, None),
            };
            return answer(services, work, answered).await;
        }
    };
    // Without a record only rows of tables can be visible: all else is recorded before. What another version shows is not known
    // here.
    let unrecorded = loaded.needs_no_record() || claimed.component != work::begun(loaded);
    let seen = record.is_some() || (claimed.resumed && unrecorded);
    let attempt = Arc::new(Attempt::new(claimed, lease, seen, work.shown.running().clone()));
    run_or_carry_out(services, work, delivery, give_up, &attempt, record).await
}

async fn claim(services: &Services, work: &Work) -> Result<Claim, LedgerError> {
    let request = ClaimRequest {
        id: work.batch.id.clone(),
        fingerprint: work.fingerprint,
        component: work::begun(&work.choice.loaded),
        now: (services.now)(),
        lease: services.lease,
    };
    let claim = timeout(CLAIM, services.ledger.claim(&request)).await;
    claim.unwrap_or_else(|_| Err(LedgerError::Unavailable(format!("no answer in {} s", CLAIM.as_secs()))))
}

/// Runs the batch, or carries out what an attempt that did not end had recorded, while everything that lapses is kept alive.
async fn run_or_carry_out(
    services: &Services,
    work: &Work,
    delivery: &Delivery,
    give_up: &CancellationToken,
    attempt: &Arc<Attempt>,
    record: Option<Record>,
) -> Result<End, Fault> {
    let Work { batch, choice: Choice { loaded, .. }, .. } = work;
    let rolled_forward = record.is_some();
    let mut kept = keeper::keep(services, batch, attempt, delivery, loaded.dataset.map.heartbeat);
    let ran = tokio::select! {
        // First: an attempt that lost the batch while the process was stopped must not go on.
        biased;
        lost = &mut kept => Err(lost.map_or_else(|error| error.try_into_panic().map_or(Fault::Stopped, panicked), Fault::Lost)),
        () = give_up.cancelled() => Err(Fault::Stopped),
        ran = caught(async {
            match record {
                // An attempt that did not end had come as far as this.
                Some(record) => {
                    let ready = Ready::from_record(record, services.admission.holding(&loaded.need())).await?;
                    if batch.step.is_none()
                        && let Err(answer) = plan::held(services, loaded.dataset.of(), batch.window.as_ref()).await?
                    {
                        return commit::take_back(services, attempt, &ready, answer).await;
                    }
                    commit::finish(services, work, attempt, Arc::new(ready), true).await
                }
                // It is large, and is one in the future of each batch that is under way.
                None => Box::pin(run(services, work, attempt)).await,
            }
        }) => ran.flatten(),
    };
    drop(kept);
    match ran {
        Ok(answered) => {
            if rolled_forward {
                services.metrics.rolled_forward(&batch.dataset);
            }
            if let Some(tally) = attempt.tally.get() {
                services.catalog.count(&work.choice, *tally);
            }
            let end = answer(services, work, answered).await?;
            if !rolled_forward {
                services.catalog.answered(&work.choice, batch, attempt.claimed.started);
            }
            Ok(End { rolled_forward, ..end })
        }
        Err(fault) => {
            if matches!(fault, Fault::Sink(SinkError::Gone(_))) {
                attempt.give_up_on_the_rest();
            }
            let give_back = async {
                if !matches!(fault, Fault::Lost(Lost::Claim(_))) {
                    commit::give_back(services, attempt).await;
                }
            };
            // With the message goes the last that knows of the uploads.
            tokio::join!(give_back, services.stores.objects.cleanups().done(commit::GIVE_BACK));
            // An output that a version's rows do not get into is that version's failure, as far as anybody can tell.
            if attempt.runs_chosen() && fault.is_refusal() {
                let items = batch.items.len() as u64;
                let micros = attempt.tally.get().map_or(0, |tally| tally.micros);
                services.catalog.count(&work.choice, Tally { batches: 1, items, failed: items, micros });
            }
            Err(fault)
        }
    }
}

/// Runs the items and makes their rows visible, or gives the claim back when the batch is worth another attempt.
async fn run(services: &Services, work: &Work, attempt: &Attempt) -> Result<Answered, Fault> {
    let Work { batch, choice, .. } = work;
    let claimed = &attempt.claimed;
    let loaded = &work::as_begun(services, batch, choice, claimed).await?.placed(batch)?;
    let is_chosen = loaded.identity() == choice.loaded.identity();
    attempt.runs(is_chosen);
    if !is_chosen {
        attempt.shown.runs_on(loaded.version());
    }
    if let Some(step) = &batch.step {
        attempt.shown.stage(Stage::Writing);
        let now = (services.now)();
        let stepped = match step {
            Step::Plan(plan) => Box::pin(plan::prepare(services, loaded, batch, plan, now)).await?,
            Step::Close(close) => plan::close(services, loaded, batch, close, now).await?,
            Step::Conclude(concluded) => {
                Box::pin(conclude::prepare(services, loaded, batch, concluded, claimed.started)).await?
            }
        };
        let (ready, uploads) = match stepped {
            Ok(ready) => ready,
            Err(answer) => {
                services.ledger.release(claimed, attempt.release()).await?;
                return Ok((answer, None));
            }
        };
        let ready = Arc::new(ready);
        commit::record(services, attempt, &ready, uploads).await?;
        return commit::finish(services, work, attempt, ready, true).await;
    }
    attempt.shown.stage(Stage::Items);
    let results = items::run(services, loaded, batch, attempt).await?;
    attempt.shown.stage(Stage::Writing);
    if let Some(trouble) = results.trouble() {
        let fault = Fault::Objects(trouble);
        results.abort().await;
        return Err(fault);
    }
    if is_chosen {
        let _ = attempt.tally.set(results.tally());
    }
    if let Some(failure) = results.retryable() {
        let cause = format!(
            "dataset {}, batch {}, item {}{}: {}: {}",
            batch.dataset,
            batch.id,
            failure.index,
            failure.item.as_ref().map(|name| format!(" ({name})")).unwrap_or_default(),
            failure.code,
            failure.message
        );
        results.abort().await;
        services.ledger.release(claimed, attempt.release()).await?;
        return Ok((Answer::Failure { error: error_names::RETRYABLE.into(), cause }, None));
    }
    // A run whose window another one has by now must not show anything more.
    if let Err(answer) = plan::held(services, loaded.dataset.of(), batch.window.as_ref()).await? {
        results.abort().await;
        services.ledger.release(claimed, attempt.release()).await?;
        return Ok((answer, None));
    }
    let (ready, uploads) = results.prepare(services, loaded, batch, claimed.started).await?;
    let ready = Arc::new(ready);
    // Without a record the claim has to say what is running.
    let recorded = !loaded.needs_no_record() || claimed.component != work::begun(loaded);
    if recorded {
        commit::record(services, attempt, &ready, uploads).await?;
    }
    commit::finish(services, work, attempt, ready, recorded).await
}

async fn answer(services: &Services, work: &Work, (answer, report): Answered) -> Result<End, Fault> {
    work.shown.running().stage(Stage::Answering);
    let waiting = services.callback.answer(&work.batch.token, &answer).await?;
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
