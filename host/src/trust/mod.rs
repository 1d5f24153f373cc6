//! Whom to believe: keys, what they sign, and whose signatures an operator demands before a release may run.
//!
//! ```text
//! policy_file ──► policy ──► signature ──► key ──► error
//!      └───────► keyring ───────┴──► kms ───┘
//! ```

mod error;
mod key;
mod keyring;
mod kms;
mod policy;
mod policy_file;
mod signature;

pub use self::error::TrustError;
pub use self::key::{PrivateKey, PublicKey};
pub use self::keyring::{KeyRef, Signer};
pub use self::kms::{Kms, KmsKey};
pub use self::policy::Policy;
pub use self::policy_file::PolicyFile;
pub use self::signature::Signature;
