//! `gristmill windows`: what runs took of a table, and where the next one starts.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use time::OffsetDateTime;

use super::output::{print, print_json};
use crate::aws;
use crate::cli::WindowsArgs;
use crate::ledger::dynamodb::DynamoLedger;
use crate::ledger::registers::Registers;
use crate::ledger::sqlite::{FILE, SqliteLedger};
use crate::text::line;
use crate::windows::history::{History, RunStatus, WindowRun};
use crate::windows::{kept, written};

pub(super) async fn run(args: WindowsArgs) -> anyhow::Result<ExitCode> {
    let registers: Arc<dyn Registers> = match (&args.local, &args.ledger) {
        (Some(folder), _) => Arc::new(local(folder)?),
        (None, Some(table)) => Arc::new(DynamoLedger::new(&aws::load().await, table)),
        (None, None) => anyhow::bail!("give `--ledger TABLE` or `--local DIR`"),
    };
    let now = OffsetDateTime::now_utc();
    let before = kept::history(&*registers, &args.dataset).await?.0;
    anyhow::ensure!(
        !before.runs().is_empty() || args.next_from.is_some(),
        "no run of {} has taken a window yet: is this the dataset's name, without that of a stage?",
        line(&args.dataset)
    );
    if let Some(run) = before.runs().last().filter(|last| last.status == RunStatus::Running && args.next_from.is_some())
    {
        anyhow::bail!(
            "the run {} of {} has the window, and may be under way: wait for its end; or stop it, say `--give-up`, and then `--next-from`",
            run.run.as_deref().map(line).unwrap_or_default(),
            line(&args.dataset)
        );
    }
    let change = |history: &mut History| {
        if let Some(from) = args.next_from {
            history.correct(from, now);
        }
        if args.give_up
            && let Some(run) = history.runs().last().and_then(|last| last.run.clone())
        {
            history.fail(&run, now);
        }
        history.clone()
    };
    let history = kept::change(&*registers, &args.dataset, change).await?;
    match args.json {
        true => print_json(&history)?,
        false => print(format_args!("{}", shown(&history)))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The ledger of a folder that is there: reading must not make one.
fn local(folder: &Path) -> anyhow::Result<SqliteLedger> {
    let ledger = folder.join(FILE);
    anyhow::ensure!(ledger.is_file(), "--local {}: no dataset has run in this folder", folder.display());
    Ok(SqliteLedger::open(folder)?)
}

fn shown(history: &History) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["window", "from", "until", "status", "began", "late rows", "run"]);
    for run in history.runs() {
        table.add_row(row(run));
    }
    let next = match history.runs().last() {
        Some(last) if last.status == RunStatus::Running => {
            "the last run is under way, or it died: then the next one takes the same window".into()
        }
        Some(last) if last.status == RunStatus::Failed => "the next run takes the failed window again".into(),
        Some(last) => format!("the next window starts at {}", written(last.window.stop)),
        None => "the next window starts at the beginning".into(),
    };
    format!("{}\n\n{next}\n", table.trim_fmt())
}

fn row(run: &WindowRun) -> [String; 7] {
    let status = match run.status {
        RunStatus::Running => "running",
        RunStatus::Succeeded => "succeeded",
        RunStatus::Failed => "failed",
        RunStatus::Corrected => "set by hand",
    };
    [
        run.window.number.to_string(),
        run.window.start.map_or_else(|| "the beginning".into(), written),
        written(run.window.stop),
        status.into(),
        written(run.began.replace_nanosecond(0).unwrap_or(run.began)),
        run.late.map_or_else(String::new, |late| late.to_string()),
        // The name is what people know an execution by.
        run.run.as_deref().map_or_else(String::new, |run| line(run.rsplit(':').next().unwrap_or(run)).to_string()),
    ]
}
