//! gristmill: a worker runtime for AWS Step Functions' Distributed Map.
//!
//! `ARCHITECTURE.md` beside this crate is the map of its rooms.

pub mod account;
pub mod admission;
pub mod asl;
pub mod aws;
mod backoff;
pub mod callback;
pub mod catalog;
pub mod cli;
pub mod commands;
mod commit;
pub mod compare;
mod cpu;
pub mod dataset;
pub mod evidence;
mod fate;
mod fault;
pub mod files;
mod items;
pub mod job;
pub mod lease;
pub mod ledger;
pub mod map;
pub mod object;
pub mod pipeline;
pub mod pressure;
pub mod protection;
pub mod queue;
pub mod registry;
pub mod replay;
pub mod report;
pub mod runtime;
pub mod shadow;
pub mod sink;
mod sqlite;
pub mod telemetry;
mod text;
pub mod worker;
