//! What a component says of itself.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;

use super::capabilities::types::{self, ColumnType as WitType};
use super::capabilities::{Guest, PluginPre, item_processor as wit};
use super::component::PluginError;
use super::cut::cut;
use super::store::{MAX_MESSAGE, OutOfTime, reason, store};
use super::time::ItemTime;
use super::{BatchContext, GuestMetrics, GuestRows, Limits, RowDecoder, RowsRefused};
use crate::dataset::{Column, ColumnType, Grants, InstanceLife, Manifest, OutputShape};
use crate::job::Item;
use crate::object::ObjectStore;

/// Asks a component what it is: without grants, with little memory and time.
pub(super) async fn describe(pre: &PluginPre<Guest>, io: &Handle) -> Result<Manifest, PluginError> {
    const LIMIT: Duration = Duration::from_secs(5);
    const MAX_MANIFEST: usize = 1 << 20;
    let late = || PluginError::Describe(format!("`describe` did not end within {LIMIT:?}"));
    let context = Arc::new(BatchContext {
        dataset: "".into(),
        batch: "describe".into(),
        batch_input: "null".into(),
        settings: "{}".into(),
        started: SystemTime::UNIX_EPOCH,
        limits: Limits {
            memory: 256 << 20,
            timeout: LIMIT,
            max_output: 0,
            max_log: 16 << 10,
            instance: InstanceLife::Item,
        },
        grants: Grants::default(),
        objects: Arc::new(Nothing),
        databases: Arc::default(),
        rows: Arc::new(Nothing),
        metrics: Arc::new(Nothing),
    });
    let describe = async {
        let nothing = Item { index: 0, body: "".into() };
        let mut store = store(pre, Guest::new(context, io.clone(), &nothing, ItemTime::start(LIMIT)));
        store.set_hostcall_fuel(MAX_MANIFEST);
        let instance = pre.instantiate_async(&mut store).await?;
        instance.gristmill_plugin_item_processor().call_describe(&mut store).await
    };
    match tokio::time::timeout(LIMIT, describe).await {
        Ok(Ok(manifest)) => manifest_of(manifest),
        Ok(Err(error)) if error.is::<OutOfTime>() => Err(late()),
        Ok(Err(error)) => Err(PluginError::Describe(cut(&reason(&error, MAX_MANIFEST), MAX_MESSAGE).to_owned())),
        Err(_) => Err(late()),
    }
}

fn manifest_of(manifest: wit::Manifest) -> Result<Manifest, PluginError> {
    let settings_schema = serde_json::from_str(&manifest.settings_schema)
        .map_err(|error| PluginError::Describe(format!("`settings-schema` is no JSON: {error}")))?;
    let column = |column: types::Column| Column {
        name: column.name,
        nullable: column.nullable,
        kind: match column.type_ {
            WitType::Boolean => ColumnType::Boolean,
            WitType::Int64 => ColumnType::Int64,
            WitType::Float64 => ColumnType::Float64,
            WitType::Text => ColumnType::Text,
            WitType::Date => ColumnType::Date,
            WitType::Timestamp => ColumnType::Timestamp,
            WitType::Json => ColumnType::Json,
        },
    };
    let output = |shape: types::OutputShape| OutputShape {
        name: shape.name,
        description: shape.description,
        columns: shape.columns.into_iter().map(column).collect(),
    };
    Ok(Manifest {
        name: manifest.name,
        version: manifest.version,
        description: manifest.description,
        settings_schema,
        outputs: manifest.outputs.into_iter().map(output).collect(),
    })
}

/// Takes the place of everything that `describe` must not touch.
struct Nothing;

impl RowDecoder for Nothing {
    fn decode(&self, _: &str, _: GuestRows<'_>) -> Result<(usize, arrow::array::RecordBatch), RowsRefused> {
        Err(RowsRefused::Invalid("`describe` emits nothing".into()))
    }
}

impl GuestMetrics for Nothing {
    fn count(&self, _: &str, _: u64) {}
    fn observe(&self, _: &str, _: f64) {}
}

#[async_trait::async_trait]
impl ObjectStore for Nothing {
    async fn open(&self, _: &crate::object::Location, _: u64) -> Opened {
        Err(nothing())
    }
    async fn read(
        &self,
        _: &crate::object::Location,
        _: &str,
        _: std::ops::Range<u64>,
    ) -> Result<bytes::Bytes, Denied> {
        Err(nothing())
    }
    async fn list(&self, _: &crate::object::Location, _: Option<&str>) -> Result<crate::object::Page, Denied> {
        Err(nothing())
    }
}

type Denied = crate::object::ObjectError;
type Opened = Result<(crate::object::Metadata, bytes::Bytes), Denied>;

fn nothing() -> Denied {
    Denied::Denied("`describe` reads nothing".into())
}
