//! A catalog in DuckDB's SQL: a view for each table. Names and places are strangers' texts: every one of them is quoted.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::CatalogError;
use super::definition::{Column, Definition, Storage};
use super::known::{Entry, Known};
use super::partition::folder_name;
use crate::object::Location;

/// All tables, as statements that may be run again at any time. What has no file yet has no rows.
pub(super) fn script(known: &Known, objects: &Path) -> Result<String, CatalogError> {
    let objects = std::path::absolute(objects).unwrap_or_else(|_| objects.to_owned());
    let mut script = "-- The tables of data_catalog.json for DuckDB. Written anew with every publish.\n".to_owned();
    for (database, tables) in &known.databases {
        let database = identifier(database);
        // Writing to memory does not fail.
        let _ = writeln!(script, "CREATE SCHEMA IF NOT EXISTS {database};");
        for (name, entry) in tables {
            let globs = globs(entry, &objects)?;
            let view = view(entry, &globs);
            let _ = writeln!(script, "CREATE OR REPLACE VIEW {database}.{} AS\n{view};", identifier(name));
        }
    }
    Ok(script)
}

/// The files of a table, as patterns. Each has a file, because DuckDB takes one that has none for an error.
fn globs(entry: &Entry, objects: &Path) -> Result<Vec<String>, CatalogError> {
    let Entry { definition, ending, partitions } = entry;
    let keys = definition.partition_keys.len();
    let (places, depth): (Vec<&str>, usize) = if keys > 0 && definition.projection.is_empty() {
        (partitions.values().map(String::as_str).collect(), 0)
    } else {
        (vec![definition.location.as_str()], keys)
    };
    let mut globs = Vec::new();
    for place in places {
        let refused = |why: &dyn std::fmt::Display| CatalogError::Refused(format!("DuckDB cannot read {place}: {why}"));
        let at: Location = place.parse().map_err(|error| refused(&error))?;
        let folder = objects.join(&at.bucket).join(at.key.trim_end_matches('/'));
        if !has_files(&folder, depth, ending) {
            continue;
        }
        let folder = folder.to_str().ok_or_else(|| refused(&"its path is not UTF-8"))?;
        // In patterns it separates folders, and nothing stands for itself there that does.
        if folder.contains('\\') {
            return Err(refused(&format!("there is a `\\` in its path {folder}; move the folder of `--local`")));
        }
        if let Some(part) = hiding(folder, definition) {
            return Err(refused(&format!(
                "it would take `{part}` in the path {folder} for a column of the table; move the folder of `--local`"
            )));
        }
        globs.push(format!("{}/{}*.{ending}", escaped(folder), "*/".repeat(depth)));
    }
    Ok(globs)
}

/// A part of a path, further up than the partition keys, that DuckDB would read instead of a column of the table.
fn hiding<'a>(folder: &'a str, table: &Definition) -> Option<&'a str> {
    let keys = table.partition_keys.len();
    let below = if table.projection.is_empty() { keys } else { 0 };
    let is_column = |part: &&str| {
        part.split_once('=').is_some_and(|(name, _)| {
            let is = |column: &Column| folder_name(&column.name).eq_ignore_ascii_case(name);
            table.columns.iter().chain(&table.partition_keys).any(is)
        })
    };
    let mut above = folder.rsplit('/').skip(below);
    if keys == 0 { None } else { above.find(is_column) }
}

/// Whether a file with this ending lies so many folders below.
fn has_files(folder: &Path, depth: usize, ending: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    let mut paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let fits =
        |path: &PathBuf| path.to_str().is_some_and(|path| path.ends_with(&format!(".{ending}"))) && path.is_file();
    if depth == 0 { paths.any(|path| fits(&path)) } else { paths.any(|path| has_files(&path, depth - 1, ending)) }
}

/// The rows of a table. The first part has no rows and says what the columns are: files of earlier runs may not have all of them.
fn view(Entry { definition, ending, .. }: &Entry, globs: &[String]) -> String {
    let (columns, keys) = (&definition.columns, &definition.partition_keys);
    let typed = |column: &Column, name: &str| format!("NULL::{} AS {}", duckdb(&column.kind), identifier(name));
    let nothing = |name: &dyn Fn(&Column) -> String| {
        let columns = columns.iter().map(|column| typed(column, &column.name));
        let all: Vec<String> = columns.chain(keys.iter().map(|key| typed(key, &name(key)))).collect();
        format!("SELECT {} WHERE false", all.join(", "))
    };
    if globs.is_empty() {
        return nothing(&|key| key.name.clone());
    }
    // DuckDB undoes the escapes of values in paths, and not those of names.
    let nothing = nothing(&|key| folder_name(&key.name));
    let key = |key: &Column| match folder_name(&key.name) {
        plain if plain == key.name => identifier(&plain),
        escaped => format!("{} AS {}", identifier(&escaped), identifier(&key.name)),
    };
    let names = columns.iter().map(|column| identifier(&column.name));
    let names: Vec<String> = names.chain(keys.iter().map(key)).collect();
    let files: Vec<String> = globs.iter().map(|glob| literal(glob)).collect();
    let files = format!("[\n    {}\n  ]", files.join(",\n    "));
    let hive = match definition.partition_keys.is_empty() {
        true => "hive_partitioning = false",
        // The values of partition keys are texts: `01` stays what it is.
        false => "hive_partitioning = true, hive_types_autocast = false",
    };
    // Said, because DuckDB looks for it in the path before the first `?`.
    let compression = match ending.rsplit_once('.') {
        Some((_, "gz")) => "gzip",
        Some((_, "zst")) => "zstd",
        _ => "none",
    };
    let rows = match definition.storage {
        Storage::Csv => format!(
            "read_csv({files}, header = true, delim = ',', quote = '\"', escape = '\"', all_varchar = true, \
             compression = '{compression}', union_by_name = true, {hive})"
        ),
        Storage::JsonLines => {
            let field = |column: &Column| format!("{}: {}", literal(&column.name), literal(duckdb(&column.kind)));
            let fields: Vec<String> = definition.columns.iter().map(field).collect();
            format!(
                "read_json({files}, format = 'newline_delimited', columns = {{{}}}, compression = '{compression}', {hive})",
                fields.join(", ")
            )
        }
        Storage::Parquet | Storage::Other(_) => format!("read_parquet({files}, union_by_name = true, {hive})"),
    };
    format!("SELECT {} FROM (\n  {nothing}\n  UNION ALL BY NAME\n  SELECT * FROM {rows}\n)", names.join(", "))
}

/// A type of Hive's. The files have instants in UTC, which others call `timestamp`.
fn duckdb(hive: &str) -> &'static str {
    match hive {
        "boolean" => "BOOLEAN",
        "tinyint" => "TINYINT",
        "smallint" => "SMALLINT",
        "int" => "INTEGER",
        "bigint" => "BIGINT",
        "float" => "FLOAT",
        "double" => "DOUBLE",
        "date" => "DATE",
        "timestamp" => "TIMESTAMP WITH TIME ZONE",
        _ => "VARCHAR",
    }
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A path in which nothing stands for other characters.
fn escaped(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for character in path.chars() {
        if "*?[".contains(character) {
            let _ = write!(escaped, "[{character}]");
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What DuckDB makes of them is tried in `tests/it/data_catalog.rs`.
    #[test]
    fn no_name_ends_its_quotes() {
        assert_eq!(identifier(r#"a"; DROP TABLE x; --"#), r#""a""; DROP TABLE x; --""#);
        assert_eq!(literal("it's'; --"), "'it''s''; --'");
        assert_eq!(escaped("/a[b]*?c"), "/a[[]b][*][?]c");
    }

    #[test]
    fn a_folder_further_up_is_no_column() {
        let column = |name| Column::new(name, "string");
        let mut table = Definition {
            location: "s3://b/t/".into(),
            storage: Storage::Parquet,
            columns: vec![column("id")],
            partition_keys: vec![column("year"), column("k=ey")],
            projection: std::collections::BTreeMap::new(),
        };
        assert_eq!(hiding("/x=1/b/t/year=1/k%3Dey=2", &table), None);
        assert_eq!(hiding("/ID=1/b/t/year=1/k%3Dey=2", &table), Some("ID=1"));
        assert_eq!(hiding("/b/year=0/t/year=1/k%3Dey=2", &table), Some("year=0"));
        table.projection.insert("projection.enabled".into(), "true".into());
        assert_eq!(hiding("/b/t", &table), None);
        assert_eq!(hiding("/year=0/b/t", &table), Some("year=0"));
        table.partition_keys.clear();
        assert_eq!(hiding("/year=0/b/t", &table), None, "without keys no path is read");
    }
}
