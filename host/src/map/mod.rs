//! The Distributed Map on one machine, with Step Functions' semantics: [`reader`] reads items, [`select`] makes of each what
//! the dataset asks for, [`batcher`] groups them, [`run`] submits the batches, [`attempt`] has each answered, [`steps`] are what
//! happens between maps, [`tolerance`] says when too many failed, [`redo`] what of an earlier run is done again, [`progress`] and [`summary`] tell the user.

pub mod attempt;
pub mod batcher;
mod feed;
pub mod names;
pub mod preview;
pub mod progress;
pub mod reader;
pub mod redo;
pub mod run;
pub mod select;
pub mod steps;
pub mod summary;
pub mod tolerance;
mod units;
