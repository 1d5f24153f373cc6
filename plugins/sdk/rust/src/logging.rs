//! The `log` crate's macros, written to the host.

use log::{LevelFilter, Log, Metadata, Record};

use crate::bindings::wasi::logging::logging as host;

struct HostLog;

/// Lets `log::info!` and the others reach the host. The SDK does this before it calls the plugin.
pub(crate) fn init() {
    // The only error is that a logger is there already: with `instance = "batch"`, ours.
    if log::set_logger(&HostLog).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
}

impl Log for HostLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let level = match record.level() {
            log::Level::Error => host::Level::Error,
            log::Level::Warn => host::Level::Warn,
            log::Level::Info => host::Level::Info,
            log::Level::Debug => host::Level::Debug,
            log::Level::Trace => host::Level::Trace,
        };
        host::log(level, record.target(), &record.args().to_string());
    }

    fn flush(&self) {}
}
