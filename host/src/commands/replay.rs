//! `gristmill replay`: a recorded batch again, with the very component, and whether it comes to the same.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::compiler::with_notice;
use super::desk::Desk;
use super::inputs::MAX_GIVEN;
use super::output::{print, print_json};
use crate::aws;
use crate::catalog::DatasetVersion;
use crate::cli::ReplayArgs;
use crate::dataset::{Dataset, StageSpec};
use crate::files;
use crate::job::{Batch, Digest, Message, TaskToken};
use crate::object::{Location, ObjectError};
use crate::registry::{self, Name, Registry};
use crate::replay::{self, Differs, NotReplayed, Rows, read_report, verdict};
use crate::report::{Component, FullReport, Recorded};
use crate::rollout::find_release;
use crate::text::{line, without_mark};

/// Where the report goes if the dataset writes none: a bucket that nothing reads.
const REPORTS: &str = "s3://replay/reports/";

pub(super) async fn run(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let ReplayArgs { batch, version, registry, dataset, report, desk } = args;
    let json = desk.json;
    let desk = Desk::open(desk).await?;
    let (message, recorded) = match read(&desk, &batch).await? {
        What::Report(report) => (of_report(&report, &batch)?.message.clone(), Some(*report)),
        What::Message(message) => (*message, None),
    };
    let recorded = match (&report, recorded) {
        (Some(place), _) => Some(recorded_at(&desk, place).await?),
        (None, recorded) => recorded,
    };
    let source = match (dataset, registry) {
        (Some(file), _) => Source::File(file),
        (None, Some(uri)) => {
            let name = StageSpec::dataset_of(&message.dataset).parse()?;
            Source::Registry(registry::open(&uri, aws::load).await?, name, version)
        }
        (None, None) => anyhow::bail!("where is the dataset? give `--registry URI`, or `--dataset FILE`"),
    };
    let mut loaded = stage_of(source.load(&desk, &message, recorded.as_ref()).await?, &message.dataset)?;
    // With a message alone, what was recorded lies among the dataset's reports.
    let recorded = match recorded {
        None => match replay::place_of(&loaded, &message)? {
            Some(at) => at_its_place(&desk, &at).await?,
            None => None,
        },
        recorded => recorded,
    };
    if recorded.is_none() && !source.is_chosen() {
        fits(&message, &loaded)?;
    }
    if let Some(recorded) = &recorded {
        let recorded = of_report(recorded, "the report")?;
        same_batch(&message, &recorded.message)?;
        if !source.is_chosen() && differ(loaded.plugin.digest, loaded.release, &recorded.component) {
            loaded = stage_of(source.load_recorded(&desk, &recorded.component).await?, &message.dataset)?;
        }
    }
    if loaded.dataset.map.reports.is_none() {
        loaded.dataset.map.reports = Some(REPORTS.parse()?);
    }
    let batch = recorded.as_ref().and_then(|report| report.batch.as_ref());
    let started = batch.map_or_else(SystemTime::now, |batch| batch.started.into());
    let now = desk.replay().run(Arc::new(loaded), &message, started).await?;
    let ran = of_report(&now, "the report of now")?;
    let differences = recorded.as_ref().map(|recorded| verdict(recorded, &now));
    if json {
        print_json(&as_json(ran, batch, differences.as_deref()))?;
    } else {
        print(as_text(ran, batch, differences.as_deref()))?;
    }
    let differs = differences.is_some_and(|differences| !differences.is_empty());
    Ok(if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What is given to be run again.
enum What {
    Report(Box<FullReport>),
    Message(Box<Message>),
}

async fn read(desk: &Desk, given: &str) -> anyhow::Result<What> {
    if given.starts_with("s3://") {
        return Ok(What::Report(Box::new(recorded_at(desk, given).await?)));
    }
    let text = if given == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("stdin")?;
        text
    } else {
        files::read_given_text(Path::new(given), MAX_GIVEN).with_context(|| given.to_owned())?
    };
    let text = without_mark(&text);
    // A message is one JSON value, on however many lines.
    if let Ok(mut message) = serde_json::from_str::<Message>(text) {
        // Nobody waits for this answer, and the token may have been removed.
        message.task_token = TaskToken::new("replay");
        Batch::parse(&serde_json::to_string(&message)?).with_context(|| given.to_owned())?;
        return Ok(What::Message(Box::new(message)));
    }
    let report = FullReport::parse(text.as_bytes());
    let report = report.map_err(|why| anyhow::anyhow!("{given} is neither a report nor a message: {why}"))?;
    Ok(What::Report(Box::new(report)))
}

/// The report at a place that the user named.
async fn recorded_at(desk: &Desk, place: &str) -> anyhow::Result<FullReport> {
    if place.starts_with("s3://") {
        return Ok(read_report(&*desk.inputs, &place.parse()?).await?);
    }
    let bytes = files::read_given(Path::new(place), MAX_GIVEN).with_context(|| place.to_owned())?;
    FullReport::parse(&bytes).map_err(|why| anyhow::anyhow!("{place}: {why}"))
}

/// The report where it should be, if it is there.
async fn at_its_place(desk: &Desk, at: &Location) -> anyhow::Result<Option<FullReport>> {
    match read_report(&*desk.inputs, at).await {
        Err(NotReplayed::Objects(ObjectError::NotFound(_))) => Ok(None),
        read => Ok(Some(read?)),
    }
}

fn of_report<'r>(report: &'r FullReport, given: &str) -> anyhow::Result<&'r Recorded> {
    report.batch.as_ref().with_context(|| {
        format!("{given} does not hold its batch: an earlier gristmill wrote it. Give the body of the batch's message instead")
    })
}

fn same_batch(message: &Message, recorded: &Message) -> anyhow::Result<()> {
    let same = (&message.dataset, &message.execution, &message.state)
        == (&recorded.dataset, &recorded.execution, &recorded.state);
    anyhow::ensure!(same, "the report is of another batch: {}, {}", recorded.dataset, recorded.execution);
    Ok(())
}

/// A message may ask for the version that it runs on.
fn fits(message: &Message, loaded: &DatasetVersion) -> anyhow::Result<()> {
    let Some(wanted) = message.component else { return Ok(()) };
    let fits = loaded.plugin.digest == wanted || loaded.release == Some(wanted);
    anyhow::ensure!(fits, "the message asks for {wanted}, and this is {}", loaded.plugin.digest);
    Ok(())
}

/// The stage that a batch is of.
fn stage_of(loaded: DatasetVersion, name: &str) -> anyhow::Result<DatasetVersion> {
    if loaded.dataset.name == name {
        return Ok(loaded);
    }
    let of = loaded.dataset.of().to_owned();
    let behind = loaded.behind.into_iter().find(|stage| stage.dataset.name == name).and_then(Arc::into_inner);
    behind.with_context(|| format!("the batch is of {name}, and this version of {of} has no such stage"))
}

/// Where the dataset comes from.
enum Source {
    File(std::path::PathBuf),
    Registry(Arc<dyn Registry>, Name, Option<registry::Version>),
}

impl Source {
    /// Whether the user chose the version.
    fn is_chosen(&self) -> bool {
        matches!(self, Self::Registry(_, _, Some(_)))
    }

    /// The dataset to run: the version that the user chose, that was recorded, that the message asks for, or that is in use.
    async fn load(
        &self,
        desk: &Desk,
        message: &Message,
        recorded: Option<&FullReport>,
    ) -> anyhow::Result<DatasetVersion> {
        match self {
            Self::File(file) => {
                let stages = Dataset::load_stages(file, &desk.variables)?;
                let names: Vec<String> = stages.iter().map(|stage| stage.name.clone()).collect();
                let meant = stages.into_iter().find(|stage| stage.name == message.dataset);
                let dataset = meant.with_context(|| {
                    format!("{} is of {}, the batch is of {}", file.display(), names.join(", "), message.dataset)
                })?;
                let component = dataset.plugin.component.clone();
                Ok(with_notice(&component, DatasetVersion::open(dataset, &desk.runtime, &desk.stores)).await?)
            }
            Self::Registry(registry, name, Some(version)) => {
                let release = registry.find(name, version).await?.with_context(|| {
                    format!("{} has no {name} {version}: `gristmill versions {name}` lists what it has", registry.uri())
                })?;
                desk.load(&**registry, name, &release).await
            }
            Self::Registry(registry, name, None) => {
                if let Some(batch) = recorded.and_then(|report| report.batch.as_ref()) {
                    return self.load_recorded(desk, &batch.component).await;
                }
                let release = match message.component {
                    Some(wanted) => found(&**registry, name, &wanted).await?,
                    None => {
                        let head = registry::newest(&**registry).await?;
                        let in_use = head.as_ref().and_then(|head| head.names.get(name));
                        let stable = in_use.map(|in_use| in_use.stable.release);
                        stable.with_context(|| {
                            format!("{}: no version of {name} is in use: give `--version`", registry.uri())
                        })?
                    }
                };
                desk.load(&**registry, name, &release).await
            }
        }
    }

    /// The version that the batch ran on.
    async fn load_recorded(&self, desk: &Desk, ran: &Component) -> anyhow::Result<DatasetVersion> {
        let Component { name: called, version, digest, release } = ran;
        match self {
            Self::File(file) => anyhow::bail!(
                "the batch ran on component {called} {version} ({digest}), and {} has another one: give the file with that component, or \
                 `--registry URI`, with `--version VERSION` to run another one",
                file.display()
            ),
            Self::Registry(registry, name, _) => {
                let release = match release {
                    Some(release) => *release,
                    None => found(&**registry, name, digest).await?,
                };
                desk.load(&**registry, name, &release).await
            }
        }
    }
}

/// The release with this digest, or with this component.
async fn found(registry: &dyn Registry, name: &Name, wanted: &Digest) -> anyhow::Result<Digest> {
    find_release(registry, name, wanted).await?.with_context(|| {
        format!("{} has no release of {name} with {wanted}: `--version VERSION` runs another one", registry.uri())
    })
}

/// Whether a component, or its release, is not the one that ran. Releases are compared only if both came from a registry.
fn differ(component: Digest, release: Option<Digest>, ran: &Component) -> bool {
    component != ran.digest || release.zip(ran.release).is_some_and(|(ours, theirs)| ours != theirs)
}

fn as_text(ran: &Recorded, recorded: Option<&Recorded>, differences: Option<&[Differs]>) -> String {
    let titled = |component: &Component| {
        let [name, version] = [&component.name, &component.version].map(|text| line(text));
        format!("{name} {version} ({}…)", &component.digest.to_string()[..19])
    };
    let title = match differences {
        None => "there is nothing recorded to compare with",
        Some([]) => "equal",
        Some(_) => "differs",
    };
    let name = ran.message.execution.rsplit(':').next().unwrap_or_default();
    let mut text = format!("{}, batch {}: {title}\n", line(&ran.message.dataset), line(name));
    text += &format!("  component  {}\n", titled(&ran.component));
    let other = recorded.map(|recorded| &recorded.component);
    if let Some(other) = other.filter(|other| differ(ran.component.digest, ran.component.release, other)) {
        text += &format!("  recorded   {}\n", titled(other));
    }
    let items = ran.items;
    text += &format!("  items      {}: {} succeeded, {} rejected\n", items.total, items.succeeded, items.rejected);
    for written in &ran.outputs {
        let rows = Rows { rows: written.rows, digest: written.digest };
        text += &format!("  output     {}: {rows}\n", line(&written.output));
    }
    differences.unwrap_or_default().iter().fold(text, |text, difference| text + &format!("  {difference}\n"))
}

fn as_json(ran: &Recorded, recorded: Option<&Recorded>, differences: Option<&[Differs]>) -> Value {
    json!({
        "dataset": ran.message.dataset,
        "execution": ran.message.execution,
        "equal": differences.map(<[Differs]>::is_empty),
        "component": ran.component,
        "recorded_component": recorded.map(|recorded| &recorded.component),
        "items": ran.items,
        "outputs": ran.outputs.iter().map(|written| json!({"output": written.output, "rows": written.rows, "digest": written.digest})).collect::<Vec<_>>(),
        "differences": differences.unwrap_or_default(),
    })
}
