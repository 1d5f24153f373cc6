//! What users meet, whole: the binary, its commands, its plugins. One test binary, one module per subject.

mod cloud;
mod emulator;
mod rooms;
mod support;
