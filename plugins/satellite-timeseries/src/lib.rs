//! Points out of weather-satellite images, and then one long time series of each.
//!
//! Two stages share this component; an item's shape says which one it belongs to. *Extract*: a day (`"20180101"`) becomes the
//! values of its NetCDF-4 files at the points. *Series*: what was written of one point (`{"partition": .., "files": ..}`) becomes
//! its time series.

mod cells;
pub mod extract;
pub mod image;
mod index;
pub mod item;
pub mod number;
pub mod packing;
pub mod points;
pub mod series;
pub mod settings;
pub mod source;
pub mod time;

use gristmill_plugin::table::{self, Columnar, Type};
use gristmill_plugin::{Bucket, Call, ColumnType, Failure, Manifest, Output, objects};
use item::Item;
use serde::Serialize;
use series::Series;
use settings::Settings;

gristmill_plugin::export!(describe, process);

fn describe() -> Manifest {
    let output = |name, description| {
        Output::new(name, description)
            .column("time", ColumnType::Text)
            .column("point_id", ColumnType::Int64)
            .nullable("DSSF_TOT", ColumnType::Float64)
            .nullable("FRACTION_DIFFUSE", ColumnType::Float64)
    };
    gristmill_plugin::manifest!()
        .settings_schema(Settings::SCHEMA)
        .output(output("values", "Stage extract: the values of each image at each point."))
        .output(output("series", "Stage series: the values of each point in the order of time."))
}

/// An item's entry in the batch's report.
#[derive(Serialize)]
#[serde(untagged)]
enum Report {
    Day(extract::Day),
    Point(series::Point),
}

fn process(call: Call<Settings, Item, Bucket>) -> Result<Report, Failure> {
    let Settings { images, points, grid, unreadable } = call.settings;
    match call.item {
        Item::Day(text) => {
            let points = self::points(points, grid)?;
            let uris = files_of(&text, images)?;
            let mut rows = Columnar::to("values");
            extract::day(&uris, &points, grid, unreadable, objects::reader, |row| rows.emit(&row)).map(Report::Day)
        }
        Item::File { bucket, key } => {
            let Some(bucket) = bucket.or(call.batch_input.bucket) else {
                let why = "neither the item nor the batch input has a `Bucket`: give the dataset's map a `batch_input` with one";
                return Err(Failure::reject("BadBatchInput", why));
            };
            let points = self::points(points, grid)?;
            let mut rows = Columnar::to("values");
            let uri = format!("s3://{bucket}/{key}");
            extract::one(&uri, &points, grid, objects::reader, |row| rows.emit(&row)).map(Report::Day)
        }
        Item::Point { point_id, files } => series_of(point_id, &files).map(Report::Point),
    }
}

fn points(given: Option<settings::Points>, grid: [u64; 2]) -> Result<points::Points, Failure> {
    match given {
        Some(settings::Points::Here(cells)) => points::Points::here(&cells, grid),
        Some(settings::Points::Object(uri)) => points::Points::of(&mut objects::read_csv(&uri)?, grid),
        None => Err(Failure::reject("BadSettings", "the setting `points` is missing, which a day needs")),
    }
}

/// The files of a day in the order of their keys.
fn files_of(text: &str, images: Option<String>) -> Result<Vec<String>, Failure> {
    let Some([year, month, day]) = time::day(text) else {
        return Err(Failure::reject("BadItem", format!("{text:?} is no day, as \"20180131\" is one")));
    };
    let Some(images) = images else {
        return Err(Failure::reject("BadSettings", "the setting `images` is missing, which a day needs"));
    };
    let prefix = format!("{}/{year}/{month}/{day}/", images.trim_end_matches('/'));
    let mut uris = Vec::new();
    let listing = objects::list(&prefix)?;
    loop {
        let page = listing.next()?;
        if page.is_empty() {
            break;
        }
        uris.extend(page.into_iter().map(|entry| entry.uri).filter(|uri| uri.ends_with(".nc")));
    }
    match uris.is_empty() {
        true => Err(Failure::reject("NoFiles", format!("there is no file that ends in .nc under {prefix}"))),
        false => Ok(uris),
    }
}

fn series_of(point_id: i64, files: &[String]) -> Result<series::Point, Failure> {
    let mut series = Series::default();
    for uri in files {
        // Where the point is no part of the path, a file may have several.
        let table = table::open(uri)
            .column("time", Type::Text)
            .column("point_id", Type::Int64)
            .column("DSSF_TOT", Type::Float64)
            .column("FRACTION_DIFFUSE", Type::Float64)
            .filter("point_id", table::Comparison::Equal, point_id);
        for block in table.blocks()? {
            let block = block?;
            let (times, total, diffuse) = (block.text("time")?, block.f64("DSSF_TOT")?, block.f64("FRACTION_DIFFUSE")?);
            for (number, time) in times.iter().enumerate() {
                let time = time.ok_or_else(|| Failure::reject("NoTime", format!("{uri} has a row without a time")))?;
                series.push(time, total.get(number), diffuse.get(number));
            }
        }
    }
    let (series, said) = series.finish(files.len());
    let mut rows = Columnar::to("series");
    series.rows(point_id).try_for_each(|row| rows.emit(&row))?;
    Ok(said)
}
