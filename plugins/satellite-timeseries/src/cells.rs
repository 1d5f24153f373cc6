//! Single elements out of a dataset, with few and small reads: the index of its chunks is walked once, and each chunk that is
//! wanted is read and decoded once.

use std::collections::HashMap;

use gristmill_plugin::objects::Reader;
use hdf5_reader::chunk_index::ChunkEntry;
use hdf5_reader::error::{Error, Result};
use hdf5_reader::io::Cursor;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::filter_pipeline::FilterDescription;
use hdf5_reader::messages::layout::{ChunkIndexing, DataLayout};
use hdf5_reader::{Dataset, Hdf5File, filters};

use crate::index::Index;

/// What is wanted lies in ranges, which come at once if no more than this lies between them: a request costs more time.
const GAP: u64 = 128 << 10;
/// The most that comes at once.
const AT_ONCE: u64 = 8 << 20;
/// The largest chunk.
const LARGEST_CHUNK: u64 = 64 << 20;
/// A file up to this size comes whole, if its chunks are small ...
const SMALL_FILE: u64 = 32 << 20;
/// ... because the index of small chunks lies all over it.
const SMALL_CHUNK: u64 = 64 << 10;

/// Where elements lie in a dataset: the last two dimensions; all before them have one element.
pub(crate) type Cell = [u64; 2];

/// How a dataset is stored.
pub(crate) struct Stored<'a> {
    file: &'a Hdf5File,
    reader: &'a Reader,
    shape: Vec<u64>,
    max_shape: Option<Vec<u64>>,
    element: usize,
    layout: DataLayout,
    filters: Vec<FilterDescription>,
    fill: Option<Vec<u8>>,
}

/// Bytes of the file with elements that are wanted: their number, and their place in what is decoded.
struct Extent {
    start: u64,
    length: u64,
    skipped_filters: u32,
    cells: Vec<(usize, usize)>,
}

impl<'a> Stored<'a> {
    pub(crate) fn new(file: &'a Hdf5File, reader: &'a Reader, dataset: &Dataset, element: usize) -> Result<Self> {
        let header = file.get_or_parse_header(dataset.address())?;
        let (mut layout, mut filters, mut fill) = (None, Vec::new(), None);
        for message in &header.messages {
            match message {
                HdfMessage::DataLayout(found) => layout = Some(found.layout.clone()),
                HdfMessage::FilterPipeline(found) => filters.clone_from(&found.filters),
                HdfMessage::FillValue(found) => {
                    fill = found.value.clone().filter(|value| value.len() == element).or(fill)
                }
                HdfMessage::ExternalFiles(_) => return Err(Error::UnsupportedEncoding("values in other files".into())),
                _ => {}
            }
        }
        let layout = layout.ok_or_else(|| Error::InvalidData("it has no layout".into()))?;
        let shape = dataset.shape().to_vec();
        Ok(Self {
            file,
            reader,
            shape,
            max_shape: dataset.max_dims().map(<[u64]>::to_vec),
            element,
            layout,
            filters,
            fill,
        })
    }

    /// Whether HDF5 has a fill value of the dataset's own.
    pub(crate) fn fills(&self) -> bool {
        self.fill.is_some()
    }

    /// The elements there, one after the other. All cells lie within the shape.
    pub(crate) fn read(&self, cells: &[Cell]) -> Result<Vec<u8>> {
        let fill = self.fill.clone().unwrap_or_else(|| vec![0; self.element]);
        let mut elements = fill.repeat(cells.len());
        match &self.layout {
            DataLayout::Compact { data } => self.copy(data, &self.in_rows(cells), &mut elements)?,
            DataLayout::Contiguous { address, .. } if !self.is_somewhere(*address) => {}
            DataLayout::Contiguous { address, .. } => {
                let extents = self.in_rows(cells).into_iter().map(|(number, at)| {
                    let start = address.saturating_add(at as u64);
                    Extent { start, length: self.element as u64, skipped_filters: 0, cells: vec![(number, 0)] }
                });
                self.fetch(extents.collect(), self.element, &mut elements)?;
            }
            DataLayout::Chunked { address, .. } if !self.is_somewhere(*address) => {}
            DataLayout::Chunked { address, dims, chunk_indexing, .. } => {
                let dims =
                    dims.get(..self.shape.len()).ok_or_else(|| Error::InvalidData("chunks of another rank".into()))?;
                let bytes = dims.iter().try_fold(self.element as u64, |bytes, dim| bytes.checked_mul(u64::from(*dim)));
                let Some(bytes) = bytes.filter(|bytes| (1..=LARGEST_CHUNK).contains(bytes)) else {
                    return Err(Error::ResourceLimit(format!(
                        "chunks of {dims:?} elements are more than 64 MiB, or none"
                    )));
                };
                if bytes <= SMALL_CHUNK && self.reader.size() <= SMALL_FILE {
                    self.prefetch(0, self.file.storage().len())?;
                }
                let extents = self.chunks(*address, dims, chunk_indexing.as_ref(), bytes, cells)?;
                self.fetch(extents, bytes as usize, &mut elements)?;
            }
        }
        Ok(elements)
    }

    /// Where the cells lie, if all elements lie one after the other.
    fn in_rows(&self, cells: &[Cell]) -> Vec<(usize, usize)> {
        let width = self.shape.last().copied().unwrap_or(0);
        let place = |[row, column]: Cell| (row * width + column) as usize * self.element;
        cells.iter().enumerate().map(|(number, cell)| (number, place(*cell))).collect()
    }

    /// The chunks with cells that are wanted, as far as they were written.
    fn chunks(
        &self,
        address: u64,
        dims: &[u32],
        indexing: Option<&ChunkIndexing>,
        bytes: u64,
        cells: &[Cell],
    ) -> Result<Vec<Extent>> {
        let [height, width] = [dims[dims.len() - 2], dims[dims.len() - 1]].map(u64::from);
        let mut wanted: HashMap<Cell, Vec<(usize, usize)>> = HashMap::new();
        for (number, [row, column]) in cells.iter().enumerate() {
            let place = (row % height * width + column % width) as usize * self.element;
            wanted.entry([row / height * height, column / width * width]).or_default().push((number, place));
        }
        let mut extents = Vec::with_capacity(wanted.len());
        for entry in self.index(address, dims, indexing, &wanted)? {
            let [before @ .., row, column] = &entry.offsets[..] else { continue };
            if before.iter().any(|offset| *offset != 0) || !self.is_somewhere(entry.address) {
                continue;
            }
            let Some(cells) = wanted.remove(&[*row, *column]) else { continue };
            // What was not filtered has the size of all chunks, which some indexes leave out.
            let length = if self.filters.is_empty() { bytes } else { entry.size };
            if length > 2 * bytes + 4096 {
                return Err(Error::InvalidData(format!("a chunk of {bytes} bytes takes {length} in the file")));
            }
            extents.push(Extent { start: entry.address, length, skipped_filters: entry.filter_mask, cells });
        }
        Ok(extents)
    }

    /// The index of the chunks, from the first row and column of chunks that are wanted to the last ones.
    fn index(
        &self,
        address: u64,
        dims: &[u32],
        indexing: Option<&ChunkIndexing>,
        wanted: &HashMap<Cell, Vec<(usize, usize)>>,
    ) -> Result<Vec<ChunkEntry>> {
        let (mut first, mut last) = (vec![0; dims.len()], vec![0; dims.len()]);
        for (axis, dim) in [(0, dims.len() - 2), (1, dims.len() - 1)] {
            let numbers = wanted.keys().map(|corner| corner[axis] / u64::from(dims[dim]));
            first[dim] = numbers.clone().min().unwrap_or(0);
            last[dim] = numbers.max().unwrap_or(0);
        }
        let index = Index { file: self.file, address, dims, shape: &self.shape, max_shape: self.max_shape.as_deref() };
        index.entries(indexing, self.element, (&first, &last))
    }

    /// Reads and decodes extents in the order of the file, neighbours at once.
    fn fetch(&self, mut extents: Vec<Extent>, decoded: usize, elements: &mut [u8]) -> Result<()> {
        extents.sort_unstable_by_key(|extent| extent.start);
        let mut ahead = 0;
        for number in 0..extents.len() {
            if number == ahead {
                let (start, mut end) = (extents[number].start, extents[number].start);
                while let Some(extent) = extents.get(ahead) {
                    let stop = extent.start.saturating_add(extent.length);
                    if ahead > number
                        && (extent.start > end.saturating_add(GAP) || stop > start.saturating_add(AT_ONCE))
                    {
                        break;
                    }
                    end = end.max(stop);
                    ahead += 1;
                }
                self.prefetch(start, end)?;
            }
            let extent = &extents[number];
            let bytes = self.file.storage().read_range(extent.start, extent.length as usize)?;
            if self.filters.is_empty() {
                self.copy(&bytes, &extent.cells, elements)?;
            } else {
                let (filters, skipped) = (&self.filters, extent.skipped_filters);
                let chunk =
                    filters::apply_pipeline_with_limit(&bytes, filters, skipped, self.element, None, Some(decoded))?;
                self.copy(&chunk, &extent.cells, elements)?;
            }
        }
        Ok(())
    }

    /// Addresses count from the superblock, which a user block may stand before. What lies outside is said by who reads it.
    fn prefetch(&self, start: u64, end: u64) -> Result<()> {
        let base = self.file.superblock().base_address;
        let (start, end) = (start.saturating_add(base), end.saturating_add(base));
        if start >= end || end > self.reader.size() || end - start > SMALL_FILE {
            return Ok(());
        }
        self.reader.prefetch(std::iter::once(start..end), 0).map_err(|failure| Error::Other(failure.to_string()))
    }

    fn copy(&self, from: &[u8], cells: &[(usize, usize)], elements: &mut [u8]) -> Result<()> {
        let size = self.element;
        for (number, at) in cells {
            let element = from.get(*at..at + size).ok_or_else(|| {
                Error::InvalidData(format!("a block of {} bytes ends before its element at {at}", from.len()))
            })?;
            elements[number * size..(number + 1) * size].copy_from_slice(element);
        }
        Ok(())
    }

    fn is_somewhere(&self, address: u64) -> bool {
        !Cursor::is_undefined_offset(address, self.file.superblock().offset_size)
    }
}
