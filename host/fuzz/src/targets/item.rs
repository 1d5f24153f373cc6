//! Where items come from and what becomes of them: the readers of CSV, JSON and JSON lines, and item selectors.

use std::sync::{Arc, LazyLock};

use futures::TryStreamExt as _;
use gristmill::dataset::Template;
use gristmill::job::item_name;
use gristmill::map::reader::{self, Source};
use gristmill::map::select::Selector;
use gristmill::object::ObjectStore;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::runtime::Runtime;

use super::inventory::Inventory;
use super::store::One;
use super::{first_line, in_proportion, short};

/// What is decompressed of one object at most, in bytes: who goes on reading a bomb has time for nothing else.
const ENOUGH: usize = 4 << 20;

/// The first line says what the rest is: `csv`, `json` or `jsonl`, with `.gz`, `.zst` or `.bz2` after it, a space and a
/// delimiter or pointer; `inventory`, with a manifest in one line and a file; or `select`, with an array of a selector, the
/// state's input and an item.
pub fn item(data: &[u8]) -> bool {
    let Some((line, rest)) = first_line(data) else { return false };
    // A parameter is of the dataset file, and no stranger's.
    let (format, parameter) = line.split_once(' ').unwrap_or((line, ""));
    if line.len() > 200 {
        return false;
    }
    let key = format!("dir/x.{format}");
    let at = format!("s3://b/{key}").parse();
    let source = match (format.split('.').next(), at) {
        (Some("select"), _) => return select(rest),
        (Some("inventory"), _) => return inventory(rest),
        (Some("csv"), Ok(at)) => Source::Csv { at, headers: None, delimiter: parameter.chars().next().unwrap_or(',') },
        (Some("json"), Ok(at)) => Source::Json { at, pointer: parameter.into() },
        (Some("jsonl"), Ok(at)) => Source::JsonLines { at },
        _ => return false,
    };
    let Some(items) = read(source, One::new(&key, rest)) else { return false };
    // What was read is JSON, and as JSON lines it is the same again.
    let lines: String =
        items.iter().filter(|item| !item.get().contains('\n')).map(|item| format!("{item}\n")).collect();
    let again = read(Source::JsonLines { at: "s3://b/dir/x".parse().unwrap() }, One::new("dir/x", lines.as_bytes()));
    let again: String = again.expect("items are JSON lines").iter().map(|item| format!("{item}\n")).collect();
    assert_eq!(again, lines);
    true
}

fn read(source: Source, store: impl ObjectStore + 'static) -> Option<Vec<Box<RawValue>>> {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    RUNTIME.block_on(async {
        let mut items = reader::read(Arc::new(store), source);
        let (mut read, mut size) = (Vec::new(), 0);
        loop {
            match items.try_next().await {
                Ok(Some(item)) if size < ENOUGH => {
                    let item = item.into_json().expect("a name and a JSON text are JSON");
                    assert!(item_name(item.get()).is_none_or(|name| name.len() <= 1024));
                    size += item.get().len();
                    read.push(item);
                }
                Ok(_) => return Some(read),
                Err(error) => {
                    short(&error);
                    return None;
                }
            }
        }
    })
}

/// The items of an inventory are objects with keys.
fn inventory(rest: &[u8]) -> bool {
    let Some((manifest, file)) = first_line(rest) else { return false };
    let source = Source::Inventory { manifest: "s3://b/dir/manifest.json".parse().unwrap() };
    let Some(items) = read(source, Inventory::new(manifest, file)) else { return false };
    for item in items {
        assert!(serde_json::from_str::<Value>(item.get()).unwrap()["Key"].is_string(), "{item}");
    }
    true
}

fn select(text: &[u8]) -> bool {
    type Parts = (Value, Box<RawValue>, Box<RawValue>);
    let Ok((template, input, item)) = serde_json::from_slice::<Parts>(text) else { return false };
    let template = Template(template);
    let execution = "arn:aws:states:eu-west-1:1:execution:d:run";
    match Selector::new(&template, &input, execution).apply(7, &item.into()) {
        Ok(made) => serde_json::from_str::<&RawValue>(made.get()).is_ok(),
        Err(error) => {
            in_proportion(&error, text);
            false
        }
    }
}
