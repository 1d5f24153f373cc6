//! What users meet, whole: the binary, its commands, its plugins. One test binary, one module per subject.

// A test that cannot go on should stop.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod adapters;
mod bad_input;
mod boundary;
mod chaos;
mod cloud;
mod container_registry;
mod crash;
mod desk;
mod digest;
mod edges;
mod emulator;
mod fates;
mod fleet;
mod fuzz;
mod golden;
mod guest;
mod hostile;
mod house;
mod laptop;
mod laptop_limits;
mod linters;
mod local;
mod model;
mod oci_login;
mod places;
mod proxy;
mod publishing;
mod real_parts;
mod reruns;
mod rig;
mod rollout;
mod rooms;
mod rows;
mod shares;
mod signing;
mod support;
mod surroundings;
mod takeover;
mod tools;
mod versions;
mod victim;
mod weather;
mod worker;
