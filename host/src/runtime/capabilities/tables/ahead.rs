//! Reads a table ahead of the guest: fetched on the I/O runtime, decoded on a thread that holds nobody up.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::handles::{Next, TableScan};
use crate::object::ObjectError;
use crate::runtime::limits::Held;
use crate::table::{Encoding, Scan};

/// Blocks that wait for the guest.
const AHEAD: usize = 1;

/// Starts to read. It ends when what is returned is dropped.
pub(super) fn start(io: &Handle, scan: Scan, encoding: Encoding, held: Held) -> TableScan {
    let (sender, blocks) = mpsc::channel(AHEAD);
    let columns = scan.columns().cloned().collect();
    let task = io.spawn(read_ahead(Reading { scan, encoding, _held: held }, sender));
    TableScan { columns, blocks, _task: AbortOnDropHandle::new(task) }
}

/// A table with the memory that reading it takes, which is given back when the last thread is done with it.
struct Reading {
    scan: Scan,
    encoding: Encoding,
    _held: Held,
}

async fn read_ahead(mut reading: Reading, blocks: mpsc::Sender<Result<Next, ObjectError>>) {
    let (mut fetched, mut work) = (0, Duration::ZERO);
    // There is room for a block before it is made.
    while let Ok(place) = blocks.reserve().await {
        let (returned, step, took) = match step(reading).await {
            Ok(done) => done,
            Err(error) => return place.send(Err(error)),
        };
        reading = returned;
        work += took;
        let block = match step {
            Step::Block(bytes) => Some(bytes),
            Step::NoRows => continue,
            Step::End => None,
        };
        let before = std::mem::replace(&mut fetched, reading.scan.fetched());
        let is_over = block.is_none();
        place.send(Ok(Next { block, fetched: fetched - before, work: std::mem::take(&mut work) }));
        if is_over {
            return;
        }
    }
}

/// What came of one step.
enum Step {
    Block(Vec<u8>),
    NoRows,
    End,
}

/// Fetches and decodes; also says how long a CPU worked on it.
async fn step(mut reading: Reading) -> Result<(Reading, Step, Duration), ObjectError> {
    if !reading.scan.fetch().await? {
        return Ok((reading, Step::End, Duration::ZERO));
    }
    let decoded = tokio::task::spawn_blocking(move || {
        let start = Instant::now();
        let step = reading.block()?.map_or(Step::NoRows, Step::Block);
        Ok((reading, step, start.elapsed()))
    });
    decoded.await.unwrap_or_else(|_| Err(ObjectError::Unavailable("the host failed to decode a table".into())))
}

impl Reading {
    fn block(&mut self) -> Result<Option<Vec<u8>>, ObjectError> {
        let block = self.scan.decode()?;
        block.map(|block| self.scan.encode(&block, self.encoding)).transpose()
    }
}
