//! The plugin's logic without a host: the other side of `make bench-guest`.
//!
//!     native FILE...
//!
//! Reads the files into memory. Then every line on standard input asks for one pass over all of them, one item per file,
//! and is answered with the pass's nanoseconds and number of rows, so that passes can alternate with somebody else's.

use std::io::{BufRead as _, Write as _};
use std::time::Instant;

use gristmill_plugin::Failure;
use gristmill_plugin::csv::Source;
use noaa_precipitation::logic::{Settings, highest_precipitation};

/// The size of the chunks that the plugin asks the host for.
const CHUNK: usize = 256 << 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = std::env::args_os().skip(1).map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    let mut answers = std::io::stdout().lock();
    for _ in std::io::stdin().lock().lines() {
        let start = Instant::now();
        let mut rows = 0;
        for file in &files {
            let (row, counts) = highest_precipitation(Chunks(file), &Settings::default())?;
            rows += u64::from(row.is_some());
            std::hint::black_box((serde_json::to_string(&row)?, counts));
        }
        writeln!(answers, "{} {rows}", start.elapsed().as_nanos())?;
        answers.flush()?;
    }
    Ok(())
}

/// Chunks of their own, as `read` would give them: a guest, too, gets each byte copied once.
struct Chunks<'a>(&'a [u8]);

impl Source for Chunks<'_> {
    fn name(&self) -> &str {
        "memory"
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let (chunk, rest) = self.0.split_at(self.0.len().min(CHUNK));
        self.0 = rest;
        Ok((!chunk.is_empty()).then(|| chunk.to_vec()))
    }
}
