//! Emits the rows that it reads, as they are: what becomes of them behind the plugin is what is measured.

use gristmill_plugin::table::{self, Columns, Type};
use gristmill_plugin::{AnyBatchInput, Call, ColumnType, Failure, Manifest, NoSettings, Output};
use serde::Deserialize;

gristmill_plugin::export!(describe, process);

const NUMBERS: [&str; 3] = ["temperature", "humidity", "batterylevel"];

#[derive(Deserialize)]
struct File {
    uri: String,
}

fn describe() -> Manifest {
    let output = Output::new("readings", "Every reading.").column("deviceid", ColumnType::Text);
    let output = output.column("measured", ColumnType::Timestamp);
    gristmill_plugin::manifest!()
        .output(NUMBERS.iter().fold(output, |output, name| output.nullable(name, ColumnType::Float64)))
}

fn process(call: Call<NoSettings, File, AnyBatchInput>) -> Result<(), Failure> {
    let wanted = table::open(&call.item.uri).column("deviceid", Type::Text).column("measured", Type::Timestamp);
    for block in NUMBERS.iter().fold(wanted, |all, name| all.column(name, Type::Float64)).blocks()? {
        let block = block?;
        let columns = Columns::to("readings");
        let columns = columns.text("deviceid", block.text("deviceid")?.iter());
        let mut columns = columns.timestamp("measured", block.timestamp("measured")?.iter());
        for name in NUMBERS {
            columns = columns.f64(name, block.f64(name)?.iter());
        }
        columns.emit()?;
    }
    Ok(())
}
