//! Calls of AWS Glue, and what their faults mean.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::super::Table;
use super::super::partition::shown;
use crate::aws::json_call::{GLUE, JsonClient};
use crate::aws::{self, SdkConfig, ServiceError};

/// A run is over but for this, so that it may wait. Its calls come one after the other, and make no storm.
const CALLS: aws::Calls =
    aws::Calls { attempts: 10, adaptive: false, attempt: Duration::from_secs(30), whole: Duration::from_secs(180) };

/// What passes although its status says that it is the caller's fault.
const PASSING: [&str; 7] = [
    "ConcurrentModification",
    "FederationSourceRetryable",
    "InternalService",
    "OperationTimeout",
    "ResourceNotReady",
    "Throttl",
    "VersionMismatch",
];

/// AWS Glue.
#[derive(Clone, Debug)]
pub(super) struct Calls(JsonClient);

/// A call that failed for good, or one thing of many that a call was about.
#[derive(Debug)]
pub(super) struct Fault {
    code: String,
    refusal: bool,
    /// With the table and what to do.
    pub(super) sentence: String,
}

/// What became of one partition of a call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PartitionFault {
    /// `PartitionValueList` where partitions are updated.
    #[serde(alias = "PartitionValueList", default)]
    pub(super) partition_values: Vec<String>,
    #[serde(default)]
    error_detail: ErrorDetail,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ErrorDetail {
    error_code: Option<String>,
    error_message: Option<String>,
}

impl Calls {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self(JsonClient::new(&GLUE, &CALLS.limit(config), None, aws::retry_budget("data catalog")))
    }

    /// One call about a table. The body is what there is beside the names of the database and, where it is not given within, the table.
    pub(super) async fn ask(&self, table: &Table, name: &'static str, mut body: Value) -> Result<Value, Fault> {
        body["DatabaseName"] = table.database.as_str().into();
        if body.get("Name").is_none() && body.get("TableInput").is_none() {
            body["TableName"] = table.name.as_str().into();
        }
        self.0.call(name, &body).await.map_err(|error| {
            let fault = ServiceError::new(&error);
            let mut sentence = format!("table `{}`: {name} of AWS Glue: {}", table.full_name(), fault.message);
            if fault.is_denial() {
                sentence = format!("{sentence}; allow `glue:{name}` on the catalog, the database and the table");
            }
            Fault { refusal: fault.is_refusal(), code: fault.code, sentence }
        })
    }

    /// One call about some partitions: those that it did not do.
    pub(super) async fn ask_of_partitions(
        &self,
        table: &Table,
        name: &'static str,
        body: Value,
    ) -> Result<Vec<PartitionFault>, Fault> {
        let mut answer = self.ask(table, name, body).await?;
        let faults: Option<Vec<PartitionFault>> = serde_json::from_value(answer["Errors"].take()).unwrap_or_default();
        Ok(faults.unwrap_or_default())
    }
}

impl Fault {
    /// Whether it is called so.
    pub(super) fn is(&self, code: &str) -> bool {
        self.code == code
    }

    /// Whether somebody else was faster.
    pub(super) fn is_race(&self) -> bool {
        ["ConcurrentModification", "VersionMismatch"].iter().any(|code| self.code.contains(code))
    }

    /// Whether somebody has to change something.
    pub(super) fn is_refusal(&self) -> bool {
        self.refusal && !PASSING.iter().any(|code| self.code.contains(code))
    }
}

impl PartitionFault {
    /// Whether it is called so.
    pub(super) fn is(&self, code: &str) -> bool {
        self.error_detail.error_code.as_deref() == Some(code)
    }

    /// The same as of a whole call.
    pub(super) fn of(self, table: &Table, name: &str) -> Fault {
        let ErrorDetail { error_code, error_message } = self.error_detail;
        let code = error_code.unwrap_or_default();
        let sentence = format!(
            "table `{}`: partition {}: {name} of AWS Glue: {} ({code})",
            table.full_name(),
            shown(&self.partition_values),
            error_message.unwrap_or_else(|| "it does not say why".into())
        );
        // Somebody took it away in this moment: nothing is left to be changed.
        let vanished = code == "EntityNotFoundException";
        Fault { refusal: !vanished && !code.is_empty(), code, sentence }
    }
}
