//! One file: when it was made, and its values at the points.

use gristmill_plugin::Failure;
use gristmill_plugin::objects::Reader;
use hdf5_reader::{Dataset, Hdf5File};

use crate::cells::{Cell, Stored};
use crate::number::Kind;
use crate::packing::{Attribute, Attributes, Packing};
use crate::{source, time};

/// The variables that are read, in the order of [`Image::values`].
pub const VARIABLES: [&str; 2] = ["DSSF_TOT", "FRACTION_DIFFUSE"];
/// The file's attribute that says when it was made.
pub const TIME: &str = "time_coverage_start";

/// What is wanted of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// As the file writes it.
    pub time: String,
    /// For each point the value of each variable; none where it is masked.
    pub values: Vec<[Option<f64>; VARIABLES.len()]>,
}

/// When a file was made: what is read first, because two files of one time count once.
///
/// # Errors
/// `NoTime`, `BadTime`, and what [`source::open`] says.
pub fn time(file: &Hdf5File, reader: &Reader) -> Result<String, Failure> {
    let attribute = file.root_group().and_then(|root| root.attribute(TIME));
    let attribute = match attribute {
        Err(hdf5_reader::error::Error::AttributeNotFound(_)) => {
            return Err(Failure::reject("NoTime", format!("it has no attribute `{TIME}`")));
        }
        attribute => attribute.map_err(|error| source::bad(reader, &error))?,
    };
    let text = attribute
        .read_string()
        .map_err(|error| Failure::reject("BadTime", format!("its attribute `{TIME}` is no text: {error}")))?;
    if !time::is_instant(&text) {
        let why = format!("its attribute `{TIME}` is {text:?}, and no date and time as in \"2018-01-31T09:30:00Z\"");
        return Err(Failure::reject("BadTime", why));
    }
    Ok(text)
}

/// The values of all variables at the points, which lie within the grid.
///
/// # Errors
/// `NoVariable`, `OtherGrid`, `BadVariable`, and `BadImage` where the file is damaged.
pub fn values(
    file: &Hdf5File,
    reader: &Reader,
    grid: [u64; 2],
    cells: &[Cell],
) -> Result<Vec<[Option<f64>; VARIABLES.len()]>, Failure> {
    let mut values = vec![[None; VARIABLES.len()]; cells.len()];
    for (column, name) in VARIABLES.iter().enumerate() {
        let dataset = variable(file, reader, name, grid)?;
        let (kind, order) = Kind::of(dataset.dtype())
            .ok_or_else(|| Failure::reject("BadVariable", format!("the elements of `{name}` are no numbers")))?;
        let said = |error: &hdf5_reader::error::Error| {
            let failure = source::bad(reader, error);
            match failure.code() {
                "BadImage" => Failure::reject("BadImage", format!("`{name}` cannot be read: {error}")),
                _ => failure,
            }
        };
        let stored = Stored::new(file, reader, &dataset, kind.size()).map_err(|error| said(&error))?;
        let packing = Packing::new(kind, &attributes(&dataset), stored.fills())
            .map_err(|why| Failure::reject("BadVariable", format!("`{name}`: {why}")))?;
        let elements = stored.read(cells).map_err(|error| said(&error))?;
        for (row, element) in values.iter_mut().zip(elements.chunks_exact(kind.size())) {
            row[column] = kind.read(element, order).and_then(|number| packing.unpack(number));
        }
    }
    Ok(values)
}

fn variable(file: &Hdf5File, reader: &Reader, name: &str, grid: [u64; 2]) -> Result<Dataset, Failure> {
    let dataset = file.dataset(name).map_err(|error| match missing(&error) {
        true => Failure::reject("NoVariable", format!("it has no variable `{name}`")),
        false => source::bad(reader, &error),
    })?;
    let [before @ .., rows, columns] = dataset.shape() else {
        return Err(Failure::reject("OtherGrid", format!("`{name}` has the shape {:?} and no grid", dataset.shape())));
    };
    if [*rows, *columns] != grid || before.iter().any(|length| *length != 1) {
        let why = format!("`{name}` has the shape {:?}, where one grid of {grid:?} was expected", dataset.shape());
        return Err(Failure::reject("OtherGrid", why));
    }
    Ok(dataset)
}

fn missing(error: &hdf5_reader::error::Error) -> bool {
    use hdf5_reader::error::Error::{Context, DatasetNotFound};
    match error {
        DatasetNotFound(_) => true,
        Context { source, .. } => missing(source),
        _ => false,
    }
}

fn attributes(dataset: &Dataset) -> Attributes {
    let attribute = |name| dataset.attribute(name).map_or(Attribute::Absent, |found| attribute(&found));
    Attributes {
        fill_value: attribute("_FillValue"),
        missing_value: attribute("missing_value"),
        valid_range: attribute("valid_range"),
        valid_min: attribute("valid_min"),
        valid_max: attribute("valid_max"),
        scale_factor: attribute("scale_factor"),
        add_offset: attribute("add_offset"),
        unsigned: attribute("_Unsigned"),
    }
}

fn attribute(found: &hdf5_reader::Attribute) -> Attribute {
    if let Some((kind, order)) = Kind::of(&found.datatype) {
        let numbers = found.raw_data.chunks_exact(kind.size()).filter_map(|bytes| kind.read(bytes, order));
        return Attribute::Numbers(kind, numbers.collect());
    }
    found.read_string().map_or(Attribute::Absent, Attribute::Text)
}
