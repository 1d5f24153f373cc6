//! The highest daily precipitation of each GHCN-Daily weather station: one object per station in, one row out.

mod day;
pub mod logic;

use gristmill_plugin::{Call, ColumnType, Failure, Manifest, Output, Rows, objects};
use logic::{Counts, Highest, Settings, highest_precipitation};

gristmill_plugin::export!(describe, process);

fn describe() -> Manifest {
    gristmill_plugin::manifest!().settings_schema(Settings::SCHEMA).output(
        Output::new("stations", "The highest daily precipitation of each station that has any.")
            .column("pk", ColumnType::Text)
            .column("PRCP", ColumnType::Int64)
            .column("DATE", ColumnType::Date),
    )
}

fn process(call: Call<Settings>) -> Result<Counts, Failure> {
    let object = objects::stream(&call.uri()?)?;
    let (highest, counts) = highest_precipitation(object, &call.settings)?;
    if let Some(row) = highest {
        Rows::<Highest>::to("stations").emit(&row)?;
    }
    Ok(counts)
}
