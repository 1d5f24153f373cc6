//! `gristmill items`: what a dataset's reader gives, as JSON lines.

use std::process::ExitCode;
use std::sync::Arc;

use futures::StreamExt as _;

use super::inputs::{objects, variables};
use super::listing::Listing;
use super::map::plan::{Given, items, read_input, source};
use super::output::{print, print_json_lines};
use crate::cli::{ItemsArgs, Out};
use crate::dataset::Dataset;
use crate::map::reader::{Item, Items, Source};
use crate::object::ObjectWriter;
use crate::object::folder::FolderStore;

/// How many bytes are written at once.
const WRITE: usize = 64 * 1024;

pub(super) async fn run(args: ItemsArgs) -> anyhow::Result<ExitCode> {
    let dataset = Dataset::load(&args.dataset, &variables(args.variables, &args.dataset)?)?;
    let input = read_input(&args.input)?;
    let source = source(&dataset, &Given::of(&dataset, &input))?;
    let store: Arc<dyn ObjectWriter> = match (&args.local, &source, &args.out) {
        // These are in the file or the input: nothing is read.
        (None, Source::Items(_) | Source::Range(_), None | Some(Out::File(_))) => Arc::new(FolderStore::new(".")),
        (local, ..) => objects(local.as_deref()).await?,
    };
    let items = items(&dataset, source, store.clone()).take(args.limit.unwrap_or(usize::MAX)).boxed();
    let Some(out) = &args.out else { return printed(items).await };
    let mut listing = Listing::begin(out, &store).await?;
    match written(items, &mut listing).await {
        Ok(count) => {
            listing.complete().await?;
            let items = if count == 1 { "item is" } else { "items are" };
            print(format_args!("{count} {items} in {out}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            listing.abort().await;
            Err(error)
        }
    }
}

/// Prints the items.
async fn printed(mut items: Items) -> anyhow::Result<ExitCode> {
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

/// Writes the items, and says how many there are.
async fn written(mut items: Items, listing: &mut Listing) -> anyhow::Result<u64> {
    let (mut text, mut count) = (String::new(), 0);
    while let Some(item) = items.next().await {
        text += &json_line(item?)?;
        count += 1;
        if text.len() >= WRITE {
            listing.write(std::mem::take(&mut text)).await?;
        }
    }
    listing.write(text).await?;
    Ok(count)
}

/// A newline within an item stands between its tokens, where it means nothing: a text has it as an escape.
fn json_line(item: Item) -> Result<String, serde_json::Error> {
    Ok(item.into_json()?.get().replace(['\n', '\r'], " ") + "\n")
}
