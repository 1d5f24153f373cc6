//! The head: which version of each dataset is in use, and which is on trial. Every change is a new head, and names who made it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::error::in_short;
use super::{Change, ChangeError, InUse, Name, RegistryError};
use crate::job::Digest;

/// The version of the document that this host writes and reads.
const DOCUMENT_VERSION: u64 = 1;

/// What is in use, as of one change.
///
/// On the wire: a line of JSON, then a line with the SHA-256 of the first line as a JSON string, so that no bit of it changes
/// unseen. It also carries the digest of the head before, so that nobody changes unseen what was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The version of this document: 1.
    pub gristmill: u64,
    /// 1 for the first, then one more each time.
    pub number: u64,
    /// The digest of the head before; none for the first.
    pub previous: Option<Digest>,
    /// When it was made, by the clock of whoever made it.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Who made it: for people.
    pub by: String,
    /// What was changed: for people.
    pub change: String,
    /// The datasets.
    pub names: BTreeMap<Name, InUse>,
}

impl Head {
    /// A head as it was read, with the number under which it was read.
    pub fn parse(number: u64, document: &[u8]) -> Result<Self, RegistryError> {
        let damaged = |why: String| {
            RegistryError::Damaged(format!(
                "head {number} of the registry is damaged ({why}): what is in use stays in use; find out who wrote it"
            ))
        };
        let text = std::str::from_utf8(document).map_err(|error| damaged(in_short(&error)))?;
        let (line, seal) = text.split_once('\n').ok_or_else(|| damaged("it has no seal".into()))?;
        // Compared as text: a digest in capitals is another text.
        if seal != seal_of(line) {
            return Err(damaged("its seal does not fit".into()));
        }
        #[derive(Deserialize)]
        struct Versioned {
            gristmill: u64,
        }
        let found: Versioned = serde_json::from_str(line).map_err(|error| damaged(in_short(&error)))?;
        if found.gristmill != DOCUMENT_VERSION {
            let version = found.gristmill;
            return Err(damaged(format!(
                "it is of version {version}, this gristmill reads version {DOCUMENT_VERSION}"
            )));
        }
        let head: Self = serde_json::from_str(line).map_err(|error| damaged(in_short(&error)))?;
        if head.number != number {
            return Err(damaged(format!("it says that it is head {}", head.number)));
        }
        Ok(head)
    }

    /// The document.
    pub fn document(&self) -> Bytes {
        // String keys and no other maps: writing cannot fail.
        let line = serde_json::to_string(self).unwrap_or_default();
        Bytes::from(format!("{line}\n{}", seal_of(&line)))
    }

    /// The head after `before`, of which this is the document: it must follow.
    pub fn follows(&self, before: Option<&Self>) -> Result<(), RegistryError> {
        let expected = before.map(|before| Digest::of(&before.document()));
        if self.previous == expected {
            return Ok(());
        }
        Err(RegistryError::Damaged(format!(
            "head {} of the registry does not follow the head {} that was read before: somebody rewrote the registry's history. What is \
             in use stays in use; if that was meant, start the workers anew",
            self.number,
            before.map_or(0, |before| before.number)
        )))
    }

    /// The head that this change makes of `before`.
    pub fn after(
        before: Option<&Self>,
        name: &Name,
        change: &Change,
        by: &str,
        at: OffsetDateTime,
    ) -> Result<Self, ChangeError> {
        let number = before.map_or(0, |before| before.number) + 1;
        let mut names = before.map(|before| before.names.clone()).unwrap_or_default();
        let in_use = InUse::after(names.get(name), name, change, number, at)?;
        names.insert(name.clone(), in_use);
        let previous = before.map(|before| Digest::of(&before.document()));
        let change = change.describe(name);
        Ok(Self { gristmill: DOCUMENT_VERSION, number, previous, at, by: by.into(), change, names })
    }
}

/// The second line.
fn seal_of(line: &str) -> String {
    format!("\"{}\"\n", Digest::of(line.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{TrialKind, Version};
    use proptest::prelude::*;

    const AT: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn name() -> Name {
        "d".parse().unwrap()
    }

    fn version(text: &str) -> (Version, Digest) {
        (text.parse().unwrap(), Digest::of(text.as_bytes()))
    }

    fn promote(text: &str) -> Change {
        let (version, release) = version(text);
        Change::Promote { version, release, downgrade: false }
    }

    fn attempt(text: &str, kind: TrialKind, share: &str) -> Change {
        let (version, release) = version(text);
        Change::Try { version, release, kind, share: share.parse().unwrap(), downgrade: false }
    }

    fn after(head: &Head, change: &Change) -> Result<Head, ChangeError> {
        Head::after(Some(head), &name(), change, "me", AT)
    }

    fn first() -> Head {
        Head::after(None, &name(), &promote("0.1.0"), "me", AT).unwrap()
    }

    fn stable(head: &Head) -> String {
        head.names[&name()].stable.version.to_string()
    }

    #[test]
    fn versions_come_and_go() {
        let first = first();
        assert_eq!(after(&first, &Change::RollBack), Err(ChangeError::NothingBefore(name())));
        assert!(matches!(after(&first, &promote("0.1.0")), Err(ChangeError::AlreadyInUse { .. })));
        let second = after(&first, &promote("0.2.0")).unwrap();
        let back = after(&second, &Change::RollBack).unwrap();
        assert_eq!([stable(&first), stable(&second), stable(&back)], ["0.1.0", "0.2.0", "0.1.0"]);
        assert_eq!((back.number, back.previous), (3, Some(Digest::of(&second.document()))));
        assert!(back.follows(Some(&second)).is_ok());
        let refused = back.follows(Some(&first)).unwrap_err().to_string();
        assert!(refused.contains("rewrote the registry's history"), "{refused}");
    }

    #[test]
    fn an_older_version_needs_a_word() {
        let second = after(&first(), &promote("0.2.0")).unwrap();
        let refused = after(&second, &promote("0.1.9")).unwrap_err().to_string();
        assert!(refused.contains("0.1.9 is older than 0.2.0") && refused.contains("--downgrade"), "{refused}");
        let canary = after(&second, &attempt("0.1.9", TrialKind::Canary, "10%"));
        assert!(matches!(canary, Err(ChangeError::Downgrade { .. })), "{canary:?}");
        after(&second, &attempt("0.1.9", TrialKind::Shadow, "10%")).unwrap();
        let (version, release) = version("0.1.9");
        let third = after(&second, &Change::Promote { version, release, downgrade: true }).unwrap();
        assert_eq!(stable(&third), "0.1.9");
    }

    #[test]
    fn a_version_that_moved_is_not_taken() {
        let second = after(&first(), &promote("0.2.0")).unwrap();
        let (version, release) = (version("0.1.0").0, Digest::of(b"another"));
        let refused = after(&second, &Change::Promote { version, release, downgrade: true }).unwrap_err().to_string();
        assert!(refused.contains("somebody moved the version") && refused.contains("head 1 took"), "{refused}");
    }

    #[test]
    fn a_trial_begins_once_and_ends_once() {
        let first = first();
        let canary = after(&first, &attempt("0.2.0", TrialKind::Canary, "10%")).unwrap();
        assert_eq!(stable(&canary), "0.1.0");
        let other = after(&canary, &attempt("0.3.0", TrialKind::Shadow, "5%"));
        assert!(matches!(other, Err(ChangeError::OnTrial { .. })), "{other:?}");
        let larger = after(&canary, &attempt("0.2.0", TrialKind::Canary, "50%")).unwrap();
        let late = Change::Accept { trial: canary.number };
        assert_eq!(after(&larger, &late), Err(ChangeError::TrialOver(name(), 2)));
        let accepted = after(&larger, &Change::Accept { trial: larger.number }).unwrap();
        assert_eq!((stable(&accepted).as_str(), &accepted.names[&name()].trial), ("0.2.0", &None));
        let rejected = after(&larger, &Change::Reject { trial: larger.number, why: "slow".into() }).unwrap();
        assert_eq!((stable(&rejected).as_str(), &rejected.names[&name()].trial), ("0.1.0", &None));
        // A rollback ends the trial first, and then goes back.
        let ended = after(&larger, &Change::RollBack).unwrap();
        assert_eq!((stable(&ended).as_str(), &ended.names[&name()].trial), ("0.1.0", &None));
        assert!(matches!(
            Head::after(None, &name(), &attempt("0.2.0", TrialKind::Canary, "10%"), "me", AT),
            Err(ChangeError::NothingStable(_))
        ));
    }

    proptest! {
        #[test]
        fn no_bit_of_a_head_changes_unseen(at in any::<prop::sample::Index>(), bit in 0..8) {
            let head = after(&first(), &attempt("0.2.0", TrialKind::Canary, "10%")).unwrap();
            let mut document = head.document().to_vec();
            prop_assert_eq!(Head::parse(2, &document).unwrap(), head);
            prop_assert!(Head::parse(3, &document).is_err());
            let place = at.index(document.len());
            document[place] ^= 1_u8 << bit;
            let refused = Head::parse(2, &document);
            prop_assert!(matches!(refused, Err(RegistryError::Damaged(_))), "{:?}", refused);
        }

        #[test]
        fn no_document_makes_the_parser_panic(text in ".*") {
            let _ = Head::parse(1, text.as_bytes());
        }
    }
}
