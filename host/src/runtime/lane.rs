//! Runs one item after the other: instance, call, and what came of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::Store;

use super::capabilities::types;
use super::capabilities::{Guest, Plugin as Bindings};
use super::component::Plugin;
use super::cut::cut;
use super::store::{MAX_MESSAGE, fault, out_of_time, store, trap};
use super::time::ItemTime;
use super::{BatchContext, ItemFault, ItemRun};
use crate::dataset::InstanceLife;
use crate::job::{FailureKind, Item, error_names};

const MAX_CODE: usize = 64;
const MAX_ITEM_RESULT: usize = 4096;

/// Runs items of one batch, one at a time.
pub struct Lane {
    plugin: Arc<Plugin>,
    context: Arc<BatchContext>,
    kept: Option<Kept>,
}

/// An instance that outlives its item, with the permit to do so.
struct Kept {
    store: Store<Guest>,
    instance: Bindings,
    place: OwnedSemaphorePermit,
}

impl Lane {
    /// A lane for items of this batch.
    pub fn new(plugin: Arc<Plugin>, context: Arc<BatchContext>) -> Self {
        Self { plugin, context, kept: None }
    }

    /// Whether an instance waits for the next item.
    pub fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Ends the instance that waits for the next item, which then gets a new one.
    pub fn rest(&mut self) {
        self.kept = None;
    }

    /// Runs one item. Has to be polled on a runtime on which everything can wait for a busy guest.
    pub async fn run(&mut self, item: &Item) -> ItemRun {
        let (start, limit) = (Instant::now(), self.context.limits.timeout);
        // Taken out, so that an item that is given up in the middle takes its instance with it.
        let kept = self.kept.take();
        let time = ItemTime::start(limit);
        let mut result = tokio::select! {
            biased;
            result = self.attempt(kept, item, time.clone()) => result,
            () = time.over() => ItemRun::failed(out_of_time(limit)),
        };
        if let Err(fault) = &mut result.result {
            fault.message = cut(&fault.message, MAX_MESSAGE).to_owned();
        }
        result.took = start.elapsed();
        result
    }

    async fn attempt(&mut self, kept: Option<Kept>, item: &Item, time: ItemTime) -> ItemRun {
        let (mut store, instance, place) = match kept {
            Some(Kept { mut store, instance, place }) => {
                store.data_mut().next_item(item, time);
                (store, instance, Some(place))
            }
            None => {
                let guest = Guest::new(self.context.clone(), self.plugin.io.clone(), item, time);
                let mut store = store(&self.plugin.pre, guest);
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
            // A lane may wait long for its next slot, so that a permit is needed to keep the instance. Without one it
            // ends here.
            let place = place.or_else(|| self.plugin.kept.clone().try_acquire_owned().ok());
            self.kept = place.map(|place| Kept { store, instance, place });
        }
        ItemRun { result, rows, bytes_read, took: Duration::ZERO, memory }
    }
}

impl ItemRun {
    /// The outcome of an item that is not given to the plugin. The full report has the reason as its value.
    pub(crate) fn left_out(why: &str) -> Self {
        let value = serde_json::json!({"left_out": why}).to_string();
        Self { result: Ok(Some(value)), rows: Vec::new(), bytes_read: 0, took: Duration::ZERO, memory: 0 }
    }

    fn failed(fault: ItemFault) -> Self {
        Self { result: Err(fault), rows: Vec::new(), bytes_read: 0, took: Duration::ZERO, memory: 0 }
    }
}

fn guest_fault(failure: types::Failure) -> ItemFault {
    let (kind, fault) = match failure {
        types::Failure::Reject(fault) => (FailureKind::Rejected, fault),
        types::Failure::Retry(fault) => (FailureKind::Retryable, fault),
    };
    ItemFault { code: code(&fault.code), message: fault.message, kind }
}

/// A guest's code, as reports and metrics can take it. The host's own prefix is removed.
fn code(raw: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let code: String = raw.chars().filter(|c| allowed(*c)).take(MAX_CODE).collect();
    let code = code.trim_start_matches("Gristmill.");
    if code.is_empty() { "Unnamed".into() } else { code.into() }
}

fn item_result(value: Option<String>) -> Result<Option<String>, ItemFault> {
    let Some(value) = value else { return Ok(None) };
    if value.len() > MAX_ITEM_RESULT {
        let message = format!("`process` returned {} bytes; at most {MAX_ITEM_RESULT} fit the report", value.len());
        return Err(fault(error_names::BAD_OUTPUT, message));
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(&value) {
        // The report has one line per item. JSON has line breaks only between tokens, where a blank does as well.
        Ok(_) => Ok(Some(value.replace(['\n', '\r'], " "))),
        Err(error) => Err(fault(error_names::BAD_OUTPUT, format!("`process` returned what is no JSON: {error}"))),
    }
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
