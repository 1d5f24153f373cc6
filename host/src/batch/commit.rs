//! The end of a batch's work: all that will be seen of it is ready, then recorded, then made visible, then committed.
//!
//! From the record on nobody can make anything else visible, whatever becomes of this process: whoever finds it carries it
//! out, with any component. Rows of tables alone need no record, unless they come of a database: the same component writes the same
//! rows under the same keys.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use tokio::time::timeout;

use super::attempt::Attempt;
use super::conclude;
use super::evidence::Evidence;
use super::fault::Fault;
use super::ready::Ready;
use super::services::Services;
use super::work::Work;
use crate::callback::Answer;
use crate::job::Step;
use crate::ledger::{GiveBack, LedgerError, Receipt};
use crate::object::Uploads;
use crate::report::BatchReport;
use crate::sink::{Effect, LeaseCheck};
use crate::telemetry::status::Stage;

/// How long giving a batch back may take: its claim, and what it uploaded. The drain's last moments have room for it.
pub(super) const GIVE_BACK: Duration = Duration::from_secs(3);

/// How many objects of a batch are made visible at once.
const OBJECTS_AT_ONCE: usize = 16;

/// How many effects are made ready to be carried out.
const FUTURES: usize = 1024;

/// Records what is ready. From then on its uploads are the record's.
pub(super) async fn record(
    services: &Services,
    attempt: &Attempt,
    ready: &Arc<Ready>,
    uploads: Uploads,
) -> Result<(), Fault> {
    let record = ready.record()?;
    // Whoever took the batch over has looked for what an earlier attempt left, and will not look again.
    attempt.still_ours()?;
    // Before it is sent: whatever becomes of the answer, it may have been written.
    attempt.may_be_seen();
    let kept = uploads.keep();
    let recorded = services.ledger.prepare(&attempt.claimed, &record).await;
    if matches!(recorded, Err(LedgerError::Lost(_))) {
        drop(kept.not_recorded());
    }
    Ok(recorded?)
}

/// Makes visible what is ready, and writes down that it is. `recorded` says whether the ledger has it.
pub(super) async fn finish(
    services: &Services,
    work: &Work,
    attempt: &Attempt,
    ready: Arc<Ready>,
    recorded: bool,
) -> Result<(Answer, Option<BatchReport>), Fault> {
    attempt.shown.stage(Stage::Writing);
    show(services, attempt, &ready, recorded).await?;
    if let Some(Step::Conclude(_)) = work.batch.step {
        attempt.still_ours()?;
        conclude::make_known(services, &work.choice.loaded.clone().placed(&work.batch)?, &work.batch).await?;
    }
    let (report, answer) = (ready.report.clone(), ready.answer.clone());
    services.metrics.items(&work.batch.dataset, work.batch.id.name(), &report);
    match &answer {
        Answer::Success { output } => {
            let evidence = Evidence::of(&ready, &work.choice.loaded.dataset, &services.stores).await?;
            let evidence = evidence.and_then(|evidence| serde_json::to_string(&evidence).ok());
            let receipt = Receipt { output: output.clone(), fingerprint: work.fingerprint, evidence };
            services.ledger.commit(&attempt.claimed, &receipt).await?;
        }
        // A batch that failed is worked on again when it is asked for again: after a redrive, or with a better plugin.
        Answer::Failure { .. } => services.ledger.release(&attempt.claimed, GiveBack::Afresh).await?,
    }
    Ok((answer, Some(report)))
}

/// Removes what a record names, shown or not: the run that it is of may show nothing any more.
pub(super) async fn take_back(
    services: &Services,
    attempt: &Attempt,
    ready: &Ready,
    answer: Answer,
) -> Result<(Answer, Option<BatchReport>), Fault> {
    for upload in ready.effects.iter().filter_map(Effect::upload) {
        attempt.still_ours()?;
        services.stores.objects.abort(upload).await?;
        services.stores.objects.delete(&upload.at).await?;
    }
    services.ledger.release(&attempt.claimed, GiveBack::Afresh).await?;
    Ok((answer, None))
}

/// Makes visible what is ready. Each step asks first whether the batch is still ours.
async fn show(services: &Services, attempt: &Attempt, ready: &Arc<Ready>, recorded: bool) -> Result<(), Fault> {
    if !recorded {
        attempt.shows_unrecorded(ready.clone());
    }
    let lease = attempt.lease.clone();
    let lease = LeaseCheck::new(move || lease.is_ours());
    attempt.may_be_seen();
    for same_turn in ready.effects.chunk_by(|one, next| one.turn() == next.turn()) {
        // A store of tables has its own bounds; each of its effects is many requests.
        let at_once = if same_turn.iter().any(Effect::puts_rows) { 1 } else { OBJECTS_AT_ONCE };
        let (objects, tables) = (&*services.stores.objects, &*services.stores.tables);
        for some in same_turn.chunks(FUTURES) {
            let shown: Vec<_> = some.iter().map(|effect| effect.apply(objects, tables, &lease).boxed()).collect();
            stream::iter(shown).buffered(at_once).try_collect::<()>().await?;
        }
    }
    Ok(())
}

/// Gives the claim back. What was being shown without a record gets one first: whoever is next need not have the
/// component that began. Neither may take long, because the message waits for it.
pub(super) async fn give_back(services: &Services, attempt: &Attempt) {
    let release = async {
        if attempt.release() == GiveBack::Unfinished
            && let Some(record) = attempt.unrecorded().and_then(|ready| ready.record().ok())
        {
            services.ledger.prepare(&attempt.claimed, &record).await?;
        }
        services.ledger.release(&attempt.claimed, attempt.release()).await
    };
    let silent = |_| LedgerError::Unavailable(format!("no answer in {} s", GIVE_BACK.as_secs()));
    if let Err(error) = timeout(GIVE_BACK, release).await.map_err(silent).flatten() {
        tracing::debug!(%error, "a claim was not given back; the next delivery waits until its lease ends");
    }
}
