//! `gristmill plugin push`: a component that fits, into an OCI registry. What it prints is a line of a dataset file.

use std::process::ExitCode;

use serde_json::json;

use super::compiler::open_file;
use super::output::{print, print_json};
use crate::cli::PushArgs;
use crate::registry::{OpenedComponent, push_component};

pub(super) async fn run(args: PushArgs) -> anyhow::Result<ExitCode> {
    let PushArgs { file, target, json, compile } = args;
    let (bytes, plugin) = open_file(&file, &compile).await?;
    let component = OpenedComponent {
        bytes: bytes.into(),
        name: &plugin.manifest.name,
        imports: &plugin.imports,
        exports: &plugin.exports,
    };
    let pushed = push_component(&target, &component).await?;
    if json {
        print_json(&json!({
            "name": plugin.manifest.name,
            "version": plugin.manifest.version,
            "digest": plugin.digest,
            "component": pushed.component.to_string(),
            "tag": target.tag(),
            "tag_named": pushed.tag_named,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!("component = \"{}\"\n", pushed.component);
    if let (Some(tag), Some(other)) = (target.tag(), pushed.moved_from()) {
        text += &format!("# the tag {tag} named {other} before\n");
    }
    print(text)?;
    Ok(ExitCode::SUCCESS)
}
