//! The logic alone, so that it is tested and measured without a host.

pub mod arrival;
pub mod day;
pub mod rolling;
