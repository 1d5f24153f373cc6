//! Which rows of a database's table a run takes: a window in time, and its slices.
//!
//! Each run takes `start <= t < stop` and starts where the run before it stopped. The stop is such that no row below it can still
//! come (`stop.rs`), and it counts only when everything that the run made of the rows is committed and published (`history.rs`).

pub mod ask;
pub mod history;
pub mod kept;
mod plan;
mod planned;
mod postgres;
mod slices;
mod statement;
pub mod stop;

pub use self::plan::Table;
pub use self::planned::{Planned, PlannedWindow, place, written};
