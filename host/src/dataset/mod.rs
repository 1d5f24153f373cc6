//! A dataset file, checked: what a run of the dataset does, here or in the cloud. Its keys are Step Functions' own words.
//!
//! The text becomes a [`Dataset`] in `parse`; nothing else in the host looks at TOML.

pub mod canonical;
pub mod check;
mod column;
pub mod findings;
mod layout;
mod limits;
mod load;
pub mod manifest;
mod map;
mod names;
mod notes;
mod output;
mod parse;
mod path;
mod places;
mod plugin;
mod prefix;
mod range;
mod read;
mod release;
pub mod schema;
mod scope;
mod slices;
mod spec;
mod stage;
mod template;
mod tree;
mod variables;

pub use self::column::{Column, ColumnType};
pub use self::findings::{Finding, Findings, Place, Position};
pub use self::layout::{Layout, Part, PartitionBy, SortBy};
pub(crate) use self::limits::MAX_FILE_NAME;
pub use self::load::MAX_FILE;
pub use self::manifest::{Manifest, OutputShape};
pub(crate) use self::map::DELIMITERS;
pub use self::map::{ItemReader, LoadAs, MAX_INPUT_BYTES_PER_BATCH, MapSpec};
pub(crate) use self::names::is_name;
pub use self::output::{CatalogName, Format, OutputSpec, PageCompression, Runs, Target, TextCompression};
pub use self::parse::{is_dataset, locate};
pub use self::places::{BadPlace, RunValues};
pub use self::plugin::{ComponentRef, Grants, InstanceLife, PluginSpec};
pub use self::prefix::Prefix;
pub use self::range::Range;
pub use self::release::{CanarySpec, Pin, ReleaseSpec, SampleObjects, SampleSpec};
pub use self::scope::Scope;
pub use self::slices::{Slices, TableName, TableSpec, WindowSpec};
pub use self::spec::Dataset;
pub use self::stage::{Each, HandOver, StageSpec};
pub use self::template::{Template, TemplateError};
pub use self::variables::{VariableError, Variables};
