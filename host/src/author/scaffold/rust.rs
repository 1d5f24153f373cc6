//! What a plugin in Rust begins with: a cargo package and workspace of its own.

use super::from::From;
use crate::author::carried::RUST_LOCK;
use crate::author::error::AuthorError;

macro_rules! template {
    ($name:literal) => {
        include_str!(concat!("../../../templates/rust/", $name))
    };
}

/// The files by their paths.
pub(super) fn templates(from: From) -> Result<Vec<(&'static str, &'static str)>, AuthorError> {
    let code = match from {
        From::Csv => template!("csv.rs"),
        From::Parquet | From::Json => template!("table.rs"),
        From::Lambda => {
            let why = "`--from lambda` ports a handler in Python: take `--lang python`, or `--from csv` for Rust";
            return Err(AuthorError::Refused(why.into()));
        }
    };
    Ok(vec![
        ("src/lib.rs", code),
        ("Cargo.toml", template!("manifest.toml")),
        // The versions that the SDK was tested with. Cargo takes out what is not needed, and adds the plugin itself.
        ("Cargo.lock", RUST_LOCK),
        (".cargo/config.toml", template!("cargo-config.toml")),
        (".gitignore", template!("gitignore")),
    ])
}
