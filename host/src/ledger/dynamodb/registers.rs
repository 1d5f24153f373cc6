//! Registers in the same table: an entry for each, which does not expire.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;

use super::DynamoLedger;
use super::entry::{entry, number, signed, text, unavailable};
use crate::aws::ServiceError;
use crate::ledger::LedgerError;
use crate::ledger::registers::{Register, Registers};

#[async_trait]
impl Registers for DynamoLedger {
    async fn register(&self, name: &str) -> Result<Option<Register>, LedgerError> {
        let request = self.client.get_item().table_name(&self.table).key("pk", AttributeValue::S(key(name)));
        let found = request.consistent_read(true).send().await;
        let Some(entry) = found.map_err(|error| unavailable(ServiceError::new(&error)))?.item else { return Ok(None) };
        let revision = signed(&entry, "revision")?.unsigned_abs();
        Ok(Some(Register { text: text(&entry, "kept")?.clone(), revision }))
    }

    async fn write_register(&self, name: &str, kept: &str, behind: u64) -> Result<bool, LedgerError> {
        let update = self
            .update(key(name))
            .update_expression("SET kept = :kept, revision = :next")
            .condition_expression("revision = :behind OR (:behind = :zero AND attribute_not_exists(pk))")
            .expression_attribute_values(":kept", AttributeValue::S(kept.into()))
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":behind", number(behind))
            .expression_attribute_values(":next", number(behind + 1));
        match entry(update).await? {
            Ok(_) => Ok(true),
            // An attempt whose answer was lost had got through.
            Err(entry) => Ok(!entry.is_empty()
                && signed(&entry, "revision")?.unsigned_abs() == behind + 1
                && text(&entry, "kept")? == kept),
        }
    }
}

fn key(name: &str) -> String {
    format!("register#{name}")
}
