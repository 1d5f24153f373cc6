//! Items from where the dataset says they are (`ItemReader`): a lazy stream of JSON texts in bounded memory.
//!
//! The formats are plain functions over a `BufRead`; they run on a thread of their own and pause while nobody takes
//! their items.

mod csv;
mod format;
mod inventory;
mod item;
mod items;
mod json;
mod json_lines;
mod kind;
mod list;
mod load;
mod object;
mod rows;
mod source;

use std::io::BufRead;
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

pub use self::format::MAX_ITEM_BYTES;
use self::format::{Emit, Stop};
pub use self::item::Item;
pub use self::items::{Items, ReadError};
pub use self::source::Source;
use crate::object::{Location, ObjectStore};

/// Reads the items. To be called within a tokio runtime.
pub fn read(store: Arc<dyn ObjectStore>, source: Source) -> Items {
    match source {
        Source::ListObjects(prefix) => list::objects(store, prefix),
        Source::Load { at, as_ } => on_a_thread(move |runtime, emit| load::read(runtime, &store, at, &as_, emit)),
        Source::Csv { at, headers, delimiter } => {
            parse(store, at, move |input, emit| csv::read(input, headers, delimiter, emit))
        }
        Source::Json { at, pointer } => parse(store, at, move |input, emit| json::read(input, &pointer, emit)),
        Source::Step { at: None, .. } => stream::empty().boxed(),
        Source::JsonLines { at } | Source::Step { at: Some(at), .. } => {
            parse(store, at, |input, emit| json_lines::read(input, emit))
        }
        Source::Inventory { manifest } => {
            on_a_thread(move |runtime, emit| inventory::read(runtime, &store, &manifest, emit))
        }
        Source::Parquet { at } => on_a_thread(move |runtime, emit| rows::of_file(runtime, &store, &at, emit)),
        Source::AthenaRows { manifest } => {
            on_a_thread(move |runtime, emit| rows::of_manifest(runtime, &store, &manifest, emit))
        }
        Source::Items(items) => stream::iter(items).map(Ok).boxed(),
        Source::Range(range) => stream::iter(range.items().map(items::of_value)).boxed(),
    }
}

/// How many bytes of items go from the thread to the stream at once. One item at a time would cost more than parsing it.
const HANDOVER_BYTES: usize = 64 * 1024;

/// Runs a format's function over an object.
fn parse<F>(store: Arc<dyn ObjectStore>, at: Location, format: F) -> Items
where
    F: FnOnce(&mut dyn BufRead, &mut Emit<'_>) -> Result<(), Stop> + Send + 'static,
{
    on_a_thread(move |runtime, emit| {
        let done = object::open(runtime, store, &at).and_then(|mut input| format(&mut input, emit));
        done.map_err(|stop| ReadError::of(stop, &at))
    })
}

/// Runs what gives items on a thread of its own. Its error is none if it stopped because nobody takes them any more.
fn on_a_thread<F>(read: F) -> Items
where
    F: FnOnce(&Handle, &mut Emit<'_>) -> Result<(), Option<ReadError>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel::<Result<Vec<Item>, ReadError>>(1);
    tokio::task::spawn_blocking({
        let runtime = Handle::current();
        move || {
            let (mut ready, mut bytes) = (Vec::new(), 0);
            let mut emit = |item: Item| {
                bytes += item.bytes();
                ready.push(item);
                if bytes >= HANDOVER_BYTES {
                    bytes = 0;
                    sender.blocking_send(Ok(std::mem::take(&mut ready))).map_err(|_| Stop::Gone)?;
                }
                Ok(())
            };
            let done = read(&runtime, &mut emit);
            // The items before an error are good ones. A receiver that is gone wants neither them nor the error.
            if sender.blocking_send(Ok(ready)).is_ok()
                && let Some(error) = done.err().flatten()
            {
                let _ = sender.blocking_send(Err(error));
            }
        }
    });
    stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) })
        .flat_map(|handed| match handed {
            Ok(items) => stream::iter(items).map(Ok).left_stream(),
            Err(error) => stream::iter([Err(error)]).right_stream(),
        })
        .boxed()
}

#[cfg(test)]
mod tests;
