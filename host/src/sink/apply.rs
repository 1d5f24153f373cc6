//! How an effect is carried out.

use super::effect::Effect;
use super::error::{SinkError, object_error};
use super::lease_check::LeaseCheck;
use super::stores::TableSink;
use crate::object::ObjectWriter;

impl Effect {
    /// Carries it out, as long as the lease holds.
    pub async fn apply(
        &self,
        objects: &dyn ObjectWriter,
        tables: &dyn TableSink,
        lease: &LeaseCheck,
    ) -> Result<(), SinkError> {
        let work = async {
            match self {
                Self::Put(rows) => tables.put(rows, lease).await,
                Self::List(upload) | Self::Complete(upload) => objects.complete(upload).await.map_err(object_error),
                Self::Remove(at) => objects.delete(at).await.map_err(object_error),
            }
        };
        lease.during(work).await
    }
}
