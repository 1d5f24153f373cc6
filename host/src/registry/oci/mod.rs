//! Components in a registry of containers, such as Amazon ECR, GHCR or Harbor, as far as they are pulled from it. Releases do not lie
//! there: nothing in its protocol lets one of two who write the same tag be first.

mod docker;
mod ecr;
mod host;
mod login;
mod names;
mod oci_error;
mod token;

pub(super) use self::host::Host;
pub(super) use self::names::{is_host, is_repository, place};
