//! A guest's own numbers.

use super::bindings::gristmill::plugin::metrics::Host;
use super::guest::Guest;

impl Host for Guest {
    fn count(&mut self, name: String, value: u64) -> wasmtime::Result<()> {
        self.context.metrics.count(&name, value);
        Ok(())
    }

    fn observe(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        if value.is_finite() {
            self.context.metrics.observe(&name, value);
        }
        Ok(())
    }
}
