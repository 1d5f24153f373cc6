//! Opens a dataset's component and compares both. What is wrong comes all at once, each with its place in the dataset file.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::data_catalog::Table;
use crate::database::Connections;
use crate::dataset::{self, ComponentRef, Dataset, Finding, Findings, Target, check};
use crate::files;
use crate::registry::{MAX_BLOB, fetch_component};
use crate::runtime::{Plugin, Runtime};
use crate::sink::OutputSchema;

/// The dataset file's text and the component's bytes.
pub(super) async fn read(dataset: &Dataset) -> Result<(String, Bytes), Findings> {
    // The file was read before: without its text findings only lack their lines.
    let file = dataset.file.clone();
    let text = blocking(move || files::read_text(&file, dataset::MAX_FILE)).await.unwrap_or_default();
    let component = component(&dataset.plugin.component).await;
    match component {
        Ok(component) => Ok((text, component)),
        Err((message, help)) => Err(located(&text, vec![of_component(dataset, message, help)])),
    }
}

/// The component's bytes, or what is wrong and what to do.
async fn component(component: &ComponentRef) -> Result<Bytes, (String, Option<String>)> {
    match component {
        ComponentRef::File(path) => {
            let file = path.clone();
            blocking(move || files::read(&file, MAX_BLOB)).await.map(Bytes::from).map_err(|error| {
                let help = "build the plugin, or correct the key".to_owned();
                (format!("the component {} cannot be read: {error}", path.display()), Some(help))
            })
        }
        ComponentRef::Oci(reference) => match Box::pin(fetch_component(reference)).await {
            Ok((_, bytes)) => Ok(bytes),
            Err(error) => Err((error.to_string(), None)),
        },
    }
}

/// Runs file system calls where they may block.
async fn blocking<T: Send + 'static>(call: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(call).await.unwrap_or_else(|lost| Err(io::Error::other(lost)))
}

/// Opens the component and compares it with the dataset file.
pub(super) async fn fit(
    dataset: &Dataset,
    text: &str,
    component: &[u8],
    runtime: &Runtime,
) -> Result<(Plugin, Vec<Arc<OutputSchema>>), Findings> {
    let plugin = runtime.open(component).await.map_err(|error| {
        let message = format!("{}: {error}", dataset.plugin.component);
        located(text, vec![of_component(dataset, message, None)])
    })?;
    let judged = runtime.judge(&plugin.manifest, &dataset.settings).await;
    let mut findings = check::against(dataset, &plugin.manifest, &judged);
    let mut outputs = Vec::new();
    for (index, output) in dataset.outputs.iter().enumerate() {
        let shape = plugin.manifest.outputs.iter().find(|shape| shape.name == output.name);
        let columns = output.columns.clone().or_else(|| shape.map(|shape| shape.columns.clone()));
        match OutputSchema::new(&output.name, columns.unwrap_or_default(), output.target.clone()) {
            Ok(schema) => {
                findings.extend(unknown_to_catalogs(dataset, index, &schema));
                outputs.push(Arc::new(schema));
            }
            // The checks before say the same with more of the dataset file in view; this is for what they let through.
            Err(error) if findings.is_empty() => findings.push(Finding {
                file: dataset.file.clone(),
                position: None,
                place: dataset.place().key("output").index(index),
                message: error.to_string(),
                help: None,
            }),
            Err(_) => {}
        }
    }
    if findings.is_empty() { Ok((plugin, outputs)) } else { Err(located(text, findings)) }
}

/// Complains about connections that the dataset is granted and nobody here knows.
pub(super) fn connected(dataset: &Dataset, text: &str, databases: &Connections) -> Result<(), Findings> {
    let grants = dataset.place().key("grants").key("sql");
    let lacking = dataset.grants.sql.iter().enumerate().filter_map(|(number, name)| {
        let why = databases.lacks(name)?;
        let message = format!("there is no connection `{name}`: {why}");
        Some(Finding { file: dataset.file.clone(), position: None, place: grants.index(number), message, help: None })
    });
    let lacking: Vec<Finding> = lacking.collect();
    if lacking.is_empty() { Ok(()) } else { Err(located(text, lacking)) }
}

/// What no data catalog could hold of an output that is to be in one.
fn unknown_to_catalogs(dataset: &Dataset, index: usize, schema: &OutputSchema) -> Option<Finding> {
    let output = &dataset.outputs[index];
    let (Some(name), Target::Objects { prefix, .. }) = (&output.catalog, &output.target) else { return None };
    let place = dataset.place().key("output").index(index).key("catalog");
    let finding = |message: String| Finding { file: dataset.file.clone(), position: None, place, message, help: None };
    let Some(prefix) = prefix.fixed() else {
        return Some(finding(
            "a table of a data catalog has one place, and this prefix is another one in each run".into(),
        ));
    };
    let table = Table::of_output(schema, prefix, &name.database, &name.table);
    table.err().map(|error| finding(error.to_string()))
}

fn of_component(dataset: &Dataset, message: String, help: Option<String>) -> Finding {
    let place = dataset.place().key("plugin").key("component");
    Finding { file: dataset.file.clone(), position: None, place, message, help }
}

/// Findings of the comparison with the component name a key; the file's text says where that is.
fn located(text: &str, mut findings: Vec<Finding>) -> Findings {
    if !text.is_empty() {
        dataset::locate(&mut findings, text);
    }
    Findings(findings)
}
