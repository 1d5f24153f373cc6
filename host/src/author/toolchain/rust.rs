//! Components of Rust: cargo with the target `wasm32-wasip2`, of rustup or of Debian.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use tokio::process::Command;

use super::super::error::AuthorError;
use super::super::language::Language;
use super::super::sdk;
use super::process::{command, printed, run, succeeds};
use super::tools::Tools;

const TARGET: &str = "wasm32-wasip2";

/// Where Debian's `wasi-libc` puts it.
const DEBIAN_WASI: &str = "/usr/lib/wasm32-wasi";
const DEBIAN_COMMAND: &str =
    "apt-get install --no-install-recommends rustc-web cargo-web rust-web-src rust-web-llvm lld-22 wasi-libc";

/// Which Rust builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rust {
    /// The user's own, which has the target.
    Own,
    /// Debian's, which has the target's standard library as source.
    Debian,
}

/// Builds the plugin, and says where cargo left its component.
pub(super) async fn build(plugin: &Path, tools: &Tools) -> Result<PathBuf, AuthorError> {
    let rust = find(plugin).await?;
    let mut shared = None;
    if uses_carried_sdk(plugin) {
        sdk::place(plugin, Language::Rust)?;
        // What the SDK stands on is compiled once for all plugins of a user.
        let own = std::env::var_os("CARGO_TARGET_DIR").is_none();
        shared = tools.cache.as_ref().filter(|_| own).map(|cache| cache.join("rust"));
    }
    // With everything there, cargo is told not to ask the network: it would for a new package, even if it needs nothing.
    let known = succeeds(rust.cargo(plugin).args(["metadata", "--offline", "--format-version", "1"])).await;
    let mut build = rust.cargo(plugin);
    build.args(["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
    if rust == Rust::Debian {
        build.arg("-Zbuild-std=std,panic_abort");
    }
    if let Some(target) = shared {
        build.env("CARGO_TARGET_DIR", target);
    }
    if known {
        build.arg("--offline");
    }
    let output = run(build.stderr(Stdio::inherit())).await?;
    let output = output.ok_or_else(|| AuthorError::Failed("cargo is gone".into()))?;
    if !output.status.success() {
        return Err(AuthorError::Failed("it does not compile: what cargo says above has the place".into()));
    }
    component(&output.stdout, &plugin.join("Cargo.toml")).ok_or_else(|| {
        AuthorError::Refused(format!(
            "{}: cargo made no component: `[lib]` needs `crate-type = [\"cdylib\"]`",
            plugin.join("Cargo.toml").display()
        ))
    })
}

/// Whether the manifest names the SDK that this gristmill writes.
fn uses_carried_sdk(plugin: &Path) -> bool {
    std::fs::read_to_string(plugin.join("Cargo.toml")).is_ok_and(|text| text.contains(sdk::path(Language::Rust)))
}

/// A line of cargo's that says what it made.
#[derive(Deserialize)]
struct Artifact {
    reason: String,
    manifest_path: Option<PathBuf>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// The component among what cargo says that it made of this manifest.
fn component(messages: &[u8], manifest: &Path) -> Option<PathBuf> {
    let lines = messages.split(|byte| *byte == b'\n');
    let artifacts = lines.filter_map(|line| serde_json::from_slice::<Artifact>(line).ok());
    let ours = artifacts.filter(|it| it.reason == "compiler-artifact" && it.manifest_path.as_deref() == Some(manifest));
    ours.flat_map(|it| it.filenames).find(|file| file.extension().is_some_and(|ending| ending == "wasm"))
}

/// Finds a Rust that can build components. The target is added where rustup can do that.
async fn find(plugin: &Path) -> Result<Rust, AuthorError> {
    let missing = |what: &str, command: &str| AuthorError::Missing { what: what.into(), command: command.into() };
    let asked = std::env::var("GUEST_RUST").unwrap_or_default();
    if asked != "debian" && has_target(plugin).await {
        return linked(Rust::Own).await;
    }
    if asked != "rustup" && Path::new(DEBIAN_WASI).is_dir() && Path::new("/usr/bin/cargo").is_file() {
        return linked(Rust::Debian).await;
    }
    let rustup = succeeds(command("rustup").arg("--version")).await;
    if rustup && asked != "debian" {
        eprintln!("adding the target {TARGET}");
        let added = succeeds(command("rustup").current_dir(plugin).args(["target", "add", TARGET])).await;
        if added && has_target(plugin).await {
            return linked(Rust::Own).await;
        }
    }
    if std::env::var_os("PATH").is_some() && !succeeds(command("cargo").arg("--version")).await {
        return Err(missing("Rust is missing", "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"));
    }
    match (rustup, Path::new("/etc/debian_version").is_file()) {
        (true, _) => Err(missing("Rust has no target for components", &format!("rustup target add {TARGET}"))),
        (false, true) => Err(missing("Rust has no target for components", DEBIAN_COMMAND)),
        (false, false) => Err(missing(
            "Rust has no target for components, and there is no rustup that could add it",
            "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- --target wasm32-wasip2",
        )),
    }
}

/// What runs at build time (macros) is linked for this machine.
async fn linked(rust: Rust) -> Result<Rust, AuthorError> {
    if succeeds(command("cc").arg("--version")).await {
        return Ok(rust);
    }
    Err(AuthorError::Missing {
        what: "a C compiler is missing, which links the macros of Rust".into(),
        command: "apt-get install gcc libc6-dev".into(),
    })
}

async fn has_target(plugin: &Path) -> bool {
    let mut rustc = command("rustc");
    rustc.current_dir(plugin).args(["--print", "target-libdir", "--target", TARGET]);
    printed(&mut rustc).await.is_some_and(|folder| Path::new(&folder).is_dir())
}

impl Rust {
    fn cargo(self, plugin: &Path) -> Command {
        let mut cargo = command(if self == Self::Debian { "/usr/bin/cargo" } else { "cargo" });
        cargo.current_dir(plugin);
        if self == Self::Debian {
            let path = std::env::var("PATH").unwrap_or_default();
            // The standard library is compiled by switches that are nightly's otherwise.
            cargo
                .env_remove("RUSTUP_TOOLCHAIN")
                .env("PATH", format!("/usr/bin:{path}"))
                .env("RUSTC", "/usr/bin/rustc")
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", format!("-L {DEBIAN_WASI}"));
        }
        cargo
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_is_found_among_what_cargo_made() {
        let line = |manifest: &str, file: &str| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"manifest_path\":\"{manifest}\",\"filenames\":[\"{file}\"]}}\n"
            )
        };
        let said = line("/sdk/Cargo.toml", "/t/sdk.wasm") + "no JSON\n" + &line("/p/Cargo.toml", "/t/libp.rlib");
        assert_eq!(component(said.as_bytes(), Path::new("/p/Cargo.toml")), None);
        let said = said + &line("/p/Cargo.toml", "/t/p.wasm") + "{\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(component(said.as_bytes(), Path::new("/p/Cargo.toml")), Some("/t/p.wasm".into()));
    }
}
