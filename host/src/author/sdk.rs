//! The SDK in a plugin's folder: written there from what the binary carries, so that a build needs neither a checkout nor a
//! network, and never has the SDK of another version.

use std::fs;
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

use super::carried::{CONTRACT, PYTHON, RUST, RUST_WORKSPACE};
use super::error::AuthorError;
use super::language::Language;
use crate::job::Digest;

/// What is made in a plugin's folder and is not the author's.
pub(super) const FOLDER: &str = ".gristmill";

/// Where a language's SDK is within a plugin's folder, as its manifest names it.
pub(super) fn path(language: Language) -> &'static str {
    match language {
        Language::Rust => ".gristmill/sdk/rust",
        Language::Python => ".gristmill/sdk/python/src",
    }
}

/// Writes the SDK into a plugin's folder, unless it is there.
pub(super) fn place(plugin: &Path, language: Language) -> Result<(), AuthorError> {
    let name = match language {
        Language::Rust => "rust",
        Language::Python => "python",
    };
    let files = files(language)?;
    let digest = digest(&files);
    let (root, own) = (plugin.join(FOLDER).join("sdk").join(name), plugin.join(FOLDER));
    let mark = own.join("sdk").join(format!("{name}.digest"));
    if fs::read_to_string(&mark).is_ok_and(|known| known == digest) && root.is_dir() {
        return Ok(());
    }
    if root.exists() {
        fs::remove_dir_all(&root).map_err(AuthorError::file(&root))?;
    }
    for (path, text) in &files {
        write(&root.join(path), text)?;
    }
    write(&own.join(".gitignore"), "*\n")?;
    // Last: an SDK that was written in part has no mark.
    write(&mark, &digest)
}

/// Writes a file, and the folders that it is in.
pub(super) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), AuthorError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(AuthorError::file(folder))?;
    }
    fs::write(path, bytes).map_err(AuthorError::file(path))
}

fn digest(files: &[(PathBuf, String)]) -> String {
    let all: String = files.iter().map(|(path, text)| format!("{}\n{text}\n", path.display())).collect();
    Digest::of(all.as_bytes()).to_string()
}

/// A language's SDK as it stands alone, with the contract in it.
fn files(language: Language) -> Result<Vec<(PathBuf, String)>, AuthorError> {
    let (sdk, contract) = match language {
        Language::Rust => (RUST, "wit"),
        // Where a wheel has it.
        Language::Python => (PYTHON, "src/gristmill/wit"),
    };
    let mut files: Vec<(PathBuf, String)> =
        CONTRACT.iter().map(|(path, text)| (Path::new(contract).join(path), (*text).to_owned())).collect();
    for (path, text) in sdk {
        let text = match *path {
            "Cargo.toml" => standalone(text, RUST_WORKSPACE)
                .ok_or_else(|| AuthorError::Refused("the SDK that this gristmill carries has no manifest".into()))?,
            "src/bindings.rs" => text.replace("\"../../../wit\"", "\"wit\""),
            _ => (*text).to_owned(),
        };
        files.push((path.into(), text));
    }
    Ok(files)
}

/// The manifest of a member of a workspace as that of a package on its own, which nobody tests: as `cargo package` makes it.
fn standalone(member: &str, workspace: &str) -> Option<String> {
    let mut manifest: DocumentMut = member.parse().ok()?;
    let workspace: DocumentMut = workspace.parse().ok()?;
    let workspace = workspace.get("workspace")?.as_table()?;
    for unused in ["dev-dependencies", "lints", "test"] {
        manifest.remove(unused);
    }
    for name in ["package", "dependencies"] {
        let shared = workspace.get(name)?.as_table()?;
        inherit(manifest.get_mut(name)?.as_table_like_mut()?, shared);
    }
    Some(manifest.to_string())
}

/// Puts the workspace's value in the place of each `name.workspace = true`.
fn inherit(table: &mut dyn TableLike, shared: &Table) {
    let is_inherited = |item: &Item| {
        let of = item.as_table_like().and_then(|table| table.get("workspace"));
        of.and_then(Item::as_bool) == Some(true)
    };
    let names: Vec<String> =
        table.iter().filter(|(_, item)| is_inherited(item)).map(|(name, _)| name.to_owned()).collect();
    for name in names {
        if let Some(value) = shared.get(&name).and_then(Item::as_value) {
            let value: Value = value.clone();
            table.insert(&name, Item::Value(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rust_sdk_stands_alone() {
        let files = files(Language::Rust).unwrap();
        let text = |name: &str| &files.iter().find(|(path, _)| path == Path::new(name)).unwrap().1;
        let manifest = text("Cargo.toml");
        assert!(!manifest.contains("workspace") && manifest.contains("version = \"0.1.0\""), "{manifest}");
        let document: DocumentMut = manifest.parse().unwrap();
        assert!(document["dependencies"]["serde"].as_value().is_some(), "{manifest}");
        assert!(text("src/bindings.rs").contains("path: \"wit\""));
        assert!(!text("wit/plugin.wit").is_empty());
    }

    #[test]
    fn an_sdk_of_another_version_is_replaced_and_the_same_one_is_left() {
        let plugin = tempfile::tempdir().unwrap();
        place(plugin.path(), Language::Python).unwrap();
        let module = plugin.path().join(path(Language::Python)).join("gristmill/plugin.py");
        assert!(module.is_file() && module.with_file_name("wit").join("plugin.wit").is_file());
        fs::write(&module, "changed").unwrap();
        place(plugin.path(), Language::Python).unwrap();
        assert_eq!(fs::read_to_string(&module).unwrap(), "changed");
        fs::write(plugin.path().join(".gristmill/sdk/python.digest"), "another").unwrap();
        place(plugin.path(), Language::Python).unwrap();
        assert_ne!(fs::read_to_string(&module).unwrap(), "changed");
    }
}
