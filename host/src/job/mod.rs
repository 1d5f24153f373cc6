//! The vocabulary: what a message is, what a batch is, what became of it. Pure data, no I/O.
//!
//! A batch passes through types, each made only from the one before, so that a wrong order does not compile:
//! `Delivery → Batch → Claimed → Outcome → Receipt → Disposition`.

mod batch;
mod digest;
mod disposition;
pub mod error_names;
mod failure;
mod id;
mod item;
mod message;
mod token;

pub use self::batch::{Batch, Malformed};
pub use self::digest::Digest;
pub use self::disposition::Disposition;
pub use self::failure::{FailureKind, ItemFailure};
pub use self::id::BatchId;
pub use self::item::{Item, item_name, left_out};
pub use self::message::{
    Conclude, MAX_MESSAGE_BYTES, MAX_STEP_FUNCTIONS_PAYLOAD, MESSAGE_VERSION, Message, MessageInput, PlanRun, Results,
    RunWindow, Step,
};
pub use self::token::TaskToken;
