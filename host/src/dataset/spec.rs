//! A dataset file, checked: one field per table of the file.

use std::path::PathBuf;

use serde_json::Value;

use super::{
    Grants, ItemReader, MapSpec, OutputSpec, Place, PluginSpec, Prefix, ReleaseSpec, Runs, SampleSpec, StageSpec,
    TableSpec, Target, WindowSpec,
};

/// A dataset file that is valid by itself. Whether its component fits is known only after that was opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// Its name: `[A-Za-z0-9][A-Za-z0-9_-]{0,62}`; that of a stage has the stage's name behind a dot.
    pub name: String,
    /// The file it came from.
    pub file: PathBuf,
    /// The component and its limits.
    pub plugin: PluginSpec,
    /// What the plugin is configured with: a JSON object.
    pub settings: Value,
    /// What the plugin may reach.
    pub grants: Grants,
    /// The Distributed Map.
    pub map: MapSpec,
    /// Where rows go.
    pub outputs: Vec<OutputSpec>,
    /// How versions follow each other.
    pub release: ReleaseSpec,
    /// What a version is tried on.
    pub sample: Option<SampleSpec>,
    /// What it is in its file, if that has several stages.
    pub stage: Option<StageSpec>,
}

impl Dataset {
    /// The name of the dataset that the file is about: its own, or that of the dataset that it is a stage of.
    pub fn of(&self) -> &str {
        self.stage.as_ref().map_or(&self.name, |stage| &stage.of)
    }

    /// The outputs that the end of a stage has to do with: what others take, and what takes the place of earlier runs' objects. If
    /// there is any, a run of the stage ends with a message that concludes it.
    pub fn concluded(&self) -> impl Iterator<Item = (&OutputSpec, &Prefix)> {
        let stage = self.stage.as_ref();
        self.outputs.iter().filter_map(move |output| match &output.target {
            Target::Objects { prefix, .. } => {
                let taken = stage?.hands_over.iter().any(|takes| takes.output == output.name);
                let of_window = stage?.planned_by.is_some();
                let concluded = taken || of_window || output.runs() != Runs::Append || output.catalog.is_some();
                concluded.then_some((output, prefix))
            }
            Target::Table { .. } => None,
        })
    }

    /// The table of a database whose slices are the items.
    pub fn table(&self) -> Option<&TableSpec> {
        match &self.map.item_reader {
            ItemReader::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The window of the table that a run takes.
    pub fn window(&self) -> Option<&WindowSpec> {
        self.table()?.window.as_ref()
    }

    /// The place below which the slices of a run are written.
    pub fn plan_prefix(&self) -> Option<&Prefix> {
        self.outputs.iter().find_map(|output| match &output.target {
            Target::Objects { prefix, .. } => Some(prefix),
            Target::Table { .. } => None,
        })
    }

    /// Where its tables stand in the file.
    pub fn place(&self) -> Place {
        match &self.stage {
            Some(stage) => Place::default().key("stage").index(stage.index),
            None => Place::default(),
        }
    }
}
