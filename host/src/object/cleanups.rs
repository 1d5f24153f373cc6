//! What goes on behind a batch that was given up: the removal of what it had begun to write.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Removals under way, and uploads that are being begun, which nobody may want any more once they have a name. Whoever lets go
/// of a batch's message waits for them first: afterwards nobody knows of them.
///
/// They are those of all batches of the store, so that a busy one may be waited for in vain.
#[derive(Clone, Debug, Default)]
pub struct Cleanups(TaskTracker);

impl Cleanups {
    /// Runs a removal, or nothing when the process ends: a rule of the bucket is the last resort.
    pub fn run(&self, removal: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = Handle::try_current() {
            self.0.spawn_on(removal, &runtime);
        }
    }

    /// Waits until none is under way, but no longer than this.
    pub async fn done(&self, patience: Duration) {
        self.0.close();
        if tokio::time::timeout(patience, self.0.wait()).await.is_err() {
            tracing::debug!("uploads are still being begun or removed");
        }
    }
}
