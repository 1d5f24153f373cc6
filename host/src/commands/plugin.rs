//! `gristmill plugin`: what a component is and what it can reach, without running it on anything.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::cli::PluginCommand;
use crate::dataset::Column;
use crate::files;
use crate::registry::MAX_BLOB;
use crate::runtime::{Plugin, Runtime, RuntimeConfig};

pub(super) async fn run(command: PluginCommand) -> anyhow::Result<ExitCode> {
    let PluginCommand::Inspect { file, json } = command;
    let bytes = files::read_given(&file, MAX_BLOB).with_context(|| file.display().to_string())?;
    let runtime = Runtime::new(&RuntimeConfig { slots: 1, cache: None, io: Handle::current() })?;
    let plugin =
        super::patiently(&file.display(), runtime.open(&bytes)).await.with_context(|| file.display().to_string())?;
    if json {
        super::say(serde_json::to_string_pretty(&as_json(&plugin))? + "\n")?;
    } else {
        super::say(as_text(&file, &plugin)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(plugin: &Plugin) -> Value {
    let manifest = &plugin.manifest;
    let column =
        |column: &Column| json!({"name": column.name, "type": column.kind.name(), "nullable": column.nullable});
    let outputs: Vec<Value> = manifest
        .outputs
        .iter()
        .map(|output| {
            let columns: Vec<Value> = output.columns.iter().map(column).collect();
            json!({"name": output.name, "description": output.description, "columns": columns})
        })
        .collect();
    json!({
        "name": manifest.name,
        "version": manifest.version,
        "description": manifest.description,
        "digest": plugin.digest,
        "size": plugin.size,
        "compile_seconds": plugin.compiled_in.map(|time| time.as_secs_f64()),
        "imports": plugin.imports,
        "outputs": outputs,
        "settings_schema": manifest.settings_schema,
    })
}

fn as_text(file: &Path, plugin: &Plugin) -> anyhow::Result<String> {
    use std::fmt::Write as _;
    let mut text = String::new();
    let manifest = &plugin.manifest;
    writeln!(text, "{}", file.display())?;
    writeln!(text, "  name      {} {}", manifest.name, manifest.version)?;
    writeln!(text, "            {}", manifest.description)?;
    writeln!(text, "  digest    {}", plugin.digest)?;
    writeln!(text, "  size      {}", bytesize::ByteSize(plugin.size))?;
    if let Some(time) = plugin.compiled_in {
        writeln!(text, "  compiled  in {} ms", time.as_millis())?;
    }
    let inert: BTreeSet<&str> = plugin.imports.iter().filter_map(|import| wasi(import)).collect();
    let reaching = plugin.imports.iter().filter_map(|import| Some((import, reach(import)?))).collect::<Vec<_>>();
    let nothing = if reaching.is_empty() && inert.is_empty() { " nothing" } else { "" };
    writeln!(text, "  can reach{nothing}")?;
    let width = reaching.iter().map(|(import, _)| import.len()).max().unwrap_or_default();
    for (import, what) in reaching {
        writeln!(text, "            {import:width$}  {what}")?;
    }
    if !inert.is_empty() {
        let packages: Vec<&str> = inert.into_iter().collect();
        let what = "a standing clock, seeded randomness; no files, no network, no environment";
        writeln!(text, "            wasi 0.2 (inert: {what}): {}", packages.join(", "))?;
    }
    let none = if manifest.outputs.is_empty() { "   none" } else { "" };
    writeln!(text, "  outputs{none}")?;
    for output in &manifest.outputs {
        writeln!(text, "            {}: {}", output.name, output.description)?;
        for column in &output.columns {
            let nullable = if column.nullable { ", may be null" } else { "" };
            writeln!(text, "              {} {}{nullable}", column.name, column.kind.name())?;
        }
    }
    let schema = serde_json::to_string_pretty(&manifest.settings_schema)?;
    writeln!(text, "  settings  {}", schema.replace('\n', "\n            "))?;
    Ok(text)
}

/// What an import amounts to, for a person who does not know the interface's name. None for one that reaches nothing.
fn reach(import: &str) -> Option<&'static str> {
    match import.split('@').next().unwrap_or(import) {
        "gristmill:plugin/objects" => Some("reads the objects that the dataset file grants"),
        "gristmill:plugin/output" => Some("emits rows"),
        "gristmill:plugin/metrics" => Some("counts what an operator wants to see"),
        "gristmill:plugin/types" => None,
        "wasi:logging/logging" => Some("writes log lines"),
        name if name.starts_with("wasi:") => None,
        _ => Some(""),
    }
}

/// The package of an interface that languages bring along and that reaches nothing here: `io` of `wasi:io/poll@0.2.6`.
fn wasi(import: &str) -> Option<&str> {
    let (package, _) = import.strip_prefix("wasi:")?.split_once('/')?;
    (package != "logging").then_some(package)
}
