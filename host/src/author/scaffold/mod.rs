//! A plugin to begin with: code, dataset file, a sample with its objects, the rows that it gives, a test.

mod from;
mod python;
mod rust;
mod sample;

use std::fs;
use std::path::{Path, PathBuf};

pub use self::from::From;
use super::error::AuthorError;
use super::language::Language;
use super::sdk;

const README: &str = include_str!("../../../templates/README.md");
const DATASET: &str = include_str!("../../../templates/dataset.toml");
const GOLDEN: &str = include_str!("../../../templates/sample/stations.jsonl");

/// A plugin that is to be made.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// Its folder, which is not there yet or empty.
    pub folder: PathBuf,
    /// Its language.
    pub language: Language,
    /// What it reads.
    pub from: From,
    /// Where its SDK is, if that is not the one that this gristmill carries.
    pub sdk: Option<PathBuf>,
}

/// A file of a new plugin: its path below the folder, and its bytes.
type File = (String, Vec<u8>);

impl Plugin {
    /// Its name: that of its folder.
    pub fn name(&self) -> Result<&str, AuthorError> {
        let name = self.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        let is_name = name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(inner);
        if !is_name || name.len() > 63 {
            return Err(AuthorError::Refused(format!(
                "`{name}` is no name for a plugin: it takes up to 63 of a-z, 0-9, `-` and `_`, a letter first"
            )));
        }
        // Cargo has these names for itself, and Python's SDK has its own.
        if ["test", "core", "std", "alloc", "proc-macro", "build", "deps", "examples", "gristmill", "gristmill-plugin"]
            .contains(&name)
        {
            return Err(AuthorError::Refused(format!("`{name}` is taken by the tools: choose another name")));
        }
        Ok(name)
    }

    /// Writes all of it.
    pub fn make(&self) -> Result<(), AuthorError> {
        let files = self.files()?;
        if fs::read_dir(&self.folder).is_ok_and(|mut entries| entries.next().is_some()) {
            let why = format!("{} is there already and not empty: choose another name", self.folder.display());
            return Err(AuthorError::Refused(why));
        }
        for (path, bytes) in files {
            sdk::write(&self.folder.join(path), bytes)?;
        }
        if self.sdk.is_none() {
            sdk::place(&self.folder, self.language)?;
        }
        Ok(())
    }

    fn files(&self) -> Result<Vec<File>, AuthorError> {
        let objects = sample::objects(self.from)?;
        let items: Vec<String> = objects.iter().map(|(key, _)| format!("{{ Key = \"{key}\" }}")).collect();
        let (code, unit) = match self.language {
            Language::Rust => ("src/lib.rs", "cargo test                     # the logic alone, natively"),
            Language::Python => ("app.py", "pytest                         # the logic alone, in ordinary Python"),
        };
        let sdk = self.sdk_path()?;
        let filled = |text: &str| {
            let marks = [
                ("@NAME@", self.name()?),
                ("@KIND@", self.from.kind()),
                ("@ENDING@", self.from.ending()),
                ("@SDK@", &sdk),
                ("@ITEMS@", &items.join(", ")),
                ("@CODE@", code),
                ("@UNIT@", unit),
            ];
            Ok(marks.iter().fold(text.to_owned(), |text, (mark, value)| text.replace(mark, value)).into_bytes())
        };
        let golden = match self.from {
            // The handler's key is the object's.
            From::Lambda => GOLDEN.lines().zip(&objects).map(|(row, (key, _))| sample::with_key(row, key)).collect(),
            _ => GOLDEN.to_owned(),
        };
        let mut files = vec![("golden/stations.jsonl".to_owned(), golden.into_bytes())];
        files.extend(objects.into_iter().map(|(key, bytes)| (format!("sample/{key}"), bytes)));
        let templates = match self.language {
            Language::Rust => rust::templates(self.from)?,
            Language::Python => python::templates(self.from),
        };
        for (path, text) in [("README.md", README), ("dataset.toml", DATASET)].into_iter().chain(templates) {
            files.push((path.to_owned(), filled(text)?));
        }
        Ok(files)
    }

    /// The SDK's place as the language's manifest names it.
    fn sdk_path(&self) -> Result<String, AuthorError> {
        let Some(given) = &self.sdk else { return Ok(sdk::path(self.language).into()) };
        let (mark, inside) = match self.language {
            Language::Rust => ("src/bindings.rs", ""),
            Language::Python => ("src/gristmill/component.py", "src"),
        };
        let folder = given.canonicalize().map_err(AuthorError::file(given))?;
        if !folder.join(mark).is_file() {
            let (sdk, language) = (given.display(), self.language);
            return Err(AuthorError::Refused(format!("--sdk {sdk} is no SDK for {language:?}: it has no {mark}")));
        }
        let path = if inside.is_empty() { folder } else { folder.join(inside) };
        text(&path)
    }
}

fn text(path: &Path) -> Result<String, AuthorError> {
    let text = path.to_str().filter(|text| !text.contains(['"', '\\']));
    text.map(str::to_owned)
        .ok_or_else(|| AuthorError::Refused(format!("{}: no manifest can have this path", path.display())))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    fn plugin(folder: &str) -> Plugin {
        Plugin { folder: folder.into(), language: Language::Python, from: From::Csv, sdk: None }
    }

    #[test]
    fn a_name_suits_every_tool() {
        for good in ["rain", "a/b/rain-2", "./my_rain"] {
            assert!(plugin(good).name().is_ok(), "{good}");
        }
        let long = "x".repeat(64);
        for bad in ["Rain", "2rain", "", "..", "a b", "test", "gristmill", &long] {
            assert!(plugin(bad).name().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_template_is_filled_in() {
        for language in [Language::Rust, Language::Python] {
            for from in From::value_variants() {
                let plugin = Plugin { language, from: *from, ..plugin("rain") };
                let files = match plugin.files() {
                    Ok(files) => files,
                    Err(error) => {
                        assert!(language == Language::Rust && *from == From::Lambda, "{error}");
                        continue;
                    }
                };
                for (path, bytes) in &files {
                    let text = String::from_utf8_lossy(bytes);
                    let marks = ["@NAME@", "@KIND@", "@ENDING@", "@SDK@", "@ITEMS@", "@CODE@", "@UNIT@"];
                    assert!(
                        path.ends_with("parquet") || marks.iter().all(|mark| !text.contains(mark)),
                        "{path}: {text}"
                    );
                }
                assert_eq!(files.iter().filter(|(path, _)| path.starts_with("sample/")).count(), 3);
            }
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let rain = folder.path().join("rain");
        fs::create_dir(&rain).unwrap();
        fs::write(rain.join("mine"), "").unwrap();
        let refused = Plugin { folder: rain.clone(), ..plugin("rain") }.make().unwrap_err().to_string();
        assert!(refused.contains("is there already and not empty"), "{refused}");
        assert_eq!(fs::read_dir(&rain).unwrap().count(), 1);
    }
}
