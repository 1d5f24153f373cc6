//! What a fleet agrees on, in the same table: an entry for each agreement, and one for each sum.

use std::time::SystemTime;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;

use super::DynamoLedger;
use super::entry::{entry, expires, number, signed, text};
use crate::ledger::LedgerError;
use crate::ledger::fleet::{Fleet, Tally};

#[async_trait]
impl Fleet for DynamoLedger {
    async fn agree(&self, key: &str, proposal: &str, now: SystemTime) -> Result<String, LedgerError> {
        let update = self
            .update(format!("agreed#{key}"))
            .update_expression("SET agreed = if_not_exists(agreed, :proposal), expires = :expires")
            .expression_attribute_values(":proposal", AttributeValue::S(proposal.into()))
            .expression_attribute_values(":expires", expires(now));
        let entry = entry(update).await?.unwrap_or_default();
        text(&entry, "agreed").cloned()
    }

    async fn tally(&self, key: &str, more: Tally, now: SystemTime) -> Result<Tally, LedgerError> {
        let update = self
            .update(format!("tally#{key}"))
            .update_expression(
                "ADD batches :batches, items_run :items, failed :failed, micros :micros SET expires = :expires",
            )
            .expression_attribute_values(":batches", number(more.batches))
            .expression_attribute_values(":items", number(more.items))
            .expression_attribute_values(":failed", number(more.failed))
            .expression_attribute_values(":micros", number(more.micros))
            .expression_attribute_values(":expires", expires(now));
        let entry = entry(update).await?.unwrap_or_default();
        let count = |name| signed(&entry, name).map(i64::unsigned_abs);
        Ok(Tally {
            batches: count("batches")?,
            items: count("items_run")?,
            failed: count("failed")?,
            micros: count("micros")?,
        })
    }
}
