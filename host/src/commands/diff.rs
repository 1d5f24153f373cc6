//! `gristmill diff`: what another version would change, on items from a file.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::desk::Desk;
use super::inputs::MAX_GIVEN;
use super::output::{print, print_json};
use crate::aws;
use crate::catalog::DatasetVersion;
use crate::cli::DiffArgs;
use crate::files;
use crate::job::{Batch, BatchId, Item, TaskToken};
use crate::registry::{self, Name, Registry, Version};
use crate::rollout::compare::{Comparison, compare};
use crate::text::{line, without_mark};

pub(super) async fn run(args: DiffArgs) -> anyhow::Result<ExitCode> {
    let items = read_items(&args.items)?;
    let json = args.desk.json;
    let registry = registry::open(&args.registry.uri, aws::load).await?;
    let desk = Desk::open(args.desk).await?;
    let old = Arc::new(open(&desk, &*registry, &args.name, &args.old).await?);
    let new = Arc::new(open(&desk, &*registry, &args.name, &args.new).await?);
    let batch = Arc::new(Batch {
        values: Default::default(),
        step: None,
        window: None,
        id: BatchId { execution: "diff".into(), state: "Diff".into() },
        dataset: args.name.to_string(),
        token: TaskToken::default(),
        attempt: 0,
        component: None,
        run: None,
        batch_input: batch_input(args.batch_input.as_deref(), &old)?.into(),
        items: Vec::new(),
    });
    let started = SystemTime::now();
    // Each slot has its part; what they find adds up.
    let mut parts = vec![Vec::new(); desk.slots.min(items.len())];
    let slots = parts.len();
    items.into_iter().enumerate().for_each(|(number, item)| parts[number % slots].push(item));
    let mut running = JoinSet::new();
    for part in parts {
        let work = compare(old.clone(), new.clone(), batch.clone(), part, started, desk.inputs.clone());
        running.spawn_on(work, desk.guests.handle());
    }
    let mut found = Comparison::default();
    while let Some(part) = running.join_next().await {
        found = found.merge(part.context("the comparison stopped")?);
    }
    anyhow::ensure!(
        found.undecided == 0 || !found.is_equal(),
        "{} items cannot be compared: what they read is not available now",
        found.undecided
    );
    if json {
        print_json(&as_json(&args.name, &old, &new, &found))?;
    } else {
        let title = |loaded: &DatasetVersion| {
            let version = loaded.version().to_string();
            format!("{} ({}…)", line(&version), &loaded.plugin.digest.to_string()[..19])
        };
        let verdict = if found.is_equal() { "nothing would change" } else { "something would change" };
        print(format_args!("{}: {} → {}: {verdict}\n{found}", args.name, title(&old), title(&new)))?;
    }
    Ok(if found.is_equal() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn open(desk: &Desk, registry: &dyn Registry, name: &Name, version: &Version) -> anyhow::Result<DatasetVersion> {
    let release = registry.find(name, version).await?.with_context(|| {
        format!("{} has no {name} {version}: `gristmill versions {name}` lists what it has", registry.uri())
    })?;
    desk.load(registry, name, &release).await
}

/// The items of a file, each as its text is.
fn read_items(file: &Path) -> anyhow::Result<Vec<Item>> {
    let text = files::read_given_text(file, MAX_GIVEN).with_context(|| format!("--items {}", file.display()))?;
    let mut items = Vec::new();
    for (number, line) in without_mark(&text).lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let item: &RawValue = serde_json::from_str(line)
            .with_context(|| format!("--items {}:{}: this is no JSON", file.display(), number + 1))?;
        items.push(Item { index: u32::try_from(items.len())?, body: item.get().into() });
    }
    anyhow::ensure!(!items.is_empty(), "--items {}: there are no items, one per line", file.display());
    Ok(items)
}

fn batch_input(given: Option<&str>, old: &DatasetVersion) -> anyhow::Result<String> {
    if let Some(text) = given {
        let input: &RawValue = serde_json::from_str(text).context("--batch-input: this is no JSON")?;
        return Ok(input.get().to_owned());
    }
    let Some(template) = &old.dataset.map.batch_input else { return Ok("null".into()) };
    let input = template.evaluate(&json!({}), &Value::Null).with_context(|| {
        let version = old.version();
        format!("[map] batch_input of {version} depends on the execution: give `--batch-input JSON`")
    })?;
    Ok(input.to_string())
}

fn as_json(name: &Name, old: &DatasetVersion, new: &DatasetVersion, found: &Comparison) -> Value {
    let version = |loaded: &DatasetVersion| json!({"version": loaded.version(), "digest": loaded.plugin.digest, "release": loaded.release});
    json!({
        "dataset": name,
        "old": version(old),
        "new": version(new),
        "equal": found.is_equal(),
        "median_time_ratio": found.time.median_ratio(),
        "comparison": found,
    })
}
