//! What a command is given: files, and the values of variables.

use std::path::Path;

use crate::cli::SetArgs;
use crate::dataset::{Dataset, MAX_FILE, Variables};
use crate::files;

/// The most that is read of a file which the user names, in bytes: items, an input, a report.
pub(super) const MAX_GIVEN: u64 = 1 << 30;

/// The values of a dataset file's variables. What is set and has no place in the file is a mistake: it would change nothing, and
/// what was meant would keep another value.
pub(super) fn variables(args: SetArgs, dataset: &Path) -> anyhow::Result<Variables> {
    let file = Dataset::file(dataset);
    // A file that cannot be read is somebody else's to complain about.
    if let Ok(text) = files::read_text(&file, MAX_FILE) {
        let names = args.set.iter().map(|(name, _)| name.as_str());
        if let Some(why) = Variables::without_place(names, &text) {
            anyhow::bail!("--set: {}: {why}", file.display());
        }
    }
    Ok(args.variables())
}
