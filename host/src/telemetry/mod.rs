//! What is seen from outside: logs, metrics, and the admin port.

pub mod admin;
pub mod emf;
pub mod guest_metrics;
pub mod guests;
pub mod line;
pub mod logs;
pub mod metrics;
pub mod names;
mod pace;
pub mod status;
pub mod stderr;
mod waits;
