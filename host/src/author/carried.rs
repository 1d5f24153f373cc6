//! What the binary carries of this repository: the SDKs and the contract, as they were when it was built. A test compares these
//! lists with the folders.

/// A file's path below its folder, and its text.
pub(super) type Carried = (&'static str, &'static str);

macro_rules! carried {
    ($folder:literal: $($path:literal,)*) => {
        [$(($path, include_str!(concat!("../../../", $folder, $path)))),*]
    };
}

/// The contract.
pub(super) const CONTRACT: &[Carried] = &carried![
    "wit/":
    "deps/logging/logging.wit",
    "plugin.wit",
    "sql.wit",
    "tables.wit",
];

/// The Rust SDK.
pub(super) const RUST: &[Carried] = &carried![
    "plugins/sdk/rust/":
    "Cargo.toml",
    "src/bindings.rs",
    "src/call.rs",
    "src/csv/bytes.rs",
    "src/csv/error.rs",
    "src/csv/filter.rs",
    "src/csv/kind.rs",
    "src/csv/look.rs",
    "src/csv/mod.rs",
    "src/csv/pieces.rs",
    "src/csv/reader.rs",
    "src/csv/record.rs",
    "src/csv/scanner.rs",
    "src/csv/source.rs",
    "src/export.rs",
    "src/failure.rs",
    "src/lib.rs",
    "src/logging.rs",
    "src/manifest.rs",
    "src/objects/mod.rs",
    "src/objects/reader.rs",
    "src/output.rs",
    "src/sql.rs",
    "src/table/arrow.rs",
    "src/table/block.rs",
    "src/table/column.rs",
    "src/table/columnar.rs",
    "src/table/columns.rs",
    "src/table/encode.rs",
    "src/table/flat.rs",
    "src/table/instant.rs",
    "src/table/layout.rs",
    "src/table/mod.rs",
    "src/table/open.rs",
    "src/table/row.rs",
    "src/table/values.rs",
    "src/table/write.rs",
];

/// The workspace that the Rust SDK takes versions and lints from.
pub(super) const RUST_WORKSPACE: &str = include_str!("../../../plugins/Cargo.toml");
/// The versions of its dependencies that it was tested with.
pub(super) const RUST_LOCK: &str = include_str!("../../../plugins/Cargo.lock");

/// The Python SDK.
pub(super) const PYTHON: &[Carried] = &carried![
    "plugins/sdk/python/":
    "requirements.txt",
    "src/gristmill/__init__.py",
    "src/gristmill/__main__.py",
    "src/gristmill/block.py",
    "src/gristmill/build.py",
    "src/gristmill/call.py",
    "src/gristmill/component.py",
    "src/gristmill/context.py",
    "src/gristmill/failure.py",
    "src/gristmill/flat.py",
    "src/gristmill/given.py",
    "src/gristmill/host.py",
    "src/gristmill/imports.py",
    "src/gristmill/kind.py",
    "src/gristmill/layout.py",
    "src/gristmill/names.py",
    "src/gristmill/objects.py",
    "src/gristmill/parse.py",
    "src/gristmill/plugin.py",
    "src/gristmill/py.typed",
    "src/gristmill/request.py",
    "src/gristmill/requirements.py",
    "src/gristmill/rows.py",
    "src/gristmill/scan.py",
    "src/gristmill/statement.py",
    "src/gristmill/table.py",
    "src/gristmill/testing.py",
    "src/gristmill/values.py",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The files below a folder of the repository that a component may be made of.
    fn files(root: &str, below: &str) -> BTreeSet<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(root);
        let (mut folders, mut found) = (vec![root.join(below)], BTreeSet::new());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && path.file_name().is_some_and(|name| name != "__pycache__") {
                    folders.push(path);
                } else if path.is_file() {
                    found.insert(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found
    }

    #[test]
    fn everything_is_carried() {
        let lists = [("wit", "", CONTRACT), ("plugins/sdk/rust", "src", RUST), ("plugins/sdk/python", "src", PYTHON)];
        for (root, below, list) in lists {
            let carried: BTreeSet<String> = list.iter().map(|(path, _)| (*path).to_owned()).collect();
            let missing: Vec<_> = files(root, below).difference(&carried).cloned().collect();
            assert!(missing.is_empty(), "{root}: to be added to carried.rs: {missing:?}");
        }
    }
}
