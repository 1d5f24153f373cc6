//! What a component says of itself, against a dataset file's settings and outputs: the settings' schema is the component's
//! own, and is compiled and applied here.

use std::path::Path;
use std::sync::LazyLock;

use gristmill::dataset::{
    Column, ColumnType, Dataset, Format, Layout, Manifest, OutputShape, PageCompression, Target, Variables, check,
    schema,
};
use gristmill::sink::OutputSchema;
use serde::Deserialize;
use serde_json::Value;

/// A manifest, and the settings of a dataset that uses it.
#[derive(Deserialize)]
struct Case {
    schema: Value,
    settings: Value,
    #[serde(default)]
    outputs: Vec<Shape>,
}

#[derive(Deserialize)]
struct Shape {
    name: String,
    /// The name, the type's word, and whether it is nullable.
    columns: Vec<(String, String, bool)>,
}

static DATASET: LazyLock<Dataset> = LazyLock::new(|| {
    let text = r#"
        dataset = "d"
        plugin.component = "p"
        map.items = [1]
        [[output]]
        name = "stations"
        table = "stations"
        key = ["pk"]
    "#;
    Dataset::parse(text, Path::new("datasets/d.toml"), &Variables::default()).unwrap()
});

pub fn manifest(data: &[u8]) -> bool {
    let Ok(Case { schema, settings, outputs }) = serde_json::from_slice(data) else { return false };
    let Some(outputs) = outputs.into_iter().map(shape).collect::<Option<Vec<_>>>() else { return false };
    // Without outputs only the settings count.
    let given = if outputs.is_empty() { Vec::new() } else { DATASET.outputs.clone() };
    let dataset = Dataset { settings, outputs: given, ..DATASET.clone() };
    let manifest = Manifest {
        name: "p".into(),
        version: "1.0.0".into(),
        description: String::new(),
        settings_schema: schema,
        outputs,
    };
    let judged = schema::judge(&manifest.name, &manifest.settings_schema, &dataset.settings);
    let findings = check::against(&dataset, &manifest, &judged);
    assert!(findings.len() <= 100 + data.len(), "{} findings", findings.len());
    findings.iter().for_each(|finding| super::in_proportion(finding, data));
    for output in &manifest.outputs {
        let format = Format::Parquet(PageCompression::default());
        let target = Target::Objects { prefix: "s3://b/p/".parse().unwrap(), format, layout: Layout::default() };
        if let Err(bad) = OutputSchema::new(&output.name, output.columns.clone(), target) {
            super::short(&bad);
        }
    }
    findings.is_empty()
}

fn shape(shape: Shape) -> Option<OutputShape> {
    let column = |(name, kind, nullable): (String, String, bool)| {
        let kind = KINDS.into_iter().find(|known| known.name() == kind)?;
        Some(Column { name, kind, nullable })
    };
    let columns = shape.columns.into_iter().map(column).collect::<Option<_>>()?;
    Some(OutputShape { name: shape.name, description: String::new(), columns })
}

/// All types of columns.
pub(super) const KINDS: [ColumnType; 7] = [
    ColumnType::Boolean,
    ColumnType::Int64,
    ColumnType::Float64,
    ColumnType::Text,
    ColumnType::Date,
    ColumnType::Timestamp,
    ColumnType::Json,
];
