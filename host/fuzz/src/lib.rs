//! What the fuzz targets do, for both who runs them: libFuzzer (`fuzz_targets/`) and the host's tests, which run the seeds.

#[path = "../../tests/it/guest.rs"]
mod guest;
pub mod targets;

/// arrow-ipc and parquet assert where bytes are damaged in certain ways, and the host catches that. libFuzzer's own hook stops at every
/// panic, caught or not: to be called after it was set, by targets that read Arrow.
pub fn arrow_may_panic() {
    let stop = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let decoders = ["/arrow-", "/parquet-"];
        if !panic.location().is_some_and(|at| decoders.iter().any(|name| at.file().contains(name))) {
            stop(panic);
        }
    }));
}
