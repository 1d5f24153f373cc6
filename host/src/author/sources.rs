//! The files that a plugin is made of: what a rebuild depends on, and whether one of them is newer than the component.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use super::error::AuthorError;
use super::language::Language;
use super::sdk::FOLDER;
use crate::job::Digest;

/// The most files that are looked at, so that links which lead in a circle come to an end.
const MAX_FILES: usize = 20_000;

/// What is made, and never a source. Cargo writes its lock while it builds.
const MADE: [&str; 9] =
    ["Cargo.lock", FOLDER, ".git", "target", "work", "__pycache__", ".pytest_cache", ".venv", "node_modules"];

/// The endings and names of files that a component is made of.
const CODE: [&str; 10] =
    ["rs", "py", "wit", "Cargo.toml", "pyproject.toml", "config.toml", "requirements.txt", "js", "ts", "package.json"];

/// The state of a plugin's folder: two that are equal need no rebuild and no run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// What the component is made of.
    pub code: Digest,
    /// The dataset file, the sample, the golden rows: whatever else there is, but for components.
    pub rest: Digest,
}

impl Sources {
    /// Reads the folder.
    pub fn of(plugin: &Path) -> Result<Self, AuthorError> {
        let (mut code, mut rest) = (Sha256::new(), Sha256::new());
        for path in files(plugin)? {
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                // An editor has just put another file in its place: the next look sees that.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(source) => return Err(AuthorError::File { path, source }),
            };
            let hash = if is_code(&path) { &mut code } else { &mut rest };
            hash.update(path.as_os_str().as_encoded_bytes());
            hash.update([0]);
            hash.update(Digest::of(&bytes).hex());
        }
        Ok(Self { code: code.into(), rest: rest.into() })
    }
}

/// The first file of code in the component's folder that was changed after the component was made. None where that cannot be told.
pub fn newer_than(component: &Path) -> Option<PathBuf> {
    let time = |path: &Path| -> Option<SystemTime> { fs::metadata(path).ok()?.modified().ok() };
    let (made, folder) = (time(component)?, component.parent()?);
    // Only a plugin's folder is looked through: others may be large.
    Language::of(folder).ok()?;
    let newer = |path: &PathBuf| is_code(path) && !is_test(path) && time(path).is_some_and(|changed| changed > made);
    files(folder).ok()?.into_iter().find(newer)
}

fn is_code(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    CODE.iter().any(|code| *code == ending || *code == name)
}

/// Whether it is a test or what makes samples, which no component has in it.
fn is_test(path: &Path) -> bool {
    ["tests", "generate", "examples"].iter().any(|folder| path.iter().any(|part| part == *folder))
}

/// The files of a folder that somebody wrote, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>, AuthorError> {
    let (mut folders, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(AuthorError::file(&folder))? {
            let path = entry.map_err(AuthorError::file(&folder))?.path();
            let is_made = path.file_name().is_some_and(|name| MADE.iter().any(|made| name == *made));
            let is_component = path.extension().is_some_and(|ending| ending == "wasm" || ending == "partial");
            if is_made || is_component {
                continue;
            }
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
        if found.len() > MAX_FILES {
            let why = format!(
                "{} has more than {MAX_FILES} files: a plugin's folder has its code and a small sample",
                folder.display()
            );
            return Err(AuthorError::Refused(why));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn put(root: &Path, name: &str, text: &str) {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), text).unwrap();
    }

    #[test]
    fn what_is_made_is_no_change_and_code_is_told_from_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["src/lib.rs", "dataset.toml", "sample/a.csv"] {
            put(root, name, name);
        }
        let before = Sources::of(root).unwrap();
        for name in ["target/x.rs", ".gristmill/sdk/a.rs", "p.wasm", "__pycache__/a.py"] {
            put(root, name, "made");
        }
        assert_eq!(Sources::of(root).unwrap(), before);
        put(root, "sample/a.csv", "another");
        let sample = Sources::of(root).unwrap();
        assert!(sample.code == before.code && sample.rest != before.rest);
        put(root, "src/lib.rs", "another");
        assert!(Sources::of(root).unwrap().code != before.code);
    }

    #[test]
    fn a_source_that_is_newer_than_its_component_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let component = folder.path().join("p.wasm");
        for name in ["app.py", "tests/test_app.py", "p.wasm", "dataset.toml"] {
            put(folder.path(), name, "");
        }
        let set = |name: &str, seconds: u64| {
            let file = fs::File::options().write(true).open(folder.path().join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        };
        set("p.wasm", 100);
        set("app.py", 100);
        assert_eq!(newer_than(&component), None, "neither tests nor the dataset file are in a component");
        set("app.py", 101);
        assert_eq!(newer_than(&component), Some(folder.path().join("app.py")));
    }
}
