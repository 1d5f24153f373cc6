//! `gristmill promote` and `gristmill rollback`: changing which version is in use.

use std::process::ExitCode;

use anyhow::Context as _;
use time::OffsetDateTime;

use super::output::print;
use crate::aws;

use crate::cli::{PromoteArgs, RollbackArgs};
use crate::registry::{self, Change, Head, Name, Registry, TrialKind};
use crate::rollout::Fetched;
use crate::trust::{Kms, Policy};

pub(super) async fn run(args: PromoteArgs) -> anyhow::Result<ExitCode> {
    let registry = registry::open(&args.registry.uri, aws::load).await?;
    let PromoteArgs { name, version, .. } = args;
    let found = registry.find(&name, &version).await?;
    let release = found.with_context(|| {
        format!("{} has no {name} {version}: `gristmill versions {name}` lists what it has", registry.uri())
    })?;
    let policy = match &args.trust {
        Some(file) => Policy::load(file, &Kms::default()).await?,
        None => Policy::none(),
    };
    // Read whole: what is damaged or not signed is better found here than by a fleet.
    let fetched = Fetched::get(&*registry, &policy, &name, &release).await?;
    anyhow::ensure!(
        fetched.release.version == version,
        "{} has {} under the version {version}: nothing was changed",
        registry.uri(),
        fetched.release.title()
    );
    let downgrade = args.downgrade;
    let of_trial = |kind, share| Change::Try { version: version.clone(), release, kind, share, downgrade };
    let change = match (args.canary, args.shadow) {
        (Some(share), _) => of_trial(TrialKind::Canary, share),
        (None, Some(share)) => of_trial(TrialKind::Shadow, share),
        (None, None) => Change::Promote { version: version.clone(), release, downgrade },
    };
    make(&*registry, &name, &change).await
}

pub(super) async fn roll_back(args: RollbackArgs) -> anyhow::Result<ExitCode> {
    let registry = registry::open(&args.registry.uri, aws::load).await?;
    make(&*registry, &args.name, &Change::RollBack).await
}

async fn make(registry: &dyn Registry, name: &Name, change: &Change) -> anyhow::Result<ExitCode> {
    let head = registry::change(registry, name, change, &whoever(), OffsetDateTime::now_utc()).await?;
    print(said(&head, name))?;
    Ok(ExitCode::SUCCESS)
}

/// What is in use now.
fn said(head: &Head, name: &Name) -> String {
    let number = head.number;
    let Some(in_use) = head.names.get(name) else { return String::new() };
    let stable = &in_use.stable.version;
    match &in_use.trial {
        Some(trial) => {
            let (version, kind, share) = (&trial.chosen.version, trial.kind.word(), trial.share);
            format!("{name} {version} is the {kind} of {stable}, with {share} of the batches (head {number})\n")
        }
        None => format!("{name} {stable} is in use (head {number})\n"),
    }
}

/// Who makes a change: for people. USER and the machine's name, as far as there are any.
pub(super) fn whoever() -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).filter(|user| !user.is_empty());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}@{}", user.as_deref().unwrap_or("somebody"), host.trim())
}
