//! What can happen to an object, and what a plugin ought to answer.

use std::fmt;

use clap::ValueEnum;

use super::checked::Flaw;
use crate::job::FailureKind;
use crate::object::Location;
use crate::rollout::compare::Ran;

/// What happens to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Fault {
    /// It is not there.
    Missing,
    /// The store refuses it.
    Denied,
    /// It ends in the middle, as after an upload that broke off.
    Truncated,
    /// Another version takes its place while it is read.
    Changed,
    /// The store does not answer.
    Away,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Missing, Self::Denied, Self::Truncated, Self::Changed, Self::Away];

    /// Whether the same call would have a result later.
    fn passes(self) -> bool {
        matches!(self, Self::Changed | Self::Away)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Denied => "denied",
            Self::Truncated => "truncated",
            Self::Changed => "changed while read",
            Self::Away => "store away",
        })
    }
}

/// What is wrong with an answer. `same` says that it has the rows of an object in good order.
pub(super) fn judge(fault: Fault, at: &Location, answer: &Ran, same: bool) -> Option<Flaw> {
    let flaw = |message: String, help: &str| Some(Flaw { message, help: help.into() });
    match &answer.result {
        // The item does not depend on what the fault hit.
        Ok(_) if same => None,
        Ok(_) => {
            let rows: usize = answer.rows.iter().map(|(_, rows)| rows.num_rows()).sum();
            let happened = match fault {
                Fault::Missing => "was missing",
                Fault::Denied => "was refused",
                Fault::Truncated => "ended in the middle",
                Fault::Changed => "was replaced while it was read",
                Fault::Away => "could not be read",
            };
            let help = match fault {
                Fault::Missing => {
                    "hand the error on, so that the item is rejected. If the object may be missing, `--accept missing`"
                }
                Fault::Truncated => {
                    "nobody would notice: reject what is incomplete, such as a last record with too few fields. If a part is as \
                     good as the whole, `--accept truncated`"
                }
                _ => "hand the error on instead of catching it: rows without it are wrong, and nobody would notice",
            };
            flaw(format!("it succeeded with other rows ({rows}) although {at} {happened}"), help)
        }
        Err(failed) if fault.passes() && failed.kind != FailureKind::Retryable => {
            let (code, what) = (
                &failed.code,
                if fault == Fault::Away { "the store was only away" } else { "only another version took its place" },
            );
            flaw(
                format!("it was rejected ({code}: {}) although {what}", failed.message),
                "a rejected item is never tried again: let `ObjectUnavailable` and `ObjectChanged` through where errors are caught, or \
                 answer with a retry",
            )
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::runtime::ItemFault;

    fn failing(kind: FailureKind) -> Ran {
        let fault = ItemFault { code: "Bad".into(), message: "no".into(), kind };
        Ran { result: Err(fault), rows: Vec::new(), took: Duration::ZERO, memory: 0 }
    }

    #[test]
    fn what_passes_is_to_be_tried_again_and_nothing_succeeds_with_other_rows() {
        let at = "s3://b/k".parse().unwrap();
        let good = Ran { result: Ok(None), rows: Vec::new(), took: Duration::ZERO, memory: 0 };
        for fault in Fault::ALL {
            assert_eq!(judge(fault, &at, &good, true), None, "{fault}");
            assert!(judge(fault, &at, &good, false).is_some(), "{fault}");
            assert_eq!(judge(fault, &at, &failing(FailureKind::Retryable), false), None, "{fault}");
            let rejected = judge(fault, &at, &failing(FailureKind::Rejected), false);
            assert_eq!(rejected.is_some(), matches!(fault, Fault::Changed | Fault::Away), "{fault}");
        }
    }
}
