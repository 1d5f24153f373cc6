//! What stores would refuse, known before anything runs. A dataset runs here and in the cloud, so the limits of both hold: those of
//! Amazon DynamoDB and S3, and those of SQLite and of a folder, which stand for them under `--local`.

use std::collections::BTreeMap;

use super::findings::{Complaint, nearest, quoted};
use super::{Column, ColumnType, OutputSpec, Prefix, Target};
use crate::object::MAX_KEY_BYTES;

/// The most columns of a table of SQLite (`SQLITE_MAX_COLUMN`).
const MAX_COLUMNS: usize = 2000;

/// The longest name of a key's attribute, and of any other, in bytes (Amazon DynamoDB, "Constraints").
const MAX_KEY_NAME: usize = 255;
const MAX_NAME: usize = 65_535;

/// The longest name of a file, in bytes (Linux).
pub(crate) const MAX_FILE_NAME: usize = 255;

/// What a batch's object is called below its prefix, at most: 64 characters of its execution's name, `-`, 12 digits, and an ending;
/// or that of the list of its files, with the output's name.
const OBJECT_NAME: usize = "_gristmill/_".len() + 64 + 1 + 12 + 1 + 63 + ".json".len();

/// Why a text cannot be a table's name.
pub(super) fn table_name(name: &str) -> Option<Complaint> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.contains("{$") {
        let help = "a table is one for all runs; the `prefix` of an output can have one for each".into();
        return Some((format!("`{name}`: a table's name is no template"), Some(help)));
    }
    if !(3..=255).contains(&name.len()) || !name.chars().all(allowed) {
        let help = "a table's name is 3 to 255 letters, digits, `_`, `-` and `.` (Amazon DynamoDB)".into();
        return Some((format!("`{name}` is not a table's name"), Some(help)));
    }
    let reserved = name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("sqlite_"));
    reserved.then(|| {
        let help = "names that begin with `sqlite_` are SQLite's own, which stands for DynamoDB under `--local`".into();
        (format!("`{name}` is not a table's name"), Some(help))
    })
}

/// Why these columns cannot be a table's.
pub(super) fn columns(target: &Target, columns: &[Column]) -> Vec<Complaint> {
    let Target::Table { key, .. } = target else { return Vec::new() };
    let mut complaints = Vec::new();
    if columns.len() > MAX_COLUMNS {
        let help = "put what belongs together into a column of type `json`, or let the output be objects".into();
        let message = format!("{} columns; a table has at most {MAX_COLUMNS} (SQLite, under `--local`)", columns.len());
        complaints.push((message, Some(help)));
    }
    let mut by_letters = BTreeMap::new();
    for Column { name, .. } in columns {
        // Repeated names are reported elsewhere.
        if let Some(other) = by_letters.insert(name.to_ascii_lowercase(), name).filter(|other| *other != name) {
            complaints.push(by_case_alone("columns", other, name));
        }
        let most = if key.contains(name) { MAX_KEY_NAME } else { MAX_NAME };
        if name.len() > most {
            let start: String = name.chars().take(20).collect();
            let what = if key.contains(name) { "of a key" } else { "of a column" };
            let message = format!("the name `{start}…` has {} bytes; one {what} has at most {most}", name.len());
            complaints.push((message, None));
        }
    }
    complaints
}

/// Why columns cannot be the key of a table: they are missing or nullable, their type is none of Amazon DynamoDB's key types
/// (S or N), or its values are not exact.
pub(super) fn key_columns(target: &Target, columns: &[Column]) -> Vec<Complaint> {
    let Target::Table { key, .. } = target else {
        return Vec::new();
    };
    let check = |name: &String| {
        let Some(column) = columns.iter().find(|column| column.name == *name) else {
            let help = nearest(name, columns.iter().map(|column| column.name.as_str()));
            return Some((format!("the key column `{name}` is not among the columns"), help));
        };
        if column.nullable {
            return Some((format!("the key column `{name}` may be null; a key may not"), None));
        }
        let refused = match column.kind {
            ColumnType::Text | ColumnType::Int64 | ColumnType::Date | ColumnType::Timestamp => return None,
            ColumnType::Boolean => "boolean",
            ColumnType::Float64 => "float64",
            ColumnType::Json => "json",
        };
        let help = format!("a key is of type {}", quoted(&["text", "int64", "date", "timestamp"]));
        Some((format!("the key column `{name}` is of type `{refused}`"), Some(help)))
    };
    key.iter().filter_map(check).collect()
}

/// Why two outputs cannot have the places that they name.
pub(super) fn beside(output: &OutputSpec, other: &OutputSpec) -> Option<Complaint> {
    match (&output.target, &other.target) {
        (Target::Table { table, .. }, Target::Table { table: theirs, .. }) if table == theirs => {
            let help = "a table has one key, and rows of both would replace each other: give each a table".into();
            Some((format!("`{}` goes to the same place as `{}`", output.name, other.name), Some(help)))
        }
        (Target::Table { table, .. }, Target::Table { table: theirs, .. }) if table.eq_ignore_ascii_case(theirs) => {
            Some(by_case_alone("tables", theirs, table))
        }
        (ours, theirs) if ours.is_same_place(theirs) => {
            Some((format!("`{}` goes to the same place as `{}`", output.name, other.name), None))
        }
        _ => None,
    }
}

fn by_case_alone(what: &str, one: &str, other: &str) -> Complaint {
    let help = "SQLite, which stands for DynamoDB under `--local`, takes both for one: give one of them another name";
    (format!("the {what} `{one}` and `{other}` differ in upper and lower case alone"), Some(help.into()))
}

/// Why objects cannot lie under a prefix.
pub(super) fn prefix(prefix: &Prefix) -> Option<Complaint> {
    let place = match prefix.example() {
        Ok(place) => place,
        Err(error) => return Some((error.to_string(), None)),
    };
    let longest = MAX_KEY_BYTES - OBJECT_NAME;
    if place.key.len() > longest {
        let message = format!(
            "the prefix's key has {} bytes; at most {longest} leave room for the objects' names (Amazon S3: 1,024 in all)",
            place.key.len()
        );
        return Some((message, None));
    }
    let mut parts = place.key.split('/').rev().skip(1);
    if parts.clone().any(str::is_empty) {
        let help = "write one `/`: a folder, which stands for the bucket under `--local`, has no names that are empty";
        return Some((format!("the prefix `{prefix}` has an empty part"), Some(help.into())));
    }
    let long = parts.find(|part| part.len() > MAX_FILE_NAME)?;
    let start: String = long.chars().take(20).collect();
    let message =
        format!("`{start}…` has {} bytes; a folder, under `--local`, has names of at most {MAX_FILE_NAME}", long.len());
    Some((message, None))
}
