//! Databases that plugins read and that runs are planned with: PostgreSQL, by connections that an operator names in a file.
//!
//! A dataset file grants names. Where a database is and how one logs in stands in the operator's file alone
//! ([`Connections::load`]), and no error, log line or `Debug` of this room has a password.
//!
//! Every query runs in a read-only transaction of its own ([`Database::query`], [`Database::ask`]). Parameters are bound. Rows come
//! as blocks of Arrow in the few types of [`ValueType`](crate::table::ValueType) ([`Rows`]), no faster than they are taken.

mod block;
mod classify;
mod connect;
mod connections;

mod error;
mod file;
mod guard;
mod leased;
mod password;
mod query;
mod rows;
mod session;
mod tls;
mod typed;
mod value;
mod watch;

pub use self::connections::Connections;
pub use self::error::DatabaseError;
pub use self::file::FileError;
pub use self::leased::Turn;
pub use self::query::{Database, Patience};
pub use self::rows::{MEMORY, Rows};
pub use self::value::Value;
pub use self::watch::WatchedConnections;
