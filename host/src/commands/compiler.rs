//! What opens components for a command: with the cache of this user, and in a process of its own.

use std::fmt::Display;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Handle;

use super::machine::memory;
use crate::cli::{CompileArgs, DigestArgs};
use crate::files;
use crate::registry::MAX_BLOB;
use crate::runtime::{Bounds, Digester, Plugin, Runtime, RuntimeConfig, digest_for_parent};
use crate::text;

/// How much longer than its CPU time compiling may take where others want the CPU too.
const PATIENCE: u32 = 5;

/// A runtime for so many items at once, where compiling may take so much memory in all.
pub(super) fn runtime(slots: usize, args: &CompileArgs, memory: Option<u64>) -> anyhow::Result<Runtime> {
    let cache = cache(args);
    if cache.is_none() {
        tracing::warn!("there is no home for compiled components: each start compiles anew without `--cache DIR`");
    }
    let (bounds, at_once) = bounds(args, memory);
    let program = Digester::this_program().context("the path of this program is unknown")?;
    let runtime = Runtime::new(&RuntimeConfig { slots, cache, io: Handle::current() })?;
    Ok(runtime.digesting_with(Digester::new(program, bounds, at_once)))
}

/// The same with the memory that the machine or the container has.
pub(super) fn runtime_here(slots: usize, args: &CompileArgs) -> anyhow::Result<Runtime> {
    runtime(slots, args, memory(None))
}

/// Opens the component that the user named. Gives its bytes too.
pub(super) async fn open_file(file: &Path, args: &CompileArgs) -> anyhow::Result<(Vec<u8>, Plugin)> {
    let bytes = files::read_given(file, MAX_BLOB).with_context(|| file.display().to_string())?;
    let runtime = runtime_here(1, args)?;
    let plugin =
        with_notice(&file.display(), runtime.open(&bytes)).await.with_context(|| file.display().to_string())?;
    Ok((bytes, plugin))
}

/// Opens a component. If that takes long, a terminal is told why. A file is not: what is written to it must not depend on how
/// busy the machine is.
pub(super) async fn with_notice<T>(component: &impl Display, open: impl Future<Output = T>) -> T {
    const LONG: Duration = Duration::from_secs(1);
    let name = component.to_string();
    // A task of its own: compiling keeps this one's thread busy.
    let notice = tokio::spawn(async move {
        tokio::time::sleep(LONG).await;
        if std::io::stderr().is_terminal() {
            eprintln!("compiling {}: the first time takes a while", text::line(&name));
        }
    });
    let opened = open.await;
    notice.abort();
    opened
}

/// What one compiler may take, and how many run at once: two if both fit into half of the memory, so that a slow component
/// does not hold up the others.
fn bounds(args: &CompileArgs, memory: Option<u64>) -> (Bounds, usize) {
    let default = Bounds::default();
    let memory = memory.unwrap_or(u64::MAX);
    let each = args.compile_memory.map_or(default.memory.min(memory), |size| size.0);
    let bounds = Bounds { memory: each, cpu: args.compile_time, time: args.compile_time.saturating_mul(PATIENCE) };
    (bounds, if each <= memory / 4 { 2 } else { 1 })
}

/// Where compiled components are kept: where the user says, or where this user's programs keep what can be made again (XDG Base
/// Directory Specification). None without a home.
pub(super) fn cache(args: &CompileArgs) -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let of_user =
        || Some(set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?.join("gristmill"));
    args.cache.clone().or_else(of_user)
}

/// `gristmill digest`: the process in which components are compiled. It is asked through stdin.
pub(super) fn digest(args: &DigestArgs) -> anyhow::Result<ExitCode> {
    digest_for_parent(args.memory, args.cpu).context("`gristmill digest` is started by gristmill itself")?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use bytesize::ByteSize;

    use super::*;

    #[test]
    fn a_compiler_takes_no_more_than_there_is_and_two_no_more_than_half() {
        const GIB: u64 = 1 << 30;
        let args = |memory: Option<u64>| CompileArgs {
            cache: None,
            compile_memory: memory.map(ByteSize),
            compile_time: Duration::from_secs(60),
        };
        let bounds = |given, memory| {
            let (bounds, at_once) = bounds(&args(given), memory);
            assert_eq!((bounds.cpu, bounds.time), (Duration::from_secs(60), Duration::from_secs(300)));
            (bounds.memory, at_once)
        };
        assert_eq!(bounds(None, None), (2 * GIB, 2));
        assert_eq!(bounds(None, Some(16 * GIB)), (2 * GIB, 2));
        assert_eq!(bounds(None, Some(7 * GIB)), (2 * GIB, 1));
        assert_eq!(bounds(None, Some(GIB / 2)), (GIB / 2, 1));
        assert_eq!(bounds(Some(GIB), Some(4 * GIB)), (GIB, 2));
        assert_eq!(bounds(Some(4 * GIB), Some(GIB)), (4 * GIB, 1), "who says so is believed");
    }
}
