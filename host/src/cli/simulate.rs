//! What is asked of a simulated fleet.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::simulate::BatchTime;

const EXIT_CODES: &str = "\
Exit codes:
    0  all batches came to an answer, and none waited longer than its heartbeat
    1  some did not
    2  the command line, the policy or the log is wrong";

/// `gristmill simulate`
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct SimulateArgs {
    /// How the fleet follows its queue: a CloudFormation template with a scalable target, its policies and their alarms.
    #[arg(long, value_name = "TEMPLATE", required_unless_present = "tasks", help_heading = "Policy")]
    pub policy: Option<PathBuf>,
    /// Another value for a parameter of the template.
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = pair, requires = "policy", help_heading = "Policy")]
    pub parameters: Vec<(String, String)>,
    /// A fleet of so many tasks that never changes.
    #[arg(long, value_name = "N", conflicts_with = "policy", value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "Policy")]
    pub tasks: Option<u32>,
    /// How many tasks the state machine itself asks for before its map begins.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Policy")]
    pub wake: u32,

    /// How many items there are.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..), help_heading = "Load")]
    pub items: u64,
    /// How many items a batch has.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "Load")]
    pub items_per_batch: u32,
    /// How long a batch takes, in seconds: `30`, `20..60`, `exponential:MEAN` or `lognormal:MEDIAN,FACTOR`.
    #[arg(long, value_name = "TIME", default_value = "30", help_heading = "Load")]
    pub batch_seconds: BatchTime,
    /// Take the batches and their times from a worker's log (`--log-format json`).
    #[arg(long, value_name = "LOG", conflicts_with_all = ["batch_seconds", "items", "items_per_batch"], help_heading = "Load")]
    pub measured: Option<PathBuf>,
    /// How many batches are open at once (`max_concurrency` of the dataset file).
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000), help_heading = "Load")]
    pub max_concurrency: u32,
    /// Batches come by chance, so many a second on average, and not from a map.
    #[arg(long, value_name = "PER_SECOND", conflicts_with = "max_concurrency", value_parser = above_zero, help_heading = "Load")]
    pub arrivals: Option<f64>,
    /// How long a message may wait (`heartbeat` of the dataset file).
    #[arg(long, value_name = "DURATION", default_value = "12h", value_parser = humantime::parse_duration, help_heading = "Load")]
    pub heartbeat: Duration,
    /// How often a batch is tried again (`max_attempts` of the dataset file).
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Load")]
    pub retries: u8,

    /// How many batches a task runs at once.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Tasks")]
    pub slots: u32,
    /// From a launch to the first batch.
    #[arg(long, value_name = "DURATION", default_value = "45s", value_parser = humantime::parse_duration, help_heading = "Tasks")]
    pub task_start: Duration,
    /// How long a task that is to stop may still work.
    #[arg(long, value_name = "DURATION", default_value = "115s", value_parser = humantime::parse_duration, help_heading = "Tasks")]
    pub drain: Duration,
    /// The vCPUs of a task.
    #[arg(long, value_name = "N", default_value = "2", value_parser = above_zero, help_heading = "Tasks")]
    pub cpus: f64,
    /// The memory of a task, in GB.
    #[arg(long, value_name = "GB", default_value = "4", value_parser = above_zero, help_heading = "Tasks")]
    pub memory_gb: f64,
    /// The processor of a task.
    #[arg(long, value_enum, default_value = "arm64", help_heading = "Tasks")]
    pub architecture: Processor,
    /// The share of tasks on Spot beyond the first, from 0 to 1.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share, help_heading = "Tasks")]
    pub spot: f64,
    /// The share of the tasks on Spot that are taken away in an hour.
    #[arg(long, value_name = "SHARE", default_value = "0.05", value_parser = share, help_heading = "Tasks")]
    pub spot_loss: f64,

    /// How many tasks can be launched at once.
    #[arg(long, value_name = "N", default_value = "100", value_parser = above_zero, help_heading = "Account")]
    pub launch_burst: f64,
    /// How many can be launched a second after that.
    #[arg(long, value_name = "N", default_value = "20", value_parser = above_zero, help_heading = "Account")]
    pub launch_rate: f64,
    /// How many children can be started a second, after 1,300 at once.
    #[arg(long, value_name = "N", default_value = "300", value_parser = above_zero, help_heading = "Account")]
    pub start_rate: f64,
    /// How many answers can be given a second, after 3,000 at once.
    #[arg(long, value_name = "N", default_value = "500", value_parser = above_zero, help_heading = "Account")]
    pub answer_rate: f64,
    /// How late the metrics of SQS are.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration, help_heading = "Account")]
    pub queue_lag: Duration,
    /// How late the metrics of ECS are.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration, help_heading = "Account")]
    pub task_lag: Duration,

    /// Try other values for the target of the target tracking policy, and say which is best.
    #[arg(long, requires = "policy", conflicts_with = "svg")]
    pub search: bool,
    /// How long the run may take for `--search`; otherwise the best is nearly as fast as the fastest.
    #[arg(long, value_name = "DURATION", requires = "search", value_parser = humantime::parse_duration)]
    pub within: Option<Duration>,
    /// Draw the run into this file.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub json: bool,
    /// Where chance begins: the same seed gives the same run.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// The processor of a task.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Processor {
    /// Graviton.
    #[value(name = "arm64")]
    Arm64,
    /// Intel or AMD.
    #[value(name = "x86_64")]
    X86_64,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.into(), value.into()))
}

fn above_zero(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number: &f64| *number > 0.0 && number.is_finite())
        .ok_or("expected a number above 0".into())
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or("expected a number from 0 to 1".into())
}
