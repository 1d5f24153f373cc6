//! The SDK's client as this room needs it, and which of its errors are worth another attempt.

use std::collections::HashMap;
use std::error::Error;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{KeyType, PutRequest, TableStatus, WriteRequest};

use super::item::Item;
use super::{Description, Fault, Tables};

#[async_trait]
impl Tables for Client {
    async fn describe(&self, table: &str) -> Result<Description, Fault> {
        let answer = self.describe_table().table_name(table).send().await.map_err(fault)?;
        let table = answer.table.ok_or_else(|| Fault::Retry("the answer describes no table".into()))?;
        match table.table_status {
            Some(TableStatus::Creating) => return Err(Fault::Retry("it is being created".into())),
            Some(TableStatus::Deleting) => return Err(Fault::Refused("it is being deleted".into())),
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

    async fn write(&self, table: &str, items: Vec<Item>) -> Result<Vec<Item>, Fault> {
        let puts = items.into_iter().map(|item| {
            // The builder fails only without an item.
            let put = PutRequest::builder()
                .set_item(Some(item))
                .build()
                .map_err(|error| Fault::Refused(error.to_string()))?;
            Ok(WriteRequest::builder().put_request(put).build())
        });
        let requests = HashMap::from([(table.to_owned(), puts.collect::<Result<Vec<_>, Fault>>()?)]);
        let answer = self.batch_write_item().set_request_items(Some(requests)).send().await.map_err(fault)?;
        let unprocessed = answer.unprocessed_items.unwrap_or_default().into_values().flatten();
        Ok(unprocessed.filter_map(|request| request.put_request).map(|put| put.item).collect())
    }
}

/// Throttling and silence pass; everything else that DynamoDB answers is about the request and stays.
fn fault<E: ProvideErrorMetadata + Error + 'static>(error: SdkError<E, HttpResponse>) -> Fault {
    let SdkError::ServiceError(service) = &error else {
        return Fault::Retry(DisplayErrorContext(&error).to_string());
    };
    let (code, message) = (service.err().code().unwrap_or("an error without a name"), service.err().message());
    let why = message.map_or_else(|| code.to_owned(), |message| format!("{code}: {message}"));
    match code {
        _ if service.raw().status().is_server_error() => Fault::Retry(why),
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded"
        | "LimitExceededException"
        | "ReplicatedWriteConflictException"
        | "RequestTimeout"
        // Credentials are renewed by whoever lends them.
        | "ExpiredTokenException"
        | "ExpiredToken" => Fault::Retry(why),
        "ResourceNotFoundException" => Fault::Refused(format!(
            "there is no such table in this account and region: make it, or change `table` in the dataset file ({why})"
        )),
        _ => Fault::Refused(why),
    }
}
