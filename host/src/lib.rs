//! gristmill: a worker runtime for AWS Step Functions' Distributed Map.
//!
//! `ARCHITECTURE.md` beside this crate is the map of its rooms.

pub mod account;
pub mod admission;
pub mod asl;
pub mod author;
pub mod aws;
mod backoff;
pub mod batch;
pub mod callback;
pub mod catalog;
pub mod cli;
pub mod commands;
pub mod conclude;
mod cpu;
pub mod data_catalog;
pub mod database;
pub mod dataset;
pub mod files;
pub mod job;
pub mod ledger;
pub mod lint;
pub mod map;
pub mod object;
pub mod queue;
pub mod registry;
pub mod replay;
pub mod report;
pub mod rollout;
pub mod runtime;
pub mod simulate;
pub mod sink;
mod sqlite;
pub mod table;
pub mod telemetry;
mod text;
pub mod trust;
pub mod windows;
pub mod worker;
