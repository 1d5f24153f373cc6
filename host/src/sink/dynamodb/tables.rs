//! DynamoDB as this room needs it.

use std::time::Duration;

use async_trait::async_trait;

use super::item::Item;

/// The two requests that this room makes, answered by the SDK's client or by a table of a test.
#[async_trait]
pub(super) trait Tables: Send + Sync + 'static {
    async fn describe(&self, table: &str) -> Result<Description, TableError>;

    /// BatchWriteItem with puts. Gives back the items that DynamoDB did not process.
    async fn write(&self, table: &str, items: Vec<Item>) -> Result<Vec<Item>, TableError>;

    /// Lets time pass between attempts.
    async fn pause(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

/// A table that exists: its key's attributes in order, each with its type, `S`, `N` or `B`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Description {
    pub(super) key: Vec<(String, String)>,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TableError {
    /// Throttled, or no answer.
    Retry(String),
    /// It would fail again.
    Refused(String),
}

impl std::fmt::Display for Description {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key: Vec<_> = self.key.iter().map(|(name, kind)| format!("`{name}` ({kind})")).collect();
        f.write_str(&key.join(", "))
    }
}
