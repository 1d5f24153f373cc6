//! Stage 1: the values of a day's files at the points.

use std::collections::HashMap;

use gristmill_plugin::objects::Reader;
use gristmill_plugin::{Failure, log};
use serde::Serialize;

use crate::image::{self, Image};
use crate::points::Points;
use crate::settings::Unreadable;
use crate::source;

/// A row of either stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Row<'a> {
    /// When the image was made, as its file writes it.
    pub time: &'a str,
    /// The point.
    pub point_id: i64,
    /// The total flux in W/m²; none where it is masked.
    #[serde(rename = "DSSF_TOT")]
    pub total: Option<f64>,
    /// The fraction of it that is diffuse.
    #[serde(rename = "FRACTION_DIFFUSE")]
    pub diffuse: Option<f64>,
}

/// What is said of a day in the batch's report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Day {
    /// The files that were read, and whose rows count.
    pub files: usize,
    /// Their rows.
    pub rows: usize,
    /// How many files could not be read.
    pub unread_files: usize,
    /// Which these are, as many as there is room for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Unread>,
    /// How many files have the time of a later one, and do not count.
    pub repeated_files: usize,
    /// Which these are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repeated: Vec<Repeated>,
}

/// A file that could not be read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unread {
    /// The file.
    pub uri: String,
    /// What was wrong, as a word.
    pub code: String,
    /// What was wrong.
    pub message: String,
}

/// A file that has the time of another one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Repeated {
    /// The file.
    pub uri: String,
    /// The file that counts.
    pub counts: String,
}

/// A report has 4 KiB; this many bytes of it are for the names of files and what was wrong with them.
const ROOM: usize = 3500;

/// Reads a day's files, given in the order of their keys, and gives the rows of each.
///
/// The last key comes first: of two files of one time the later one counts, and no image has to wait in memory for another.
///
/// # Errors
/// `Unreadable` where no file could be read, or one could not and that is the end; what the host says of a file that was not
/// available or not granted; and what `emit` says.
pub fn day(
    uris: &[String],
    points: &Points,
    grid: [u64; 2],
    unreadable: Unreadable,
    open: impl Fn(&str) -> Result<Reader, Failure>,
    mut emit: impl FnMut(Row<'_>) -> Result<(), Failure>,
) -> Result<Day, Failure> {
    let mut day = Day::default();
    let mut times: HashMap<String, &str> = HashMap::new();
    let mut room = ROOM;
    for uri in uris.iter().rev() {
        match file(uri, points, grid, &open, |time| times.get(time).copied()) {
            Ok(Read::Image(image)) => {
                day.files += 1;
                day.rows += rows(&image, points, &mut emit)?;
                times.insert(image.time, uri);
            }
            Ok(Read::Repeats(other)) => {
                day.repeated_files += 1;
                log::warn!("{uri} has the time of {other}, which counts");
                push(&mut day.repeated, Repeated { uri: uri.clone(), counts: other.to_owned() }, &mut room);
            }
            Err(failure) if failure.is_retry() || failure.code() == "ObjectDenied" => return Err(failure),
            Err(failure) => {
                day.unread_files += 1;
                log::error!("{uri} was not read: {failure}");
                let message = failure.message().chars().take(300).collect();
                push(&mut day.unread, Unread { uri: uri.clone(), code: failure.code().to_owned(), message }, &mut room);
            }
        }
    }
    if day.unread_files > 0 && (day.files == 0 || unreadable == Unreadable::Reject) {
        return Err(day.unreadable(uris.len()));
    }
    Ok(day)
}

/// The values of one file, which is an item itself.
///
/// # Errors
/// Says what is wrong with the file.
pub fn one(
    uri: &str,
    points: &Points,
    grid: [u64; 2],
    open: impl Fn(&str) -> Result<Reader, Failure>,
    mut emit: impl FnMut(Row<'_>) -> Result<(), Failure>,
) -> Result<Day, Failure> {
    match file(uri, points, grid, &open, |_| None) {
        Ok(Read::Image(image)) => Ok(Day { files: 1, rows: rows(&image, points, &mut emit)?, ..Day::default() }),
        Ok(Read::Repeats(_)) => Ok(Day::default()),
        Err(failure) if failure.is_retry() || failure.message().contains(uri) => Err(failure),
        Err(failure) => Err(Failure::reject(failure.code().to_owned(), format!("{uri}: {}", failure.message()))),
    }
}

enum Read<'a> {
    Image(Image),
    Repeats(&'a str),
}

fn file<'a>(
    uri: &str,
    points: &Points,
    grid: [u64; 2],
    open: &impl Fn(&str) -> Result<Reader, Failure>,
    counts: impl FnOnce(&str) -> Option<&'a str>,
) -> Result<Read<'a>, Failure> {
    let reader = source::sparing(open(uri)?);
    let file = source::open(&reader)?;
    let time = image::time(&file, &reader)?;
    if let Some(other) = counts(&time) {
        return Ok(Read::Repeats(other));
    }
    let values = image::values(&file, &reader, grid, &points.cells)?;
    Ok(Read::Image(Image { time, values }))
}

fn rows(
    image: &Image,
    points: &Points,
    emit: &mut impl FnMut(Row<'_>) -> Result<(), Failure>,
) -> Result<usize, Failure> {
    for (point_id, [total, diffuse]) in points.ids.iter().zip(&image.values) {
        emit(Row { time: &image.time, point_id: *point_id, total: *total, diffuse: *diffuse })?;
    }
    Ok(points.ids.len())
}

/// Adds an entry if there is room for it in the report.
fn push<T: Serialize>(entries: &mut Vec<T>, entry: T, room: &mut usize) {
    let takes = serde_json::to_string(&entry).map_or(usize::MAX, |text| text.len() + 1);
    if let Some(left) = room.checked_sub(takes) {
        *room = left;
        entries.push(entry);
    }
}

impl Day {
    fn unreadable(&self, of: usize) -> Failure {
        let mut why = format!("{} of {of} files could not be read", self.unread_files);
        for Unread { uri, code, message } in &self.unread {
            why += &format!("; {uri}: {code}: {message}");
        }
        let hint = if self.files == 0 { "" } else { " (`unreadable = \"report\"` in the settings takes the others)" };
        Failure::reject("Unreadable", why + hint)
    }
}
