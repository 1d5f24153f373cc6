//! `gristmill items`: what a dataset's reader gives, as JSON lines.

use std::process::ExitCode;
use std::sync::Arc;

use futures::StreamExt as _;

use super::inputs::{objects, variables};
use super::map::plan::{items, read_input, source};
use super::output::print_json_lines;
use crate::cli::ItemsArgs;
use crate::dataset::Dataset;
use crate::map::reader::{Item, Source};
use crate::object::ObjectStore;
use crate::object::folder::FolderStore;

/// How many bytes are written at once.
const WRITE: usize = 64 * 1024;

pub(super) async fn run(args: ItemsArgs) -> anyhow::Result<ExitCode> {
    let dataset = Dataset::load(&args.dataset, &variables(args.variables, &args.dataset)?)?;
    let source = source(&dataset, &read_input(&args.input)?)?;
    let store: Arc<dyn ObjectStore> = match (&args.local, &source) {
        // These are in the file or the input: nothing is read.
        (None, Source::Items(_)) => Arc::new(FolderStore::new(".")),
        (local, _) => objects(local.as_deref()).await?,
    };
    let mut items = items(&dataset, source, store).take(args.limit.unwrap_or(usize::MAX));
    let mut text = String::new();
    while let Some(item) = items.next().await {
        match item {
            Ok(item) => text += &json_line(item)?,
            Err(error) => {
                // The items before it are good ones.
                print_json_lines(&text)?;
                return Err(error.into());
            }
        }
        // Nobody may be reading any more (`| head`).
        if text.len() >= WRITE && !print_json_lines(&std::mem::take(&mut text))? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    print_json_lines(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// A newline within an item stands between its tokens, where it means nothing: a text has it as an escape.
fn json_line(item: Item) -> Result<String, serde_json::Error> {
    Ok(item.into_json()?.get().replace(['\n', '\r'], " ") + "\n")
}
