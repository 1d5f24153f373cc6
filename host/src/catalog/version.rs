//! One version of a dataset: its file, its component opened, its outputs connected.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use super::examine::{connected, fit, read};
use crate::admission::Need;
use crate::database::{Connections, WatchedConnections};
use crate::dataset::{BadPlace, Dataset, Finding, Findings, Target};
use crate::job::{Batch, Digest};
use crate::object::{Location, ObjectStore};
use crate::report::Component;
use crate::runtime::{BatchContext, GuestMetrics, GuestRows, Limits, Plugin, RowDecoder, RowsRefused, Runtime};
use crate::sink::objects::ObjectsSink;
use crate::sink::rows::{self, Rows};
use crate::sink::{self, OutputSchema, SORTED, Sink, SinkError, Stores};

/// A dataset that can be worked on.
pub struct DatasetVersion {
    /// The file.
    pub dataset: Dataset,
    /// The component.
    pub plugin: Arc<Plugin>,
    /// The settings as JSON.
    pub settings: Arc<str>,
    /// The outputs, in the dataset file's order.
    pub outputs: Vec<Arc<OutputSchema>>,
    /// Where each output's rows go.
    pub sinks: Vec<Arc<dyn Sink>>,
    /// The databases that its items may ask.
    pub databases: Connections,
    /// The release that it is, if it came from a registry.
    pub release: Option<Digest>,
    /// The stages behind this one: the first stage of a file brings the others along, so that all of a run are of one version.
    pub behind: Vec<Arc<DatasetVersion>>,
}

impl DatasetVersion {
    /// Opens the dataset's component, checks both against each other, and connects the outputs.
    pub async fn open(dataset: Dataset, runtime: &Runtime, stores: &Stores) -> Result<Self, Findings> {
        let (text, component) = read(&dataset).await?;
        Self::of(dataset, &text, &component, runtime, stores).await
    }

    /// The same from what was read already, wherever it lay: the dataset file's text, in which findings are located, and the
    /// component's bytes. Nothing is looked for under the dataset's paths; they only name things in sentences.
    pub async fn of(
        dataset: Dataset,
        text: &str,
        component: &[u8],
        runtime: &Runtime,
        stores: &Stores,
    ) -> Result<Self, Findings> {
        connected(&dataset, text, &stores.databases)?;
        let (plugin, outputs) = fit(&dataset, text, component, runtime).await?;
        let sink = |output: &Arc<OutputSchema>| -> Arc<dyn Sink> {
            match &output.target {
                Target::Table { .. } => stores.tables.clone(),
                Target::Objects { .. } => Arc::new(ObjectsSink::new(stores.objects.clone())),
            }
        };
        let sinks = outputs.iter().map(sink).collect();
        let settings = dataset.settings.to_string().into();
        let databases = stores.databases.clone();
        Ok(Self {
            dataset,
            plugin: Arc::new(plugin),
            settings,
            outputs,
            sinks,
            databases,
            release: None,
            behind: Vec::new(),
        })
    }

    /// The stages of a file, each with the component that it names.
    pub async fn open_stages(stages: Vec<Dataset>, runtime: &Runtime, stores: &Stores) -> Result<Self, Findings> {
        let mut opened = Vec::new();
        for dataset in stages {
            opened.push(Self::open(dataset, runtime, stores).await?);
        }
        Self::joined(opened)
    }

    /// The stages of a release, which has one component.
    pub async fn of_release(
        stages: Vec<Dataset>,
        text: &str,
        component: &[u8],
        release: Option<Digest>,
        runtime: &Runtime,
        stores: &Stores,
    ) -> Result<Self, Findings> {
        let differs = |pair: &&[Dataset]| pair[0].plugin.component != pair[1].plugin.component;
        if let Some([_, other]) = stages.windows(2).find(differs) {
            let message = "a release has one component, and this stage has another one than that before it";
            return Err(Findings(vec![Finding {
                file: other.file.clone(),
                position: None,
                place: other.place().key("plugin").key("component"),
                message: message.into(),
                help: Some("build one component that runs the items of all stages, and name it in `[plugin]`".into()),
            }]));
        }
        let mut opened = Vec::new();
        for dataset in stages {
            opened.push(Self { release, ..Self::of(dataset, text, component, runtime, stores).await? });
        }
        Self::joined(opened)
    }

    fn joined(opened: Vec<Self>) -> Result<Self, Findings> {
        let mut stages = opened.into_iter();
        let first = stages.next().ok_or_else(|| Findings(Vec::new()))?;
        Ok(Self { behind: stages.map(Arc::new).collect(), ..first })
    }

    /// All stages, or the one dataset that there is.
    pub fn stages(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        std::iter::once(self).chain(&self.behind)
    }

    /// What a message means that names this dataset or a stage of it.
    pub(crate) fn called(self: &Arc<Self>, name: &str) -> Option<Arc<Self>> {
        self.stages().find(|stage| stage.dataset.name == name).cloned()
    }

    /// What runs, for reports.
    pub(crate) fn component(&self) -> Component {
        Component {
            name: self.plugin.manifest.name.clone(),
            version: self.plugin.manifest.version.clone(),
            digest: self.plugin.digest,
            release: self.release,
        }
    }

    /// The bytes of the component that the dataset file names, wherever that lies.
    pub async fn component_bytes(dataset: &Dataset) -> Result<Bytes, Findings> {
        read(dataset).await.map(|(_, component)| component)
    }

    /// Opens the dataset's component and checks both against each other. What is wrong comes all at once, each with its
    /// place in the dataset file.
    pub async fn examine(
        dataset: &Dataset,
        runtime: &Runtime,
        databases: &Connections,
    ) -> Result<(Plugin, Vec<Arc<OutputSchema>>), Findings> {
        let (text, component) = read(dataset).await?;
        connected(dataset, &text, databases)?;
        fit(dataset, &text, &component, runtime).await
    }

    /// The same for one batch: what stands in the places of its run comes with its message.
    pub(crate) fn placed(self: Arc<Self>, batch: &Batch) -> Result<Arc<Self>, BadPlace> {
        if self.dataset.run_paths().is_empty() {
            return Ok(self);
        }
        let dataset = self.dataset.placed(&batch.values)?;
        let outputs = self.outputs.iter().zip(&dataset.outputs);
        let outputs = outputs.map(|(schema, output)| {
            Arc::new(OutputSchema { target: output.target.clone(), ..OutputSchema::clone(schema) })
        });
        Ok(Arc::new(Self {
            outputs: outputs.collect(),
            plugin: self.plugin.clone(),
            settings: self.settings.clone(),
            sinks: self.sinks.clone(),
            databases: self.databases.clone(),
            release: self.release,
            behind: Vec::new(),
            dataset,
        }))
    }

    /// What tells this version from all others: its release, or where there is none its component.
    pub(crate) fn identity(&self) -> Digest {
        self.release.unwrap_or(self.plugin.digest)
    }

    /// Its version: the one that its file gives it, or else its component's.
    pub(crate) fn version(&self) -> String {
        let own = self.dataset.release.version.as_ref().map(ToString::to_string);
        own.unwrap_or_else(|| self.plugin.manifest.version.clone())
    }

    /// Why outputs would refuse its rows, as far as they can be asked: one sentence for each that does.
    pub(crate) async fn refusals(&self) -> Vec<String> {
        let mut refusals = Vec::new();
        for (sink, output) in self.sinks.iter().zip(&self.outputs) {
            if let Err(error @ SinkError::Refused(_)) = sink.ready(output).await {
                refusals.push(error.to_string());
            }
        }
        refusals
    }

    /// What its items and batches need.
    pub(crate) fn need(&self) -> Need {
        let sorts = |output: &&Arc<OutputSchema>| match &output.target {
            Target::Objects { layout, .. } => !layout.is_plain(),
            Target::Table { .. } => false,
        };
        let sorted = self.outputs.iter().filter(sorts).count() as u64;
        Need { held: sorted * SORTED, ..Need::of(&self.dataset.name, &self.dataset.plugin) }
    }

    /// Whether a batch may be shown before what is shown is recorded: all that is ever seen of it are rows of tables (no objects,
    /// and no report that is one), and a repeated one has the same rows. A database may give others the next time.
    pub(crate) fn needs_no_record(&self) -> bool {
        let tables = self.outputs.iter().all(|output| matches!(output.target, Target::Table { .. }));
        tables && self.dataset.map.reports.is_none() && self.dataset.grants.sql.is_empty()
    }

    /// How many of a batch's items may be rejected, in percent, before the batch fails.
    pub(crate) fn tolerated(&self) -> f64 {
        self.dataset.map.tolerated_rejected_percentage
    }

    /// Where the batch's full report is, if there is one.
    pub(crate) fn report_place(&self, batch: &Batch) -> Option<Location> {
        let prefix = self.dataset.map.reports.as_ref()?.resolve(&batch.values).ok()?;
        Some(prefix.with_key(format!("{}{}.jsonl", prefix.key, batch.id.object_name())))
    }

    /// What the items of this batch share.
    pub(crate) fn context(
        &self,
        batch: &Batch,
        started: SystemTime,
        objects: &Arc<dyn ObjectStore>,
        databases: &Arc<WatchedConnections>,
        metrics: Arc<dyn GuestMetrics>,
    ) -> BatchContext {
        let plugin = &self.dataset.plugin;
        BatchContext {
            dataset: self.dataset.name.as_str().into(),
            batch: batch.id.to_string().into(),
            batch_input: batch.batch_input.clone(),
            settings: self.settings.clone(),
            started,
            limits: Limits {
                memory: plugin.memory,
                timeout: plugin.timeout,
                max_output: plugin.max_output,
                max_log: plugin.max_log,
                instance: plugin.instance,
            },
            grants: self.dataset.grants.clone(),
            objects: objects.clone(),
            databases: databases.clone(),
            rows: Arc::new(Decoder(self.outputs.clone())),
            metrics,
        }
    }
}

/// Types a guest's rows by the columns of the output that it names.
struct Decoder(Vec<Arc<OutputSchema>>);

impl RowDecoder for Decoder {
    fn decode(&self, output: &str, rows: GuestRows<'_>) -> Result<(usize, arrow::array::RecordBatch), RowsRefused> {
        let found = self.0.iter().position(|schema| schema.name == output);
        let number = found.ok_or_else(|| {
            let names: Vec<&str> = self.0.iter().map(|schema| schema.name.as_str()).collect();
            RowsRefused::NoSuchOutput(format!("there is no output `{output}`; the dataset has {}", names.join(", ")))
        })?;
        let rows = match rows {
            GuestRows::JsonLines(bytes) => Rows::JsonLines(bytes),
            GuestRows::ArrowIpc(bytes) => Rows::ArrowIpc(bytes),
        };
        let refused = |why: String| RowsRefused::Invalid(format!("output `{output}`: {why}"));
        let rows = rows::decode(&self.0[number], rows).map_err(|bad| refused(bad.to_string()))?;
        // What the place would not take is the item's fault too, and is looked at here, where items run.
        sink::refusal(&self.0[number], &rows).map_err(refused)?;
        Ok((number, rows))
    }
}
