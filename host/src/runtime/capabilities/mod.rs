//! What a guest can call. Each capability is one file or folder here, and has
//!
//! - a context: what the host keeps of it for one instance, with `next_item` if an item must not see what the one before left;
//! - the functions of its interface in `wit/`, as the `Host` traits of [`bindings`] ask for them;
//! - one `add_to_linker`, which is told where a store's data has the context.
//!
//! No capability knows the store's data ([`Guest`]). None knows another one either, but for `wasi`, whose standard streams are
//! lines of `logging`; `tables`, which reads what `objects` grants and has a note for `logging`; and `sql`, which has the words of
//! `tables`, and counts what it reads with `objects`.
//!
//! To add one, write a file like `metrics.rs`, or a folder like `objects/` if it has handles. Give [`Guest`] its context, call its
//! `add_to_linker` in [`add_to_linker`], and name it in [`offered`].

mod bindings;
mod guest;
mod logging;
mod metrics;
mod objects;
mod output;
mod sql;
mod tables;
mod wasi;

use wasmtime::component::{HasData, Linker};

pub(super) use self::bindings::exports::gristmill::plugin::item_processor;
pub(super) use self::bindings::gristmill::plugin::types;
pub(super) use self::bindings::{Plugin, PluginPre};
pub(super) use self::guest::{Guest, MAX_HANDLES};

/// The contract's version, as in the names of its interfaces.
pub(super) const CONTRACT: &str = "0.1.0";

/// Offers every capability to the components of this linker.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    types::add_to_linker::<Guest, Types>(linker, |_| Types)?;
    objects::add_to_linker(linker, Guest::objects)?;
    tables::add_to_linker(linker, Guest::tables)?;
    sql::add_to_linker(linker, Guest::sql)?;
    output::add_to_linker(linker, |guest| &mut guest.output)?;
    metrics::add_to_linker(linker, |guest| &mut guest.metrics)?;
    logging::add_to_linker(linker, |guest| &mut guest.logging)?;
    wasi::add_to_linker(linker)
}

/// The words of the contract, an interface without functions.
struct Types;

impl HasData for Types {
    type Data<'a> = Self;
}

impl types::Host for Types {}

/// Whether this host runs components of this version of the contract: additions within 0.1 break nobody.
pub(super) fn compatible(version: &str) -> bool {
    version.starts_with("0.1.")
}

/// Whether the host offers an interface of this name. Linking checks afterwards that its functions are the expected
/// ones.
pub(super) fn offered(name: &str) -> bool {
    const OURS: [&str; 6] = ["types", "objects", "tables", "sql", "output", "metrics"];
    const WASI: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];
    let Some((interface, version)) = name.split_once('@') else { return false };
    match interface.split_once('/') {
        Some(("gristmill:plugin", interface)) => OURS.contains(&interface) && compatible(version),
        Some(("wasi:logging", _)) => version == "0.1.0-draft",
        Some((package, _)) => {
            package.strip_prefix("wasi:").is_some_and(|package| WASI.contains(&package)) && version.starts_with("0.2.")
        }
        None => false,
    }
}
