//! What is seen from outside: logs, metrics, and the admin port.

pub mod admin;
pub mod guests;
pub mod line;
pub mod logs;
pub mod metrics;
pub mod stderr;
