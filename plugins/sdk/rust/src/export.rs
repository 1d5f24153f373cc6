//! From a plugin's two functions to the component's exports.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::gristmill::plugin::types;
use crate::{Call, Failure, logging};

/// Makes a component of two functions: `describe: fn() -> Manifest` and
/// `process: fn(Call<Settings, Item, BatchInput>) -> Result<Report, Failure>`.
///
/// The report is anything serde can write; it becomes the item's entry in the batch's report (at most 4 KiB), and `()`
/// means none. Use it once, at the root of a crate with `crate-type = ["cdylib"]`.
#[macro_export]
macro_rules! export {
    ($describe:path, $process:path) => {
        // A native library has no use for the exports; it only keeps the functions from being unused.
        #[cfg(not(target_family = "wasm"))]
        const _: () = {
            let _ = ($describe, $process);
        };

        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
        const _: () = {
            use $crate::__private::{Guest, types};

            struct Component;

            impl Guest for Component {
                fn describe() -> types::Manifest {
                    $describe().into()
                }

                fn process(context: types::Context, item: types::Item) -> Result<Option<String>, types::Failure> {
                    $crate::__private::run($process, context, item)
                }
            }

    $crate::__private::export_bindings!(Component with_types_in $crate::bindings);
        };
    };
}

/// Decodes, calls, encodes.
pub fn run<S, I, B, R>(
    process: fn(Call<S, I, B>) -> Result<R, Failure>,
    context: types::Context,
    item: types::Item,
) -> Result<Option<String>, types::Failure>
where
    S: DeserializeOwned,
    I: DeserializeOwned,
    B: DeserializeOwned,
    R: Serialize,
{
    logging::init();
    let report = process(Call::new(context, &item)?)?;
    let json = serde_json::to_string(&report)
        .map_err(|error| Failure::reject("BadReport", format!("the plugin's report is no JSON: {error}")))?;
    Ok((json != "null").then_some(json))
}

/// What the expansion of [`export!`](crate::export) needs. No part of the API.
#[doc(hidden)]
pub mod __private {
    pub use super::run;
    pub use crate::bindings::export_bindings;
    pub use crate::bindings::exports::gristmill::plugin::item_processor::Guest;
    pub use crate::bindings::gristmill::plugin::types;
}
