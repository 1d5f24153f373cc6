//! Datasets that lie in a folder, with their components beside them. They are read once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::StreamExt as _;

use super::version::DatasetVersion;
use super::versions::{Catalog, Versions};
use crate::admission::Admission;
use crate::dataset::{Dataset, Finding, Findings, MAX_FILE, Place, Variables, is_dataset};
use crate::files;
use crate::runtime::Runtime;
use crate::sink::Stores;

/// How many datasets are opened at once: each holds its component's bytes.
const OPENED_AT_ONCE: usize = 4;

impl Catalog {
    /// Opens every dataset of a folder: `*.toml` with the key `dataset`, and `*/dataset.toml`. A file that cannot even be read as a dataset has no
    /// name that a message could give; it is returned as a complaint, and the others work.
    pub async fn load(
        folder: &Path,
        variables: &Variables,
        runtime: &Runtime,
        stores: &Stores,
    ) -> std::io::Result<(Self, Vec<Findings>)> {
        let catalog = Self::default();
        let complaints = catalog.load_folder(folder, variables, runtime, stores).await?;
        Ok((catalog, complaints))
    }

    /// The same into this catalog.
    pub async fn load_folder(
        &self,
        folder: &Path,
        variables: &Variables,
        runtime: &Runtime,
        stores: &Stores,
    ) -> std::io::Result<Vec<Findings>> {
        let mut datasets: BTreeMap<String, Vec<Dataset>> = BTreeMap::new();
        let mut complaints = Vec::new();
        for file in dataset_files(folder)? {
            if is_something_else(&file) {
                tracing::warn!(file = %file.display(), "this file names no `dataset`, and is left alone");
                continue;
            }
            let stages = match Dataset::load_stages(&file, variables) {
                Ok(stages) => stages,
                Err(findings) => {
                    complaints.push(findings);
                    continue;
                }
            };
            let Some(name) = stages.first().map(|stage| stage.of().to_owned()) else { continue };
            if datasets.contains_key(&name) {
                let message = format!("a second dataset is called `{name}`; the first one found is used");
                complaints.push(Findings(vec![Finding {
                    file,
                    position: None,
                    place: Place::default().key("dataset"),
                    message,
                    help: Some("give each dataset a name of its own".into()),
                }]));
                continue;
            }
            datasets.insert(name, stages);
        }
        // One that takes long to compile holds up only those that have to be compiled, too.
        let open = |(name, stages)| async move { (name, DatasetVersion::open_stages(stages, runtime, stores).await) };
        let mut opened = futures::stream::iter(datasets).map(open).buffer_unordered(OPENED_AT_ONCE);
        while let Some((name, loaded)) = opened.next().await {
            let loaded = loaded.map(Arc::new).map_err(|error| error.to_string().into());
            self.set(&name, Versions::only(loaded));
        }
        Ok(complaints)
    }

    /// Puts aside the datasets of which not even one item can run here.
    pub fn admit(&self, admission: &Admission) {
        for name in self.names() {
            let Some(Ok(loaded)) = self.get(&name) else { continue };
            if let Some(objection) = loaded.stages().find_map(|stage| admission.objection(&stage.need())) {
                let reason = format!("{}: plugin.memory: {objection}", loaded.dataset.file.display());
                self.set(&name, Versions::only(Err(reason.into())));
            }
        }
    }
}

/// Files of TOML that lie beside plugins, and are nobody's mistake.
const NEIGHBOURS: [&str; 2] = ["Cargo.toml", "pyproject.toml"];

/// Whether a file that is not called `dataset.toml` is none. What cannot be read is for whoever reads it to say.
fn is_something_else(file: &Path) -> bool {
    let named = file.file_name().is_some_and(|name| name == "dataset.toml");
    !named && files::read_text(file, MAX_FILE).is_ok_and(|text| !is_dataset(&text))
}

fn dataset_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| NEIGHBOURS.iter().any(|neighbour| name == *neighbour)) {
            continue;
        }
        let nested = path.join("dataset.toml");
        if nested.is_file() {
            files.push(nested);
        } else if path.extension().is_some_and(|extension| extension == "toml") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Handle;

    use super::*;
    use crate::database::Connections;
    use crate::object::folder::FolderStore;
    use crate::runtime::RuntimeConfig;
    use crate::sink::sqlite::SqliteSink;

    #[tokio::test]
    async fn other_files_beside_datasets_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join("datasets").join(path);
        for (path, text) in [
            ("Cargo.toml", "[workspace]"),
            ("pyproject.toml", "[project]"),
            ("trust.toml", "all_of = [\"build\"]"),
            ("rows.toml", "dataset = \"rows\"\nplugin.component = \"nosuch.wasm\"\nmap.items = []"),
            // Meant as datasets, and none.
            ("broken.toml", "dataset = "),
            ("nameless/dataset.toml", "plugin.component = \"nosuch.wasm\""),
            ("crate/Cargo.toml", "[package]"),
        ] {
            std::fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            std::fs::write(at(path), text).unwrap();
        }
        files::tests::named_pipe(&at("pipe.toml"));
        let runtime = Runtime::new(&RuntimeConfig { slots: 1, cache: None, io: Handle::current() }).unwrap();
        let stores = Stores {
            objects: Arc::new(FolderStore::new(folder.path())),
            tables: Arc::new(SqliteSink::open(&folder.path().join("tables.sqlite")).unwrap()),
            databases: Connections::default(),
        };
        let loaded = Catalog::load(&at(""), &Variables::default(), &runtime, &stores).await;
        let (catalog, complaints) = loaded.unwrap();
        assert_eq!(catalog.names(), ["rows"]);
        let mut files: Vec<_> = complaints.iter().map(|findings| findings.0[0].file.clone()).collect();
        files.sort();
        assert_eq!(files, [at("broken.toml"), at("nameless/dataset.toml")]);
    }
}
