//! One item after the other: instance, call, and what came of it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::ResourceTableError;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap, UpdateDeadline};

use super::capabilities::types::{self, ColumnType as WitType};
use super::capabilities::{Guest, MAX_HANDLES, Plugin as Bindings, PluginPre, item_processor as wit};
use super::component::{Plugin, PluginError};
use super::cut::cut;
use super::{BatchContext, Fault, GuestMetrics, GuestRows, ItemRun, Limits, RowDecoder, RowsRefused};
use crate::dataset::{Column, ColumnType, Grants, InstanceLife, Manifest, OutputShape};
use crate::job::{FailureKind, Item, error_names};
use crate::object::ObjectStore;

/// What one call may make the host allocate for strings and lists that it takes over: more than any honest emission.
const HOSTCALL_FUEL: usize = 64 << 20;
const MAX_CODE: usize = 64;
const MAX_MESSAGE: usize = 4096;
const MAX_ITEM_RESULT: usize = 4096;

/// Runs items of one batch, one at a time.
pub struct Lane {
    plugin: Arc<Plugin>,
    context: Arc<BatchContext>,
    kept: Option<Kept>,
}

/// An instance that outlives its item, and its place among those that may.
struct Kept {
    store: Store<Guest>,
    instance: Bindings,
    place: OwnedSemaphorePermit,
}

/// The guest was interrupted because its time is over.
#[derive(Debug, thiserror::Error)]
#[error("its time is over")]
struct OutOfTime;

impl Lane {
    /// A lane for items of this batch.
    pub fn new(plugin: Arc<Plugin>, context: Arc<BatchContext>) -> Self {
        Self { plugin, context, kept: None }
    }

    /// Whether an instance waits for the next item.
    pub fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Ends the instance that waits for the next item: that one has a new one.
    pub fn rest(&mut self) {
        self.kept = None;
    }

    /// Runs one item. Must be polled on a runtime where nothing waits that cannot wait for a busy guest.
    pub async fn run(&mut self, item: &Item) -> ItemRun {
        let (start, limit) = (Instant::now(), self.context.limits.timeout);
        // An item that is given up in the middle takes its instance with it.
        let kept = self.kept.take();
        let mut result = match tokio::time::timeout(limit, self.attempt(kept, item)).await {
            Ok(result) => result,
            Err(_) => ItemRun::failed(out_of_time(limit)),
        };
        if let Err(fault) = &mut result.result {
            fault.message = cut(&fault.message, MAX_MESSAGE).to_owned();
        }
        result.took = start.elapsed();
        result
    }

    async fn attempt(&mut self, kept: Option<Kept>, item: &Item) -> ItemRun {
        let (mut store, instance, place) = match kept {
            Some(Kept { mut store, instance, place }) => {
                store.data_mut().next_item(item);
                (store, instance, Some(place))
            }
            None => {
                let mut store = store(&self.plugin.pre, Guest::new(self.context.clone(), self.plugin.io.clone(), item));
                match self.plugin.pre.instantiate_async(&mut store).await {
                    Ok(instance) => (store, instance, None),
                    Err(error) => return ItemRun::failed(trap(&store, &error)),
                }
            }
        };
        let context = &self.context;
        let call = types::Context {
            dataset: context.dataset.to_string(),
            batch_input: context.batch_input.to_string(),
            settings: context.settings.to_string(),
        };
        let wit_item = types::Item { index: item.index, body: item.body.to_string() };
        let returned = instance.gristmill_plugin_item_processor().call_process(&mut store, &call, &wit_item).await;
        let guest = store.data_mut();
        let bytes_read = guest.objects.bytes_read();
        let (result, trapped) = match returned {
            Err(error) => (Err(trap(&store, &error)), true),
            Ok(Err(failure)) => (Err(guest.output.take_refusal().unwrap_or_else(|| guest_fault(failure))), false),
            Ok(Ok(value)) => (guest.output.take_refusal().map_or_else(|| item_result(value), Err), false),
        };
        let memory = store.data().memory.used();
        let rows = if result.is_ok() { store.data_mut().output.take_rows() } else { Vec::new() };
        if context.limits.instance == InstanceLife::Batch && !trapped {
            // A lane may wait long for its next slot. Without a place the instance ends here, and the next item has a new one.
            let place = place.or_else(|| self.plugin.kept.clone().try_acquire_owned().ok());
            self.kept = place.map(|place| Kept { store, instance, place });
        }
        ItemRun { result, rows, bytes_read, took: Duration::ZERO, memory }
    }
}

impl ItemRun {
    /// What an item comes to that the plugin is not asked about. The full report has the reason as its value.
    pub(crate) fn left_out() -> Self {
        let value = r#"{"left_out":"it marks a folder and has no bytes"}"#.into();
        Self { result: Ok(Some(value)), rows: Vec::new(), bytes_read: 0, took: Duration::ZERO, memory: 0 }
    }

    fn failed(fault: Fault) -> Self {
        Self { result: Err(fault), rows: Vec::new(), bytes_read: 0, took: Duration::ZERO, memory: 0 }
    }
}

fn store(pre: &PluginPre<Guest>, guest: Guest) -> Store<Guest> {
    let mut store = Store::new(pre.engine(), guest);
    store.limiter(|guest| &mut guest.memory);
    store.set_epoch_deadline(1);
    // The time is looked at here too: a thread on which every guest is busy comes to its timers late.
    store.epoch_deadline_callback(|store| match store.data().deadline {
        Some(deadline) if Instant::now() >= deadline => Err(OutOfTime.into()),
        _ => Ok(UpdateDeadline::Yield(1)),
    });
    store.set_hostcall_fuel(HOSTCALL_FUEL);
    store
}

fn fault(code: &str, message: String) -> Fault {
    Fault { code: code.into(), message, kind: FailureKind::Rejected }
}

fn out_of_time(limit: Duration) -> Fault {
    let limit = humantime::format_duration(limit);
    fault(error_names::TIMEOUT, format!("the item was stopped after {limit}; `[plugin] timeout` sets the limit"))
}

/// A trap costs its item. What it was about is worth a name of its own.
fn trap(store: &Store<Guest>, error: &wasmtime::Error) -> Fault {
    if error.is::<OutOfTime>() {
        return out_of_time(store.data().batch.limits.timeout);
    }
    if error.is::<PoolConcurrencyLimitError>() {
        let message = format!("the host had no room for one more instance: {error}");
        return Fault { code: error_names::HOST_FAULT.into(), message, kind: FailureKind::Retryable };
    }
    if store.data().memory.exceeded() {
        return fault(
            error_names::MEMORY_LIMIT,
            format!(
                "the item wanted more memory than the {} bytes of `[plugin] memory`",
                store.data().batch.limits.memory
            ),
        );
    }
    fault(error_names::TRAP, format!("the plugin trapped: {}\n{error:?}", reason(error, HOSTCALL_FUEL)))
}

/// What a trap was about, for the plugin's author.
fn reason(error: &wasmtime::Error, fuel: usize) -> String {
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return trap.to_string();
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        return format!("it holds more than {MAX_HANDLES} handles: it has to drop those that it needs no more");
    }
    let cause = error.root_cause().to_string();
    // The error's type is private to wasmtime; a test holds these words.
    if cause.contains("fuel allocated for hostcalls") {
        return format!(
            "it handed over more than {} at once: several smaller blocks are fine",
            bytesize::ByteSize(fuel as u64)
        );
    }
    cause
}

fn guest_fault(failure: types::Failure) -> Fault {
    let (kind, fault) = match failure {
        types::Failure::Reject(fault) => (FailureKind::Rejected, fault),
        types::Failure::Retry(fault) => (FailureKind::Retryable, fault),
    };
    Fault { code: code(&fault.code), message: fault.message, kind }
}

/// A guest's code as reports and metrics can bear it; the host's own prefix is not the guest's to use.
fn code(raw: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let code: String = raw.chars().filter(|c| allowed(*c)).take(MAX_CODE).collect();
    let code = code.trim_start_matches("Gristmill.");
    if code.is_empty() { "Unnamed".into() } else { code.into() }
}

fn item_result(value: Option<String>) -> Result<Option<String>, Fault> {
    let Some(value) = value else { return Ok(None) };
    if value.len() > MAX_ITEM_RESULT {
        let message = format!("`process` returned {} bytes; at most {MAX_ITEM_RESULT} fit the report", value.len());
        return Err(fault(error_names::BAD_OUTPUT, message));
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(&value) {
        // JSON has line breaks between tokens only, and the report has one line for each item.
        Ok(_) => Ok(Some(value.replace(['\n', '\r'], " "))),
        Err(error) => Err(fault(error_names::BAD_OUTPUT, format!("`process` returned what is no JSON: {error}"))),
    }
}

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
        rows: Arc::new(Nothing),
        metrics: Arc::new(Nothing),
    });
    let describe = async {
        let nothing = Item { index: 0, body: "".into() };
        let mut store = store(pre, Guest::new(context, io.clone(), &nothing));
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

/// Stands for everything that `describe` must not touch.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_code_is_fit_for_reports_and_never_the_hosts_own(
            raw in prop_oneof![any::<String>(), "(Gri?stmill[. \n]){0,4}[A-Za-z. \u{e9}-]{0,80}"]
        ) {
            let code = code(&raw);
            prop_assert!(!code.starts_with("Gristmill."), "{code}");
            prop_assert!((1..=MAX_CODE).contains(&code.len()), "{code}");
            prop_assert!(code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{code}");
        }

        #[test]
        fn a_good_code_is_left_as_it_is(good in "[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}") {
            prop_assume!(!good.starts_with("Gristmill."));
            prop_assert_eq!(code(&good), good);
        }

        #[test]
        fn a_result_stays_the_same_json_on_one_line(value in "[\\[\\]{}\":,\\\\n\n\r 0-9a-z]{0,40}") {
            if let Ok(Some(kept)) = item_result(Some(value.clone())) {
                prop_assert!(!kept.contains(['\n', '\r']));
                let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
                prop_assert_eq!(parse(&kept), parse(&value));
            }
        }
    }
}
