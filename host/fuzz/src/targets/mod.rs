//! Everything that parses what strangers send, each as a function of bytes. It says whether they were taken, so that seeds
//! can be held to what their names say; what must never be is a panic.
//!
//! A refusal is short whatever was refused ([`short`]): it ends in logs, in Step Functions' answers and on screens. What
//! a user's own file says wrong may be told in its own words ([`in_proportion`]).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken promise should stop the fuzzer")]
#![allow(missing_docs, unreachable_pub, reason = "a module of two crates")]

mod dataset;
mod guest_calls;
mod inventory;
mod item;
mod manifest;
mod message;
mod registry;
mod rows;
mod store;
mod table;
mod trust;

pub use dataset::dataset;
pub use guest_calls::{component, compressed, host_calls};
pub use item::item;
pub use manifest::manifest;
pub use message::message;
pub use registry::registry;
pub use rows::rows;
pub use table::table;
pub use trust::trust;

/// A target: takes bytes, panics if a promise is broken, and says whether the bytes were taken.
pub type Target = fn(&[u8]) -> bool;

/// All targets by their names: that of the binary and of the folder of seeds.
pub const TARGETS: &[(&str, Target)] = &[
    ("component", component),
    ("compressed", compressed),
    ("dataset", dataset),
    ("host_calls", host_calls),
    ("item", item),
    ("manifest", manifest),
    ("message", message),
    ("registry", registry),
    ("rows", rows),
    ("table", table),
    ("trust", trust),
];

/// The longest sentence that says what is wrong with something, in bytes.
const SENTENCE: usize = 4096;

/// Holds a refusal to its size.
#[track_caller]
fn short(refusal: &impl std::fmt::Display) {
    let text = refusal.to_string();
    assert!(!text.is_empty() && text.len() <= SENTENCE, "a refusal of {} bytes: {text:.200}", text.len());
}

/// Holds a refusal of a user's own file to the file's size.
#[track_caller]
fn in_proportion(refusal: &impl std::fmt::Display, data: &[u8]) {
    let length = refusal.to_string().len();
    assert!(length <= SENTENCE + 4 * data.len(), "a refusal of {length} bytes for {}", data.len());
}

/// The first line, and what follows it.
fn first_line(data: &[u8]) -> Option<(&str, &[u8])> {
    let end = data.iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&data[..end]).ok()?, &data[end + 1..]))
}
