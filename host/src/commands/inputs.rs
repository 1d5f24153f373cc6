//! What a command is given: files, and the values of variables.

use std::path::Path;

use crate::cli::SetArgs;
use crate::dataset::{Dataset, MAX_FILE, Variables};
use crate::files;

/// The largest file that is read where the user names one (items, an input, a report), in bytes.
pub(super) const MAX_GIVEN: u64 = 1 << 30;

/// The values of a dataset file's variables. A `--set` that the file does not use is an error: most likely its name is
/// misspelt, and the variable that was meant would keep another value.
pub(super) fn variables(args: SetArgs, dataset: &Path) -> anyhow::Result<Variables> {
    let file = Dataset::file(dataset);
    // A file that cannot be read is reported where it is loaded.
    if let Ok(text) = files::read_text(&file, MAX_FILE) {
        let names = args.set.iter().map(|(name, _)| name.as_str());
        if let Some(why) = Variables::without_place(names, &text) {
            anyhow::bail!("--set: {}: {why}", file.display());
        }
    }
    Ok(args.variables())
}
