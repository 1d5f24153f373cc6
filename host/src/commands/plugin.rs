//! `gristmill plugin inspect`: what a component is and what it can reach, without running it on anything.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::compiler::open_file;
use super::output::{print, print_json};
use crate::cli::InspectArgs;
use crate::dataset::{Column, Manifest};
use crate::runtime::Plugin;
use crate::text::{json as safe_json, line};

pub(super) async fn run(args: InspectArgs) -> anyhow::Result<ExitCode> {
    let InspectArgs { file, json, compile } = args;
    let (_, plugin) = open_file(&file, &compile).await?;
    if json {
        print_json(&as_json(&plugin))?;
    } else {
        let mut text = String::new();
        about_file(&mut text, &file, &plugin)?;
        about_reach(&mut text, &plugin.imports)?;
        about_manifest(&mut text, &plugin.manifest)?;
        print(text)?;
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

/// Which file it is. What the component says of itself is a stranger's, here and below: one line each, and never at the edge.
fn about_file(text: &mut String, file: &Path, plugin: &Plugin) -> fmt::Result {
    writeln!(text, "{}", line(&file.display().to_string()))?;
    about_name(text, &plugin.manifest)?;
    writeln!(text, "  digest    {}", plugin.digest)?;
    writeln!(text, "  size      {}", bytesize::ByteSize(plugin.size))?;
    if let Some(time) = plugin.compiled_in {
        writeln!(text, "  compiled  in {} ms", time.as_millis())?;
    }
    Ok(())
}

fn about_name(text: &mut String, manifest: &Manifest) -> fmt::Result {
    writeln!(text, "  name      {} {}", line(&manifest.name), line(&manifest.version))?;
    writeln!(text, "            {}", line(&manifest.description))
}

fn about_reach(text: &mut String, imports: &[String]) -> fmt::Result {
    let inert: BTreeSet<&str> = imports.iter().filter_map(|import| wasi(import)).collect();
    // Who opens tables imports `objects` with it; without that, only the words of `tables` are used.
    let only_words = |import: &str| {
        interface(import) == "gristmill:plugin/tables"
            && !imports.iter().any(|other| interface(other) == "gristmill:plugin/objects")
    };
    let reaching = imports.iter().filter(|import| !only_words(import));
    let reaching: Vec<_> = reaching.filter_map(|import| Some((line(import), reach(import)?))).collect();
    let nothing = if reaching.is_empty() && inert.is_empty() { " nothing" } else { "" };
    writeln!(text, "  can reach{nothing}")?;
    let width = reaching.iter().map(|(import, _)| import.len()).max().unwrap_or_default();
    for (import, what) in reaching {
        writeln!(text, "            {import:width$}  {what}")?;
    }
    if !inert.is_empty() {
        let packages: Vec<&str> = inert.into_iter().collect();
        let what = "a standing clock, seeded randomness; no files, no network, no environment";
        writeln!(text, "            wasi 0.2 (inert: {what}): {}", line(&packages.join(", ")))?;
    }
    Ok(())
}

fn about_manifest(text: &mut String, manifest: &Manifest) -> fmt::Result {
    let none = if manifest.outputs.is_empty() { "   none" } else { "" };
    writeln!(text, "  outputs{none}")?;
    for output in &manifest.outputs {
        writeln!(text, "            {}: {}", line(&output.name), line(&output.description))?;
        for column in &output.columns {
            let nullable = if column.nullable { ", may be null" } else { "" };
            writeln!(text, "              {} {}{nullable}", line(&column.name), column.kind.name())?;
        }
    }
    let schema = format!("{:#}", manifest.settings_schema);
    writeln!(text, "  settings  {}", safe_json(&schema).replace('\n', "\n            "))
}

/// An import without its version.
fn interface(import: &str) -> &str {
    import.split('@').next().unwrap_or(import)
}

/// What an import amounts to, for a person who does not know the interface's name. None for one that reaches nothing.
fn reach(import: &str) -> Option<&'static str> {
    match interface(import) {
        "gristmill:plugin/objects" => Some("reads the objects that the dataset file grants"),
        "gristmill:plugin/tables" => Some("reads columns and rows of the same objects, which the host decodes"),
        "gristmill:plugin/sql" => Some("asks the databases whose connections the dataset file grants"),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dataset::{ColumnType, OutputShape};
    use crate::text::hostile::{self, assert_tame, edges};

    /// What `inspect` prints of a component that has this text wherever it may choose one.
    fn inspected(text: &str) -> String {
        let column = Column { name: text.into(), nullable: true, kind: ColumnType::Text };
        let manifest = Manifest {
            name: text.into(),
            version: text.into(),
            description: text.into(),
            settings_schema: json!({"title": text, "properties": {text: {}}}),
            outputs: vec![OutputShape { name: text.into(), description: text.into(), columns: vec![column] }],
        };
        let mut printed = String::new();
        about_name(&mut printed, &manifest).unwrap();
        about_reach(&mut printed, &[format!("a:b/{text}"), format!("wasi:{text}/x")]).unwrap();
        about_manifest(&mut printed, &manifest).unwrap();
        printed
    }

    proptest! {
        #[test]
        fn a_component_cannot_fake_what_is_said_of_it(text in hostile::text()) {
            let printed = inspected(&format!("x{text}"));
            assert_tame(&printed);
            // Line by line it looks as that of an honest component.
            prop_assert_eq!(edges(&printed, usize::MAX), edges(&inspected("honest"), usize::MAX), "{}", printed);
        }
    }
}
