//! What the status page shows of a catalog.

use super::versions::{Catalog, OnTrial, Versions};
use crate::registry::TrialKind;
use crate::telemetry::status::{DatasetStatus, Datasets, TrialStatus};

impl Datasets for Catalog {
    fn datasets(&self) -> Vec<DatasetStatus> {
        let names = self.names().into_iter();
        names.filter_map(|name| self.versions(&name).map(|versions| shown(name, &versions))).collect()
    }
}

fn shown(dataset: String, versions: &Versions) -> DatasetStatus {
    let loaded = versions.stable.as_ref();
    let trial = |OnTrial { kind, share, loaded, .. }: &OnTrial| TrialStatus {
        version: loaded.version(),
        kind: match kind {
            TrialKind::Canary => "canary",
            TrialKind::Shadow => "shadow",
        }
        .into(),
        share: share.to_string(),
    };
    DatasetStatus {
        dataset,
        version: loaded.ok().map(|loaded| loaded.version()),
        digest: loaded.ok().map(|loaded| loaded.identity().to_string()),
        broken: loaded.err().map(ToString::to_string),
        trial: versions.trial.as_ref().map(trial),
        ..DatasetStatus::default()
    }
}
