//! One thing that was looked at, and what is wrong with it.

use crate::job::{FailureKind, error_names};
use crate::runtime::ItemFault;

/// What an item's rows must not depend on: when it shows, and what to look for.
pub(super) const AGAIN: (&str, &str) = (
    "when it runs again",
    "rows may depend on the item, the settings and the bytes that are read, and on nothing else: look for the order of a set or a \
     hash map",
);
pub(super) const ORDER: (&str, &str) = (
    "after another item",
    "something is kept from item to item, such as a variable of the module or a cache: make it new for each item",
);
pub(super) const CLOCK: (&str, &str) = (
    "at another time",
    "it reads the clock, which stands at the start of the batch: take the time from the item or from `batch_input`",
);

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What was looked for.
    pub check: String,
    /// In which item or output.
    pub subject: String,
    /// What is wrong with it.
    pub flaw: Option<Flaw>,
}

impl Checked {
    /// What came of a check.
    pub fn of(check: &str, subject: &str, flaw: Option<Flaw>) -> Self {
        Self { check: check.into(), subject: subject.into(), flaw }
    }
}

/// What is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// What happened.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Flaw {
    /// An item of the sample has no result.
    pub(super) fn failed(fault: &ItemFault) -> Self {
        // Of a trap, the backtrace of a component without names says nothing: the log has what the plugin said last.
        let what = fault.message.lines().next().unwrap_or_default();
        let help = match fault.code.as_str() {
            "ObjectDenied" => "grant the prefix in the dataset file: `[grants] read = [\"s3://BUCKET/PREFIX/\"]`",
            "ObjectNotFound" => "put the object under `[sample] folder`, at its key behind `[sample] prefix`",
            "ObjectInvalid" => {
                "look at the URI that is opened, and at the object: `ctx.uri(item)` or `call.uri()` makes one of an item"
            }
            "BadHeader" => "ask for a column that the file has, or mend the file",
            "BadSettings" => "give the setting in `[settings]` of the dataset file, or a default in the plugin",
            "BadBatchInput" => "give `[sample] batch_input`, or a `[map] batch_input` that needs no execution",
            error_names::BAD_OUTPUT if what.starts_with("`process` returned") => {
                "return a few numbers as JSON: what is more belongs to an output"
            }
            error_names::BAD_OUTPUT | "NoSuchOutput" | "OutputInvalid" => {
                "emit what the output's columns say, or change them where they are declared"
            }
            error_names::OUTPUT_LIMIT => "emit less for one item, or allow more: `[plugin] max_output`",
            error_names::TIMEOUT => {
                "look for a loop that does not end; give it a smaller object, or more time: `[plugin] timeout`"
            }
            error_names::MEMORY_LIMIT | "MemoryError" => {
                "read in pieces instead of whole, or give it more: `[plugin] memory`"
            }
            "BadReport" => "return what JSON can hold: numbers, texts, lists and dicts of them",
            "FileNotFoundError" | "PermissionError" => "there are no files: objects are read with `ctx.open(uri)`",
            "ModuleNotFoundError" | "ImportError" => {
                "imports run once, when the component is built: later there is nothing to import from"
            }
            "RuntimeError" if what.contains("thread") => {
                "there are no threads: items run beside each other by themselves"
            }
            "KeyError" if what.contains("<frozen os>") => {
                "there is no environment: give values in `[settings]` of the dataset file, and read them from `ctx.settings`"
            }
            error_names::TRAP if what.contains("exit status") => "return a failure instead of ending the process",
            error_names::TRAP if what.contains("stack") => "look for a function that calls itself without an end",
            error_names::TRAP => {
                "it panicked, or ran out of something: its last words are in the log above, with their line"
            }
            _ => {
                "every item of a sample has to succeed: mend the plugin or the sample. What a bad item answers is for a unit test"
            }
        };
        let verdict = match fault.kind {
            FailureKind::Retryable => "it asks for another try",
            _ => "it was rejected",
        };
        Self { message: format!("{verdict}: {}: {what}", fault.code), help: help.into() }
    }
}
