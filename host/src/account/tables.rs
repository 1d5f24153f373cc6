//! Tables: those of outputs, and the ledger's.

use std::collections::HashMap;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, TimeToLiveStatus, WriteRequest};

use super::asked::{Asked, Verdict};
use super::permission::allowed;
use crate::dataset::Target;
use crate::ledger::dynamodb::DynamoLedger;
use crate::sink::dynamodb::DynamoDbSink;
use crate::sink::{OutputSchema, Sink as _};

/// A key that no row and no batch has.
const NOBODY: &str = "gristmill-check";

/// Whether each output's table is there, has its key, and may be written.
pub(super) async fn outputs(config: &SdkConfig, outputs: &[Arc<OutputSchema>]) -> Vec<Asked> {
    let (sink, client) = (DynamoDbSink::new(config), Client::new(config));
    let mut asked = Vec::new();
    for output in outputs {
        let Target::Table { table, key } = &output.target else { continue };
        let verdict = match sink.ready(output).await {
            Err(error) => Verdict::Problem(error.to_string()),
            Ok(()) => match may_write(&client, table).await {
                Ok(()) => Verdict::Fine(format!(
                    "it has the key of output `{}`, {}, and may be written",
                    output.name,
                    key.join(", ")
                )),
                Err(problem) => problem,
            },
        };
        asked.push(Asked::new(format!("table {table}"), verdict));
    }
    asked
}

/// Tries a BatchWriteItem that deletes a row under a key that the table does not have. DynamoDB refuses that, but checks the
/// permission first.
async fn may_write(client: &Client, table: &str) -> Result<(), Verdict> {
    let delete = DeleteRequest::builder().key(NOBODY, AttributeValue::S(NOBODY.into())).build();
    let delete = delete.map_err(|error| Verdict::Problem(error.to_string()))?;
    let requests = HashMap::from([(table.to_owned(), vec![WriteRequest::builder().delete_request(delete).build()])]);
    let written = client.batch_write_item().set_request_items(Some(requests)).send().await;
    allowed(written, "dynamodb:BatchWriteItem").map(|_| ())
}

/// Whether the ledger's table is there, has its key, may be read and written, and forgets old entries.
pub(super) async fn ledger(config: &SdkConfig, table: &str) -> Vec<Asked> {
    let (what, client) = (format!("ledger {table}"), Client::new(config));
    if let Err(error) = DynamoLedger::new(config, table).probe().await {
        return vec![Asked::new(what, Verdict::Problem(error.to_string()))];
    }
    let pk = || AttributeValue::S(NOBODY.into());
    let get = client.get_item().table_name(table).key("pk", pk()).send().await;
    // The write has a condition that no entry meets.
    let put = client.put_item().table_name(table).item("pk", pk()).condition_expression("attribute_exists(pk)");
    let verdict = allowed(get, "dynamodb:GetItem").and(allowed(put.send().await, "dynamodb:PutItem"));
    let fine = |_| Verdict::Fine("it has the key `pk`, and may be read and written".into());
    let mut asked = vec![Asked::new(&what, verdict.map_or_else(|problem| problem, fine))];
    let lives = client.describe_time_to_live().table_name(table).send().await;
    let verdict = match lives.ok().and_then(|answer| answer.time_to_live_description) {
        // It is no problem, because workers do not need the permission.
        None => Verdict::NotAsked("whether it has time to live (`dynamodb:DescribeTimeToLive`)".into()),
        Some(lives) => {
            let on = matches!(lives.time_to_live_status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling));
            match lives.attribute_name.as_deref() {
                Some("expires") if on => Verdict::Fine("time to live is on for `expires`".into()),
                _ => Verdict::Hint("switch on time to live for the attribute `expires`, or it grows for ever".into()),
            }
        }
    };
    asked.push(Asked::new(what, verdict));
    asked
}
