//! Which batch it is.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Which batch this is, however often it is delivered: the child workflow's execution and the state that sent it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BatchId {
    /// The child execution's ARN (`$$.Execution.Id`).
    pub execution: String,
    /// The name of the state that waits (`$$.State.Name`).
    pub state: String,
}

impl BatchId {
    /// The ledger's key.
    pub fn key(&self) -> String {
        format!("{}#{}", self.execution, self.state)
    }

    /// The child execution's own name, the last part of its ARN: for people, not unique.
    pub fn name(&self) -> &str {
        self.execution.rsplit(':').next().unwrap_or_default()
    }

    /// A short name that is safe in an object key, the same for all deliveries, and different for each batch. It has the child
    /// execution's own name for people, and a part of the key's SHA-256 because that name alone is not unique.
    pub fn object_name(&self) -> String {
        let name: String = self
            .name()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' })
            .take(64)
            .collect();
        format!("{name}-{}", &hex::encode(Sha256::digest(self.key()))[..12])
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn object_names_are_safe_and_distinct(a in ".{0,80}", b in ".{0,80}") {
            let name = |execution: &str| BatchId { execution: execution.into(), state: "s".into() }.object_name();
            prop_assert!(name(&a).chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
            prop_assert_eq!(name(&a) == name(&b), a == b);
        }
    }
}
