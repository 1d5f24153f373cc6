//! `LOAD_AND_FLATTEN`: what is in the objects of a listing, one object after the other.

use std::sync::Arc;

use futures::StreamExt as _;
use tokio::runtime::Handle;

use super::format::Emit;
use super::items::ReadError;
use super::{csv, json, json_lines, list, object, rows};
use crate::dataset::LoadAs;
use crate::object::{Location, ObjectStore};

/// Reads each object under the prefix as if it were read alone.
pub(super) fn read(
    runtime: &Handle,
    store: &Arc<dyn ObjectStore>,
    prefix: Location,
    as_: &LoadAs,
    emit: &mut Emit<'_>,
) -> Result<(), Option<ReadError>> {
    let mut objects = list::found(store.clone(), prefix);
    while let Some(object) = runtime.block_on(objects.next()) {
        one(runtime, store, &object?.location, as_, emit)?;
    }
    Ok(())
}

fn one(
    runtime: &Handle,
    store: &Arc<dyn ObjectStore>,
    at: &Location,
    as_: &LoadAs,
    emit: &mut Emit<'_>,
) -> Result<(), Option<ReadError>> {
    let open = || object::open(runtime, store.clone(), at);
    let read = match as_ {
        LoadAs::Csv { headers, delimiter } => {
            open().and_then(|mut input| csv::read(&mut input, headers.clone(), *delimiter, emit))
        }
        LoadAs::Json { pointer } => open().and_then(|mut input| json::read(&mut input, pointer, emit)),
        LoadAs::JsonLines => open().and_then(|mut input| json_lines::read(&mut input, emit)),
        LoadAs::Parquet => return rows::of_file(runtime, store, at, emit),
    };
    read.map_err(|stop| ReadError::of(stop, at))
}
