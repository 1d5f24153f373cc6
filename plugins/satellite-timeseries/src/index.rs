//! Where the chunks of a dataset lie: HDF5 has six ways to say it.

use hdf5_reader::chunk_index::{self, ChunkEntry};
use hdf5_reader::error::{Error, Result};
use hdf5_reader::messages::layout::ChunkIndexing;
use hdf5_reader::{Hdf5File, btree_v1, extensible_array, fixed_array};

/// An index of chunks of one shape.
pub(crate) struct Index<'a> {
    pub(crate) file: &'a Hdf5File,
    pub(crate) address: u64,
    pub(crate) dims: &'a [u32],
    pub(crate) shape: &'a [u64],
    pub(crate) max_shape: Option<&'a [u64]>,
}

impl Index<'_> {
    /// The chunks from the first to the last one in each dimension, and perhaps others, as far as they were written.
    pub(crate) fn entries(
        &self,
        indexing: Option<&ChunkIndexing>,
        element: usize,
        (first, last): (&[u64], &[u64]),
    ) -> Result<Vec<ChunkEntry>> {
        let Self { file, address, dims, shape, max_shape } = *self;
        let (storage, bounds) = (file.storage(), Some((first, last)));
        let (offsets, lengths) = (file.superblock().offset_size, file.superblock().length_size);
        match indexing {
            None => {
                let rank = Some(dims.len() as u32);
                let leaves =
                    btree_v1::collect_btree_v1_leaves_storage(storage, address, offsets, lengths, rank, dims, bounds)?;
                leaves.into_iter().map(|(key, address)| leaf(key, address, dims.len())).collect()
            }
            Some(ChunkIndexing::SingleChunk { filtered_size, filters }) => {
                Ok(vec![chunk_index::single_chunk_entry(address, *filtered_size, *filters, dims.len())])
            }
            Some(ChunkIndexing::BTreeV2) => chunk_index::collect_v2_chunk_entries_storage(
                storage,
                address,
                offsets,
                lengths,
                dims.len() as u32,
                dims,
                bounds,
            ),
            Some(ChunkIndexing::Implicit) => {
                chunk_index::collect_implicit_chunk_entries(address, shape, dims, element, bounds, storage.len())
            }
            Some(ChunkIndexing::FixedArray { .. }) => fixed_array::collect_fixed_array_chunk_entries_storage(
                storage, address, offsets, lengths, shape, dims, bounds,
            ),
            Some(ChunkIndexing::ExtensibleArray { .. }) => {
                extensible_array::collect_extensible_array_chunk_entries_storage(
                    storage, address, offsets, lengths, shape, max_shape, dims, bounds,
                )
            }
        }
    }
}

fn leaf(key: btree_v1::BTreeV1Key, address: u64, rank: usize) -> Result<ChunkEntry> {
    match key {
        btree_v1::BTreeV1Key::RawData { chunk_size, filter_mask, mut offsets } => {
            offsets.truncate(rank);
            Ok(ChunkEntry { address, size: chunk_size.into(), filter_mask, offsets })
        }
        _ => Err(Error::InvalidData("the index of its chunks has something else in it".into())),
    }
}
