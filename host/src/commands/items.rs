//! `gristmill items`: what a dataset's reader gives, as JSON lines.

use std::process::ExitCode;
use std::sync::Arc;

use futures::StreamExt as _;

use super::inputs::variables;
use super::map::plan::{items, read_input, source};
use super::output::print_json_lines;
use crate::aws;
use crate::cli::ItemsArgs;
use crate::dataset::Dataset;
use crate::map::reader::{Item, Source};
use crate::object::ObjectStore;
use crate::object::folder::FolderStore;
use crate::object::s3::S3Store;

/// How many bytes are written at once.
const WRITE: usize = 64 * 1024;

pub(super) async fn run(args: ItemsArgs) -> anyhow::Result<ExitCode> {
    let dataset = Dataset::load(&args.dataset, &variables(args.variables, &args.dataset)?)?;
    let source = source(&dataset, &read_input(&args.input)?)?;
    let store: Arc<dyn ObjectStore> = match (&args.local, &source) {
        (Some(folder), _) => {
            anyhow::ensure!(folder.is_dir(), "--local {}: there is no such folder", folder.display());
            Arc::new(FolderStore::new(folder.join("s3")))
        }
        // These are in the file or the input: nothing is read.
        (None, Source::Items(_)) => Arc::new(FolderStore::new(".")),
        (None, _) => {
            let config = aws::load().await;
            anyhow::ensure!(
                config.region().is_some(),
                "no AWS region is known: set AWS_REGION, or a region in the profile that AWS_PROFILE names; or read copies with \
                 `--local DIR`"
            );
            Arc::new(S3Store::new(&config))
        }
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
