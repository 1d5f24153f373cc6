//! `gristmill status` and `gristmill versions`: what a registry has, and what of it is in use.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use bytes::Bytes;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::output::{print, print_json};
use crate::aws;
use crate::cli::{StatusArgs, VersionsArgs};
use crate::job::Digest;
use crate::registry::{self, Attachment, Chosen, Head, InUse, Name, Registry, RegistryError, TrialKind, Version};
use crate::rollout::ShadowReport;
use crate::rollout::compare::Comparison;
use crate::text::{block, line};

/// How many reasons of refusals are shown: each is said by many workers, and is one.
const MAX_REFUSALS: usize = 5;

/// What there is to say of one dataset.
#[derive(Debug, Serialize)]
struct Status {
    #[serde(flatten)]
    in_use: InUse,
    /// Why workers do not use a version that they should, by version.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    refused: BTreeMap<Version, Vec<String>>,
    /// What the shadow would have changed so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<Comparison>,
    /// What of this could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<String>,
}

pub(super) async fn run(args: StatusArgs) -> anyhow::Result<ExitCode> {
    let registry = registry::open(&args.registry.uri, aws::load).await?;
    let head = registry::newest(&*registry).await?;
    anyhow::ensure!(
        head.is_some() || registry.is_there().await?,
        "{}: there is no registry: nothing was ever published there; `gristmill publish` makes one",
        registry.uri()
    );
    let mut names = BTreeMap::new();
    for (name, in_use) in head.iter().flat_map(|head| &head.names) {
        if args.name.as_ref().is_none_or(|wanted| wanted == name) {
            names.insert(name.clone(), status(&*registry, name, in_use.clone()).await?);
        }
    }
    if let Some(name) = args.name.as_ref().filter(|name| !names.contains_key(name)) {
        anyhow::bail!("{}: no version of {name} is in use: `gristmill promote {name} VERSION`", registry.uri());
    }
    if args.json {
        let number = head.as_ref().map(|head| head.number);
        print_json(&serde_json::json!({"head": number, "datasets": names}))?;
    } else {
        print(as_text(head.as_ref(), &names)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(registry: &dyn Registry, name: &Name, in_use: InUse) -> Result<Status, RegistryError> {
    let (mut refused, mut unreadable) = (BTreeMap::new(), Vec::new());
    // What is wrong with one dataset does not hide the others.
    let mut attached = async |release: &Digest, kind| match registry.attached(name, release, kind).await {
        Err(error) if error.is_of_one_entry() => {
            unreadable.push(error.to_string());
            Ok(Vec::new())
        }
        attached => attached,
    };
    let trial = in_use.trial.as_ref().map(|trial| &trial.chosen);
    for chosen in std::iter::once(&in_use.stable).chain(trial) {
        let mut reasons = attached(&chosen.release, Attachment::Refusal).await?;
        reasons.sort();
        if !reasons.is_empty() {
            let text = |reason: &Bytes| String::from_utf8_lossy(reason).into_owned();
            refused.insert(chosen.version.clone(), reasons.iter().take(MAX_REFUSALS).map(text).collect());
        }
    }
    let mut shadow = None;
    if let Some(trial) = in_use.trial.as_ref().filter(|trial| trial.kind == TrialKind::Shadow) {
        let reports = attached(&trial.chosen.release, Attachment::Shadow).await?;
        shadow = Some(ShadowReport::sum(trial.chosen.head, &reports));
    }
    Ok(Status { in_use, refused, shadow, unreadable })
}

fn as_text(head: Option<&Head>, names: &BTreeMap<Name, Status>) -> anyhow::Result<String> {
    let Some(head) = head else { return Ok("nothing is in use yet: `gristmill promote NAME VERSION`\n".into()) };
    let mut text = String::new();
    for (name, Status { in_use, refused, shadow, unreadable }) in names {
        writeln!(text, "{name}")?;
        let of =
            |chosen: &Chosen| format!("{}  {}  since head {}", chosen.version, short(&chosen.release), chosen.head);
        writeln!(text, "  stable   {}", of(&in_use.stable))?;
        if let Some(trial) = &in_use.trial {
            writeln!(text, "  {:7}  {}, {} of the batches", trial.kind.word(), of(&trial.chosen), trial.share)?;
        }
        if let Some(before) = in_use.before.first() {
            writeln!(text, "  before   {}", of(before))?;
        }
        if let Some(found) = shadow.as_ref().filter(|found| found.items + found.undecided > 0) {
            writeln!(text, "           {}", block(&found.to_string(), "           "))?;
        }
        for (version, reasons) in refused {
            writeln!(text, "  REFUSED  {version}, by workers at some time; they went on with what they had:")?;
            for reason in reasons {
                let reason = reason.strip_prefix(&format!("{name} {version}: ")).unwrap_or(reason);
                for part in reason.lines().filter(|part| !part.trim().is_empty()) {
                    writeln!(text, "           {}", line(part))?;
                }
            }
        }
        for why in unreadable {
            writeln!(text, "  UNREADABLE  {}", line(why))?;
        }
    }
    writeln!(text, "head {}: {}, by {}, {}", head.number, line(&head.change), line(&head.by), at(head.at))?;
    Ok(text)
}

/// One version of a dataset.
#[derive(Debug, Serialize)]
struct Listed {
    version: Version,
    #[serde(flatten)]
    entry: Entry,
}

/// What is under the version's name.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Entry {
    Release { release: Digest, signatures: usize, in_use: Option<&'static str> },
    Unreadable { unreadable: String },
}

pub(super) async fn versions(args: VersionsArgs) -> anyhow::Result<ExitCode> {
    let registry = registry::open(&args.registry.uri, aws::load).await?;
    let (name, head) = (&args.name, registry::newest(&*registry).await?);
    let in_use = head.as_ref().and_then(|head| head.names.get(name));
    let mut listed = Vec::new();
    for version in registry.versions(name).await? {
        let found = async {
            let Some(release) = registry.find(name, &version).await? else { return Ok(None) };
            let signatures = registry.attached(name, &release, Attachment::Signature).await?.len();
            let in_use = in_use.and_then(|in_use| role(in_use, &release));
            Ok(Some(Entry::Release { release, signatures, in_use }))
        };
        let entry = match found.await {
            Ok(Some(entry)) => entry,
            Ok(None) => continue,
            // The others can be read all the same.
            Err(error) if RegistryError::is_of_one_entry(&error) => Entry::Unreadable { unreadable: error.to_string() },
            Err(error) => return Err(error.into()),
        };
        listed.push(Listed { version, entry });
    }
    anyhow::ensure!(
        !listed.is_empty(),
        "{} has no version of {name}: `gristmill publish` puts one there",
        registry.uri()
    );
    if args.json {
        print_json(&listed)?;
    } else {
        let mut text = String::new();
        for Listed { version, entry } in &listed {
            let version = version.to_string();
            match entry {
                Entry::Release { release, signatures, in_use } => {
                    let (release, in_use) = (short(release), in_use.unwrap_or_default());
                    writeln!(text, "{version:12}  {release}  signatures: {signatures}  {in_use}")?;
                }
                Entry::Unreadable { unreadable } => writeln!(text, "{version:12}  UNREADABLE  {}", line(unreadable))?,
            }
        }
        print(text)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn role(in_use: &InUse, release: &Digest) -> Option<&'static str> {
    let trial = in_use.trial.as_ref().filter(|trial| trial.chosen.release == *release);
    if in_use.stable.release == *release {
        Some("stable")
    } else if let Some(trial) = trial {
        Some(trial.kind.word())
    } else {
        in_use.before.iter().any(|chosen| chosen.release == *release).then_some("before")
    }
}

fn short(digest: &Digest) -> String {
    format!("sha256:{}…", &digest.hex()[..12])
}

fn at(time: OffsetDateTime) -> String {
    time.replace_nanosecond(0).unwrap_or(time).format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::hostile::{self, assert_tame, edges};

    /// What `status` prints of a registry into which somebody wrote this text.
    fn told_by(text: &str) -> String {
        let chosen = Chosen { version: "1.0.0".parse().unwrap(), release: Digest::of(b""), head: 1 };
        let in_use = InUse { stable: chosen.clone(), trial: None, before: Vec::new() };
        let refused = [(chosen.version, vec![text.into()])].into();
        let names = [(
            "d".parse().unwrap(),
            Status { in_use: in_use.clone(), refused, shadow: None, unreadable: vec![text.into()] },
        )]
        .into();
        let head = Head {
            gristmill: 1,
            number: 1,
            previous: None,
            at: OffsetDateTime::UNIX_EPOCH,
            by: text.into(),
            change: text.into(),
            names: [("d".parse().unwrap(), in_use)].into(),
        };
        as_text(Some(&head), &names).unwrap()
    }

    proptest! {
        #[test]
        fn nobody_who_writes_into_a_registry_fakes_its_status(text in hostile::text()) {
            let printed = told_by(&format!("x{text}"));
            assert_tame(&printed);
            prop_assert_eq!(edges(&printed, 11), edges(&told_by("honest"), 11), "{}", printed);
        }
    }
}
