//! Rows value by value, each as its JSON text: for whoever compares rows or shows them.

use arrow::array::RecordBatch;

use super::cells::Cells;
use super::encode::append;
use super::error::SinkError;
use super::schema::OutputSchema;

/// Rows of one output, in order over all their blocks.
pub struct RowTexts<'a> {
    blocks: Vec<Cells<'a>>,
    /// For each row its block, and its place there.
    places: Vec<(usize, usize)>,
}

impl<'a> RowTexts<'a> {
    /// Looks at rows that have the output's Arrow schema.
    pub fn of(schema: &OutputSchema, blocks: impl IntoIterator<Item = &'a RecordBatch>) -> Result<Self, SinkError> {
        let blocks: Vec<_> = blocks.into_iter().map(|rows| Cells::of(schema, rows)).collect::<Result<_, _>>()?;
        let rows = |(block, cells): (usize, &Cells<'_>)| (0..cells.rows()).map(move |row| (block, row));
        let places = blocks.iter().enumerate().flat_map(rows).collect();
        Ok(Self { blocks, places })
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// The value of a row and a column that exist, as JSON.
    pub fn value(&self, row: usize, column: usize) -> String {
        let (block, row) = self.places[row];
        let mut text = Vec::new();
        // Writing to memory does not fail, and JSON is UTF-8.
        let _ = append(&mut text, self.blocks[block].get(row, column));
        String::from_utf8(text).unwrap_or_default()
    }
}
