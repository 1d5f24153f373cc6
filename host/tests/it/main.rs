//! What users meet, whole: the binary, its commands, its plugins. One test binary, one module per subject.

mod adapters;
mod bad_input;
mod cloud;
mod emulator;
mod golden;
mod guest;
mod hostile;
mod laptop;
mod local;
mod rooms;
mod support;
mod tools;
