//! What the fuzz targets do, for both who runs them: libFuzzer (`fuzz_targets/`) and the host's tests, which run the seeds.

#[path = "../../tests/it/guest.rs"]
mod guest;
pub mod targets;
