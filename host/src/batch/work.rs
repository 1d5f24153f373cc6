//! From a message to work: the batch that it holds, and the version of its dataset that it runs on.

use std::sync::Arc;
use std::time::Duration;

use super::fault::Fault;
use super::kind::FaultKind;
use super::outcome::Refusal;
use super::services::{Identity, Services};
use crate::catalog::{Choice, DatasetVersion, NoVersion};
use crate::dataset::canonical;
use crate::job::{Batch, Conclude, Digest, PlanRun, Results, RunWindow, Step, error_names};
use crate::ledger::Claimed;
use crate::queue::Delivery;
use crate::runtime::ITEM_ATTEMPTS;
use crate::telemetry::status::{BatchFacts, UnderWay};

/// A batch with everything that is needed to work on it.
pub(super) struct Work {
    pub(super) batch: Arc<Batch>,
    pub(super) choice: Choice,
    /// What makes a committed batch this one.
    pub(super) fingerprint: Digest,
    /// What the status page has of it.
    pub(super) shown: UnderWay,
}

/// How long a batch may be quiet beyond what its items may take: claims, uploads and commits are repeated for minutes.
const PATIENCE: Duration = Duration::from_secs(300);

/// Why there is no work in a delivery.
pub(super) enum Unread {
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

/// Reads the message, and finds the version of its dataset that it runs on.
pub(super) async fn read(services: &Services, delivery: &Delivery) -> Result<Work, Unread> {
    let batch = Batch::parse(&delivery.body).map_err(|malformed| Refusal {
        kind: FaultKind::Malformed,
        batch: None,
        token: malformed.token,
        error: error_names::BAD_MESSAGE,
        reason: format!("message {}: {}", delivery.id, malformed.reason),
    })?;
    let batch = Arc::new(batch);
    let choice = match services.catalog.choose(&batch).await {
        Ok(choice) => choice,
        Err(NoVersion::Later(why)) => return Err(Unread::Later(batch, Fault::Version(why))),
        Err(refused) => {
            let (kind, error) = match refused {
                NoVersion::Unknown(_) | NoVersion::NoStage(_) => (FaultKind::UnknownDataset, error_names::BAD_MESSAGE),
                NoVersion::Other { .. } => (FaultKind::OtherComponent, error_names::BAD_PLUGIN),
                _ => (FaultKind::BrokenDataset, error_names::BAD_PLUGIN),
            };
            let reason = format!("dataset {}, batch {}: {refused}", batch.dataset, batch.id);
            let token = Some(batch.token.clone());
            return Err(Refusal { kind, batch: Some(batch), token, error, reason }.into());
        }
    };
    let fingerprint = fingerprint(services.identity, &batch, &choice.loaded);
    let shown = services.metrics.board.batch(BatchFacts {
        dataset: batch.dataset.clone(),
        batch: batch.id.name().to_owned(),
        version: choice.loaded.version(),
        attempt: batch.attempt,
        receives: delivery.receives,
        items: batch.items.len() as u64,
        patience: PATIENCE.saturating_add(choice.loaded.dataset.plugin.timeout.saturating_mul(ITEM_ATTEMPTS)),
    });
    Ok(Work { batch, choice, fingerprint, shown })
}

fn fingerprint(identity: Identity, batch: &Batch, loaded: &DatasetVersion) -> Digest {
    let mut text = String::new();
    let mut add = |part: &str| {
        text.push_str(part);
        text.push('\n');
    };
    add(&batch.dataset);
    add(&batch.batch_input);
    batch.items.iter().for_each(|item| add(&item.body));
    match &batch.step {
        Some(Step::Conclude(Conclude { results, takes })) => {
            add("conclude");
            if let Some(Results { bucket, key }) = results {
                add(bucket);
                add(key);
            }
            takes.iter().for_each(|takes| add(&canonical::value(takes)));
        }
        Some(Step::Plan(PlanRun { run, input })) => {
            add("plan");
            add(run);
            add(&canonical::value(input));
        }
        Some(Step::Close(RunWindow { run, number })) => {
            add("close");
            add(run);
            add(&number.to_string());
        }
        None => {}
    }
    if !batch.values.is_empty() {
        add(&canonical::values(&batch.values));
    }
    if identity == Identity::Contents {
        add(&loaded.plugin.digest.to_string());
        add(&canonical::contents(&loaded.dataset));
    }
    Digest::of(text.as_bytes())
}

/// What a claim says of the version that begins: only that version can end what it shows without a record. One that records before
/// it shows anything can be followed by any.
pub(super) fn begun(loaded: &DatasetVersion) -> Digest {
    if loaded.needs_no_record() { loaded.identity() } else { any_version() }
}

/// The digest of nothing: no component has it.
fn any_version() -> Digest {
    Digest::of(b"")
}

/// The version to run on: the one that was chosen, unless somebody began with another one and may have written rows.
pub(super) async fn as_begun(
    services: &Services,
    batch: &Batch,
    choice: &Choice,
    claimed: &Claimed,
) -> Result<Arc<DatasetVersion>, Fault> {
    let (chosen, by) = (&choice.loaded, claimed.component);
    if !claimed.resumed || by == begun(chosen) || by == any_version() {
        return Ok(chosen.clone());
    }
    // A gristmill that knew no registry claimed with the component in any case.
    if chosen.release.is_none() && !chosen.needs_no_record() {
        return Ok(chosen.clone());
    }
    let version = services.catalog.version(&batch.dataset, &by).await;
    let ours = chosen.identity();
    version.map_err(|why| Fault::OtherComponent { begun: by, ours, why: why.to_string() })
}
