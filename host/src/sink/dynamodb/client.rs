//! The SDK's client as this room needs it, and which of its errors are worth another attempt.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{KeyType, PutRequest, TableStatus, WriteRequest};

use super::item::Item;
use super::tables::{Description, TableError, Tables};
use crate::aws::{self, Calls};

/// Few attempts, because `write.rs` repeats what is left unprocessed, throttled or without an answer. The client also holds its
/// calls back while a table is throttled.
const CALLS: Calls =
    Calls { attempts: 3, adaptive: true, attempt: Duration::from_secs(10), whole: Duration::from_secs(20) };

pub(super) fn connect(config: &SdkConfig) -> Client {
    let builder = Builder::from(&CALLS.limit(config))
        .retry_partition(aws::retry_budget("tables"))
        .interceptor(aws::OnlyWhile)
        .interceptor(aws::Attempts::of("tables"))
        .retry_classifier(aws::LapsedCredentials);
    Client::from_conf(builder.build())
}

#[async_trait]
impl Tables for Client {
    async fn describe(&self, table: &str) -> Result<Description, TableError> {
        let answer = self.describe_table().table_name(table).send().await.map_err(table_error)?;
        let table = answer.table.ok_or_else(|| TableError::Retry("the answer describes no table".into()))?;
        match table.table_status {
            Some(TableStatus::Creating) => return Err(TableError::Retry("it is being created".into())),
            Some(TableStatus::Deleting) => return Err(TableError::Refused("it is being deleted".into())),
            _ => {}
        }
        let attributes = table.attribute_definitions.unwrap_or_default();
        let mut schema = table.key_schema.unwrap_or_default();
        schema.sort_by_key(|element| element.key_type != KeyType::Hash);
        let key = schema.into_iter().map(|element| {
            let kind = attributes.iter().find(|attribute| attribute.attribute_name == element.attribute_name);
            let kind = kind.map_or("?", |attribute| attribute.attribute_type.as_str()).to_owned();
            (element.attribute_name, kind)
        });
        Ok(Description { key: key.collect() })
    }

    async fn write(&self, table: &str, items: Vec<Item>) -> Result<Vec<Item>, TableError> {
        let puts = items.into_iter().map(|item| {
            // The builder fails only without an item.
            let put = PutRequest::builder()
                .set_item(Some(item))
                .build()
                .map_err(|error| TableError::Refused(error.to_string()))?;
            Ok(WriteRequest::builder().put_request(put).build())
        });
        let requests = HashMap::from([(table.to_owned(), puts.collect::<Result<Vec<_>, TableError>>()?)]);
        let answer = self.batch_write_item().set_request_items(Some(requests)).send().await.map_err(table_error)?;
        let unprocessed = answer.unprocessed_items.unwrap_or_default().into_values().flatten();
        Ok(unprocessed.filter_map(|request| request.put_request).map(|put| put.item).collect())
    }
}

fn table_error<E: ProvideErrorMetadata + Error + 'static>(error: SdkError<E, HttpResponse>) -> TableError {
    let fault = aws::ServiceError::new(&error);
    match &*fault.code {
        "ResourceNotFoundException" => TableError::Refused(format!(
            "there is no such table in this account and region: make it, or change `table` in the dataset file ({})",
            fault.message
        )),
        // A table that is being changed is ready in a moment, and so is a row that several replicas of a table write at once.
        "LimitExceededException" | "ReplicatedWriteConflictException" => TableError::Retry(fault.message),
        _ if fault.is_refusal() => TableError::Refused(fault.message),
        _ => TableError::Retry(fault.message),
    }
}
