//! How versions come into use: a registry is followed, its releases are opened and tried on their samples, and a new version shows
//! itself as a canary or a shadow before all batches run on it.

mod canary;
pub mod compare;
mod fetched;
mod head_memory;
mod judge;
mod known;
mod pace;
mod releases;
mod sample;
mod shadow;
mod watch;

pub use self::fetched::Fetched;
pub use self::known::KnownReleases;
pub use self::pace::PERIOD;
pub use self::releases::{Releases, find_release};
pub use self::sample::{LIMIT as SAMPLE_LIMIT, SampleFailed, SampleStore, batch as sample_batch, test as try_sample};
pub use self::shadow::{ShadowReport, Shadows};
pub use self::watch::Watch;
