//! What users meet, whole: the binary, its commands, its plugins. One test binary, one module per subject.

mod adapters;
mod cloud;
mod emulator;
mod rooms;
mod support;
mod bad_input;
mod golden;
mod laptop;
mod local;
