//! gristmill: a worker runtime for AWS Step Functions' Distributed Map.
//!
//! `ARCHITECTURE.md` beside this crate is the map of its rooms.

pub mod aws;
pub mod callback;
pub mod dataset;
pub mod job;
pub mod ledger;
pub mod object;
pub mod queue;
pub mod sink;
