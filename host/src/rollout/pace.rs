//! How often a registry is asked, and how long it may take.

use std::time::Duration;

/// Between two looks at the registry. With a look that takes half a second, a new head is noticed within 2 s.
pub const PERIOD: Duration = Duration::from_millis(1500);

/// How long the registry may take for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
