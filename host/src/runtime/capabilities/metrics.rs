//! `metrics`: a guest's own numbers.

use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker};

use super::bindings::gristmill::plugin::metrics::{self as wit, Host};
use crate::runtime::{BatchContext, GuestMetrics};

/// Where an instance's numbers go.
pub(super) struct MetricsCtx(Arc<dyn GuestMetrics>);

impl MetricsCtx {
    pub(super) fn new(batch: &BatchContext) -> Self {
        Self(batch.metrics.clone())
    }
}

/// Offers the interface to the components of this linker.
pub(super) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    ctx: fn(&mut T) -> &mut MetricsCtx,
) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, HasSelf<MetricsCtx>>(linker, ctx)
}

impl Host for MetricsCtx {
    fn count(&mut self, name: String, value: u64) -> wasmtime::Result<()> {
        self.0.count(&name, value);
        Ok(())
    }

    fn observe(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        if value.is_finite() {
            self.0.observe(&name, value);
        }
        Ok(())
    }
}
