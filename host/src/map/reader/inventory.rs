//! S3 Inventory: a manifest that names files, and in each file a row per object of a bucket ("Amazon S3 Inventory" in the
//! S3 user guide).
//!
//! An inventory is days old, and was perhaps copied: a file is held against the MD5 that the manifest has of it before any
//! of its rows is an item. So each file is copied first. What is read then is what was verified, and is fetched once.

mod copy;
mod left_out;
mod parquet;

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use tokio::runtime::Handle;

use self::copy::Copy;
use self::left_out::LeftOut;
use super::csv::{self, Row, Rows};
use super::format::{Emit, Stop};
use super::items::ReadError;
use super::object;
use crate::object::{Location, ObjectStore};

/// The largest manifest: some 300,000 files, of which each lists up to millions of objects.
const MAX_MANIFEST: u64 = 64 * 1024 * 1024;

/// `manifest.json`, as far as it matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    /// An ARN: where the files are.
    destination_bucket: String,
    file_format: String,
    /// Of CSV, the columns' names, separated by commas and blanks. Files in Parquet have their own.
    file_schema: String,
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    key: String,
    #[serde(rename = "MD5checksum")]
    md5: String,
}

/// How the files are written.
enum Files {
    Csv(Columns),
    Parquet,
}

/// What there is in every file in CSV.
struct Columns {
    /// What stands before each value of an item ([`csv::keys`]).
    names: Vec<String>,
    /// Which of them is the object's key.
    key: usize,
}

/// Reads the files in the manifest's order; each row is an object of strings, with the key as S3 has it.
pub(super) fn read(
    runtime: &Handle,
    store: &Arc<dyn ObjectStore>,
    at: &Location,
    emit: &mut Emit<'_>,
) -> Result<(), Option<ReadError>> {
    let mut left_out = LeftOut::default();
    let mut read = || {
        let of_manifest = |stop| ReadError::of(stop, at);
        let manifest = manifest(runtime, store.clone(), at).map_err(of_manifest)?;
        let files = files(&manifest).map_err(of_manifest)?;
        for file in &manifest.files {
            let file_at = location(&manifest, file).map_err(of_manifest)?;
            let copy = Copy::verified(object::raw(runtime, store.clone(), &file_at), &file.md5, at);
            let copy = copy.map_err(|stop| ReadError::of(stop, &file_at))?;
            match &files {
                Files::Csv(columns) => {
                    let mut text = BufReader::with_capacity(128 * 1024, MultiGzDecoder::new(copy.reader()));
                    let rows = rows(&mut text, columns, &mut left_out, emit);
                    rows.map_err(|stop| ReadError::of(stop, &file_at))?;
                }
                Files::Parquet => {
                    parquet::read(runtime, copy.store(file_at.clone()), &file_at, &mut left_out, emit)?;
                }
            }
        }
        Ok(())
    };
    let done = read();
    left_out.tell(at);
    done
}

fn manifest(runtime: &Handle, store: Arc<dyn ObjectStore>, at: &Location) -> Result<Manifest, Stop> {
    let text = object::open(runtime, store, at)?.take(MAX_MANIFEST);
    let manifest: Manifest = serde_json::from_reader(text).map_err(|error| {
        if error.is_io() {
            return Stop::Io(error.into());
        }
        // What was found in place of a text may be long.
        let error: String = error.to_string().chars().take(200).collect();
        Stop::Format(format!(
            "no manifest of an S3 Inventory: {error}; name the `manifest.json` that S3 writes for one"
        ))
    })?;
    Ok(manifest)
}

fn files(manifest: &Manifest) -> Result<Files, Stop> {
    match manifest.file_format.as_str() {
        "CSV" => columns(manifest).map(Files::Csv),
        "Parquet" => Ok(Files::Parquet),
        other => {
            let found: String = other.chars().take(40).collect();
            Err(Stop::Format(format!(
                "the inventory's files are {found}, and only CSV and Parquet can be read, by Step Functions only CSV: choose CSV \
                 as the output format of the bucket's inventory, and take the next one"
            )))
        }
    }
}

fn columns(manifest: &Manifest) -> Result<Columns, Stop> {
    let names: Vec<String> = manifest.file_schema.split(',').map(|name| name.trim().to_owned()).collect();
    let wrong = |reason: String| Stop::Format(format!("`fileSchema` of the manifest: {reason}"));
    let key = names.iter().position(|name| name == "Key").ok_or_else(|| {
        wrong(
            "it has no column `Key`, as every inventory has; was the manifest changed? Take the one that S3 wrote"
                .into(),
        )
    })?;
    Ok(Columns { names: csv::keys(&names).map_err(wrong)?, key })
}

/// Where a file is: in the bucket into which S3 wrote the inventory.
fn location(manifest: &Manifest, file: &File) -> Result<Location, Stop> {
    let bucket = manifest.destination_bucket.rsplit(":::").next().unwrap_or_default();
    let at = format!("s3://{bucket}/{}", file.key).parse::<Location>().and_then(|at| at.names_an_object().map(|()| at));
    at.map_err(|error| {
        let error: String = error.to_string().chars().take(200).collect();
        Stop::Format(format!("the manifest names a file that cannot be: {error}; take the manifest that S3 wrote"))
    })
}

/// The rows of one file. What is no object that could be read is counted by its reason.
fn rows(text: &mut dyn BufRead, columns: &Columns, left_out: &mut LeftOut, emit: &mut Emit<'_>) -> Result<(), Stop> {
    let (mut rows, mut row) = (Rows::new(text, b','), Row::default());
    while rows.next(&mut row)? {
        let wrong = |reason: String| Stop::Format(format!("line {}: {reason}", row.line));
        let mut fields: Vec<Cow<'_, str>> = row.fields()?.map(Cow::from).collect();
        // A row that is shifted would give other objects' sizes and tags, not an error.
        if fields.len() != columns.names.len() {
            let (found, expected) = (fields.len(), columns.names.len());
            let reason = format!("a row of {found} fields, and the manifest's `fileSchema` has {expected}");
            return Err(wrong(format!("{reason}; take the manifest that S3 wrote with this file")));
        }
        if let Some(key) = fields.get_mut(columns.key) {
            *key = decoded(key).ok_or_else(|| wrong("the key is not UTF-8 after it was URL-decoded, as all keys in S3 are; take the file that S3 wrote".into()))?.into();
        }
        let item = csv::object(&columns.names, &fields, row.line)?;
        left_out.or_emit(item, emit)?;
    }
    Ok(())
}

/// The key of an object: in an inventory a space is a `+`, and other bytes are `%` and two digits.
fn decoded(key: &str) -> Option<String> {
    let key = key.replace('+', " ");
    percent_decode_str(&key).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests;
