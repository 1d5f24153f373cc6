//! Reads rows ahead of the guest: taken on the I/O runtime, decoded on a thread that holds nobody up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::handles::{Next, QueryRows};
use crate::database::{DatabaseError, Rows, WatchedConnections};
use crate::runtime::limits::Held;
use crate::table::Encoding;

/// Blocks that wait for the guest.
const AHEAD: usize = 1;

/// Rows with the memory that reading them takes, and with those who hear of what goes wrong.
pub(super) struct Reading {
    pub(super) rows: Rows,
    pub(super) encoding: Encoding,
    pub(super) held: Held,
    pub(super) watched: Arc<WatchedConnections>,
}

/// Starts to read. It ends when what is returned is dropped.
pub(super) fn start(io: &Handle, reading: Reading, open: Arc<()>) -> QueryRows {
    let (sender, blocks) = mpsc::channel(AHEAD);
    let columns = reading.rows.columns().to_vec();
    let task = io.spawn(read_ahead(reading, sender));
    QueryRows { columns, blocks, _task: AbortOnDropHandle::new(task), _open: open }
}

async fn read_ahead(reading: Reading, blocks: mpsc::Sender<Result<Next, DatabaseError>>) {
    let Reading { mut rows, encoding, held: _held, watched } = reading;
    let mut fetched = 0;
    // There is room for a block before it is made.
    while let Ok(place) = blocks.reserve().await {
        match block(&mut rows, encoding).await {
            Ok((block, work)) => {
                let before = std::mem::replace(&mut fetched, rows.bytes());
                let is_over = block.is_none();
                place.send(Ok(Next { block, fetched: fetched - before, work }));
                if is_over {
                    return;
                }
            }
            Err(error) => {
                watched.note(&error);
                return place.send(Err(error));
            }
        }
    }
}

/// The next block, and how long a CPU worked on it.
async fn block(rows: &mut Rows, encoding: Encoding) -> Result<(Option<Vec<u8>>, Duration), DatabaseError> {
    if !rows.fetch().await? {
        return Ok((None, Duration::ZERO));
    }
    let decoder = rows.decoder();
    let decoded = tokio::task::spawn_blocking(move || {
        let start = Instant::now();
        Ok((Some(decoder.encoded(encoding)?), start.elapsed()))
    });
    decoded.await.unwrap_or_else(|_| Err(DatabaseError::Unavailable("the host failed to decode rows".into())))
}
