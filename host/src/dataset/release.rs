//! What a dataset file says of its own versions: how long a run stays with one, how a canary is judged, what a version is
//! tried on.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::object::Location;
use crate::registry::Version;

/// `[release]`: how versions follow each other where they come from a registry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReleaseSpec {
    /// The dataset's own version; none is its component's. With one, a dataset file that changes alone is a version too.
    pub version: Option<Version>,
    /// How long a run stays with a version.
    pub pin: Pin,
    /// How a canary is judged.
    pub canary: CanarySpec,
}

/// How long a run stays with a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pin {
    /// All batches of one execution of the state machine run on the version that the first of them ran on.
    #[default]
    Run,
    /// Each batch runs on the version that is in use when it begins.
    Batch,
}

/// `[release.canary]`: what a canary may cost, beside the stable version in the same time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CanarySpec {
    /// How many items it must have done before it is judged. Default 100.
    pub min_items: u64,
    /// How many percent of its items more may fail, in percentage points. Default 1.
    pub tolerated_failure_percentage: f64,
    /// How many percent longer an item may take. Default 50.
    pub tolerated_slowdown_percentage: f64,
    /// After what time it becomes the stable version if nothing spoke against it. Default 10 min.
    pub promote_after: Duration,
}

impl Default for CanarySpec {
    fn default() -> Self {
        Self {
            min_items: 100,
            tolerated_failure_percentage: 1.0,
            tolerated_slowdown_percentage: 50.0,
            promote_after: Duration::from_secs(600),
        }
    }
}

/// `[sample]`: what a version is tried on before it is used. Every item has to succeed.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleSpec {
    /// The items.
    pub items: Vec<Value>,
    /// `BatchInput`; none takes `[map] batch_input` where that depends on no execution.
    pub batch_input: Option<Value>,
    /// The objects that the items read.
    pub objects: Option<SampleObjects>,
}

/// A folder that stands for objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleObjects {
    /// The folder, beside the dataset file.
    pub folder: PathBuf,
    /// The prefix that stands before its files' paths: `a/b.csv` is the object `s3://bucket/a/b.csv` of the prefix `s3://bucket/`.
    pub prefix: Location,
}
