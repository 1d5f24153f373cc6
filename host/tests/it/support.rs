//! What the subjects share.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the project, from its root.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A plugin that `make plugins` built. A test that needs one fails without it: skipping would look like passing.
pub(crate) fn plugin(name: &str) -> PathBuf {
    let file = project(&format!("plugins/{name}/{name}.wasm"));
    assert!(file.is_file(), "{} is missing: run `make plugins` first", file.display());
    file
}

/// A program that ends, at once, when its standard input does: a test that is killed leaves none behind.
pub(crate) fn tied(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", r#""$0" "$@" & read -r _; kill -9 $!; wait"#]).arg(program);
    command
}
