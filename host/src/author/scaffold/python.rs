//! What a plugin in Python begins with.

use super::from::From;

macro_rules! template {
    ($name:literal) => {
        include_str!(concat!("../../../templates/python/", $name))
    };
}

/// The files by their paths.
pub(super) fn templates(from: From) -> Vec<(&'static str, &'static str)> {
    let (code, test) = match from {
        From::Csv => (template!("csv.py"), template!("test_csv.py")),
        From::Parquet | From::Json => (template!("table.py"), template!("test_table.py")),
        From::Lambda => (template!("lambda.py"), template!("test_lambda.py")),
    };
    vec![
        ("app.py", code),
        ("tests/test_app.py", test),
        ("pyproject.toml", template!("pyproject.toml")),
        (".gitignore", template!("gitignore")),
    ]
}
