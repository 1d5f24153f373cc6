//! Datasets that lie in a folder, with their components beside them. They are read once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Catalog, Loaded, Versions};
use crate::admission::Admission;
use crate::dataset::{Dataset, Finding, Findings, Place, Variables};
use crate::runtime::Runtime;
use crate::sink::Stores;

impl Catalog {
    /// Opens every dataset of a folder: `*.toml`, and `*/dataset.toml`. A file that cannot even be read as a dataset has no
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
        let mut datasets = BTreeMap::new();
        let mut complaints = Vec::new();
        for file in dataset_files(folder)? {
            let dataset = match Dataset::load(&file, variables) {
                Ok(dataset) => dataset,
                Err(findings) => {
                    complaints.push(findings);
                    continue;
                }
            };
            let name = dataset.name.clone();
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
            let loaded = Loaded::open(dataset, runtime, stores).await;
            datasets.insert(name, loaded.map(Arc::new).map_err(|error| error.to_string().into()));
        }
        for (name, loaded) in datasets {
            self.set(&name, Versions::only(loaded));
        }
        Ok(complaints)
    }

    /// Puts aside the datasets of which not even one item can run here.
    pub fn admit(&self, admission: &Admission) {
        for name in self.names() {
            let Some(Ok(loaded)) = self.get(&name) else { continue };
            if let Some(objection) = admission.objection(&loaded.need()) {
                let reason = format!("{}: plugin.memory: {objection}", loaded.dataset.file.display());
                self.set(&name, Versions::only(Err(reason.into())));
            }
        }
    }
}

fn dataset_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
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
