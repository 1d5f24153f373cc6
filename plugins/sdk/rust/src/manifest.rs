//! What a plugin says of itself.

use crate::bindings::gristmill::plugin::types;

pub use types::ColumnType;

/// A plugin's name, version, settings and outputs: what `gristmill plugin inspect` shows and `gristmill check` checks a
/// dataset file against.
#[derive(Clone, Debug)]
pub struct Manifest(types::Manifest);

impl Manifest {
    /// A manifest of a plugin without settings and outputs. See the macro [`manifest!`](crate::manifest), which takes
    /// all three from `Cargo.toml`.
    #[must_use]
    pub fn new(name: &str, version: &str, description: &str) -> Self {
        Self(types::Manifest {
            name: name.to_owned(),
            version: version.to_owned(),
            description: description.to_owned(),
            settings_schema: r#"{"type":"object","additionalProperties":false}"#.to_owned(),
            outputs: Vec::new(),
        })
    }

    /// Sets the JSON Schema (2020-12) of the dataset file's `[settings]`. Without it there are none.
    #[must_use]
    pub fn settings_schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.0.settings_schema);
        self
    }

    /// Adds an output.
    #[must_use]
    pub fn output(mut self, output: Output) -> Self {
        self.0.outputs.push(output.0);
        self
    }
}

impl From<Manifest> for types::Manifest {
    fn from(manifest: Manifest) -> Self {
        manifest.0
    }
}

/// The shape of one output: its name and its columns, in the order in which they are written.
#[derive(Clone, Debug)]
pub struct Output(types::OutputShape);

impl Output {
    /// An output without columns yet. The description is a sentence for people.
    #[must_use]
    pub fn new(name: &str, description: &str) -> Self {
        Self(types::OutputShape { name: name.to_owned(), description: description.to_owned(), columns: Vec::new() })
    }

    /// Adds a column that every row has.
    #[must_use]
    pub fn column(self, name: &str, kind: ColumnType) -> Self {
        self.push(name, kind, false)
    }

    /// Adds a column that rows may leave out.
    #[must_use]
    pub fn nullable(self, name: &str, kind: ColumnType) -> Self {
        self.push(name, kind, true)
    }

    fn push(mut self, name: &str, kind: ColumnType, nullable: bool) -> Self {
        self.0.columns.push(types::Column { name: name.to_owned(), type_: kind, nullable });
        self
    }
}

/// [`Manifest::new`] with the name, version and description from `Cargo.toml`.
#[macro_export]
macro_rules! manifest {
    () => {
        $crate::Manifest::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
    };
}
