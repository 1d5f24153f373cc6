//! Where components are compiled, and within which limits: the same for every command that opens one.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

/// `--cache`, `--compile-memory`, `--compile-time`
#[derive(Debug, Args)]
pub struct CompileArgs {
    /// Where compiled components are kept: a folder that only this user may write [default: ~/.cache/gristmill].
    #[arg(long, env = "GRISTMILL_CACHE", value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// How much memory compiling a component may take [default: 2 GiB, or what there is where that is less].
    #[arg(long, env = "GRISTMILL_COMPILE_MEMORY", value_name = "SIZE")]
    pub compile_memory: Option<ByteSize>,
    /// How much CPU time compiling a component may take, of all cores together.
    #[arg(long, env = "GRISTMILL_COMPILE_TIME", value_name = "TIME", default_value = "2m", value_parser = at_least_a_second)]
    pub compile_time: Duration,
}

/// `gristmill digest`, which only gristmill itself starts.
#[derive(Debug, Args)]
pub struct DigestArgs {
    /// The memory that it may take, in bytes.
    #[arg(long)]
    pub memory: u64,
    /// The CPU time that it may take, in seconds.
    #[arg(long)]
    pub cpu: u64,
}

fn at_least_a_second(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time < Duration::from_secs(1) { Err("compiling has at least 1s".into()) } else { Ok(time) }
}
