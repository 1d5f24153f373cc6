//! The head: which version of each dataset is in use, and which is on trial. Every change is a new head, and names who made it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::{Name, RegistryError, Version};
use crate::job::Digest;

/// The version of the document that this host writes and reads.
const DOCUMENT_VERSION: u64 = 1;

/// How many earlier versions of a dataset a head remembers: so far `rollback` can go back.
const MAX_BEFORE: usize = 20;

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

/// What is in use of one dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InUse {
    /// The version that batches run on.
    pub stable: Chosen,
    /// What was stable before, the latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Chosen>,
    /// A version beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
}

/// A version that was taken into use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// The version, for people.
    pub version: Version,
    /// The release that it was then: what is fetched and run, whatever the version's name points to later.
    pub release: Digest,
    /// The head that took it into use.
    pub head: u64,
}

/// A version that gets a share of the batches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Which.
    pub chosen: Chosen,
    /// What for.
    pub kind: TrialKind,
    /// How large a share.
    pub share: Share,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}

/// What a share of the batches is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrialKind {
    /// They run on the new version, and its rows count.
    Canary,
    /// They run on the stable version; the new one runs beside it, and nothing of it counts.
    Shadow,
}

/// A part of all batches, in ten-thousandths; written `10%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Share(u16);

/// A change to a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// All batches run on this version from now on; a trial ends.
    Promote {
        /// The version.
        version: Version,
        /// Its release.
        release: Digest,
        /// Whether it may be an older version than the one in use.
        downgrade: bool,
    },
    /// A share of the batches goes to this version.
    Try {
        /// The version.
        version: Version,
        /// Its release.
        release: Digest,
        /// What for.
        kind: TrialKind,
        /// How large a share.
        share: Share,
    },
    /// A trial ends; without one, the version before is in use again.
    RollBack,
    /// The trial that this head began ends well: its version is the stable one.
    Accept {
        /// [`Chosen::head`] of the trial.
        trial: u64,
    },
    /// The trial that this head began ends badly.
    Reject {
        /// [`Chosen::head`] of the trial.
        trial: u64,
        /// Why, for people.
        why: String,
    },
}

/// Why a change makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Nothing would change.
    #[error("{name} {version} is in use already")]
    AlreadyInUse {
        /// The dataset.
        name: Name,
        /// The version.
        version: Version,
    },
    /// An older version under the name of a newer one.
    #[error(
        "{name} {version} is older than {stable}, which is in use: `gristmill rollback {name}` goes back to what was in use before; \
         `--downgrade` takes an older version into use all the same"
    )]
    Downgrade {
        /// The dataset.
        name: Name,
        /// The older version.
        version: Version,
        /// The version in use.
        stable: Version,
    },
    /// The version was something else when it was taken into use.
    #[error(transparent)]
    Moved(Box<Moved>),
    /// A trial needs something to compare with.
    #[error(
        "no version of {0} is in use, so that there is nothing to compare with: promote one without `--canary` and `--shadow` first"
    )]
    NothingStable(Name),
    /// One trial at a time.
    #[error(
        "{name} {version} is on trial: `gristmill promote {name} {version}` or `gristmill rollback {name}` ends that first"
    )]
    OnTrial {
        /// The dataset.
        name: Name,
        /// The version on trial.
        version: Version,
    },
    /// There is nothing to go back to.
    #[error("no earlier version of {0} is known: there is nothing to go back to")]
    NothingBefore(Name),
    /// The trial ended meanwhile.
    #[error("the trial of {0} that head {1} began is over")]
    TrialOver(Name, u64),
}

/// A version that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name} {version} was release {was} when head {head} took it into use, and is {is} now: somebody moved the version. It is not \
     taken into use; publish what is new under a version of its own"
)]
pub struct Moved {
    /// The dataset.
    pub name: Name,
    /// The version.
    pub version: Version,
    /// What it was.
    pub was: Digest,
    /// What it is.
    pub is: Digest,
    /// When it was.
    pub head: u64,
}

impl Head {
    /// A head as it was read, with the number under which it was read.
    pub fn parse(number: u64, document: &[u8]) -> Result<Self, RegistryError> {
        let damaged = |why: String| {
            RegistryError::Damaged(format!(
                "head {number} of the registry is damaged ({why}): what is in use stays in use; find out who wrote it"
            ))
        };
        let text = std::str::from_utf8(document).map_err(|error| damaged(error.to_string()))?;
        let (line, seal) = text.split_once('\n').ok_or_else(|| damaged("it has no seal".into()))?;
        // Compared as text: a digest in capitals is another text.
        if seal != seal_of(line) {
            return Err(damaged("its seal does not fit".into()));
        }
        #[derive(Deserialize)]
        struct Versioned {
            gristmill: u64,
        }
        let found: Versioned = serde_json::from_str(line).map_err(|error| damaged(error.to_string()))?;
        if found.gristmill != DOCUMENT_VERSION {
            let version = found.gristmill;
            return Err(damaged(format!(
                "it is of version {version}, this gristmill reads version {DOCUMENT_VERSION}"
            )));
        }
        let head: Self = serde_json::from_str(line).map_err(|error| damaged(error.to_string()))?;
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

impl InUse {
    fn after(
        now: Option<&Self>,
        name: &Name,
        change: &Change,
        head: u64,
        at: OffsetDateTime,
    ) -> Result<Self, ChangeError> {
        if let Change::Promote { version, release, .. } | Change::Try { version, release, .. } = change {
            let known = now.into_iter().flat_map(Self::known).find(|chosen| chosen.version == *version);
            if let Some(was) = known.filter(|chosen| chosen.release != *release) {
                let (name, version) = (name.clone(), version.clone());
                let moved = Moved { name, version, was: was.release, is: *release, head: was.head };
                return Err(ChangeError::Moved(Box::new(moved)));
            }
        }
        match (change, now) {
            (Change::Promote { version, release, .. }, None) => {
                let stable = Chosen { version: version.clone(), release: *release, head };
                Ok(Self { stable, before: Vec::new(), trial: None })
            }
            (Change::Promote { version, release, downgrade }, Some(now)) => {
                if now.stable.release == *release {
                    return Err(ChangeError::AlreadyInUse { name: name.clone(), version: version.clone() });
                }
                if *version < now.stable.version && !downgrade {
                    let stable = now.stable.version.clone();
                    return Err(ChangeError::Downgrade { name: name.clone(), version: version.clone(), stable });
                }
                Ok(now.with(Chosen { version: version.clone(), release: *release, head }))
            }
            (Change::Try { .. } | Change::RollBack, None) => Err(ChangeError::NothingStable(name.clone())),
            (Change::Try { version, release, kind, share }, Some(now)) => {
                if now.stable.release == *release {
                    return Err(ChangeError::AlreadyInUse { name: name.clone(), version: version.clone() });
                }
                if let Some(trial) = now.trial.as_ref().filter(|trial| trial.chosen.release != *release) {
                    return Err(ChangeError::OnTrial { name: name.clone(), version: trial.chosen.version.clone() });
                }
                let chosen = Chosen { version: version.clone(), release: *release, head };
                let trial = Some(Trial { chosen, kind: *kind, share: *share, since: at });
                Ok(Self { trial, ..now.clone() })
            }
            (Change::RollBack, Some(now)) if now.trial.is_some() => Ok(Self { trial: None, ..now.clone() }),
            (Change::RollBack, Some(now)) => {
                let mut before = now.before.clone();
                if before.is_empty() {
                    return Err(ChangeError::NothingBefore(name.clone()));
                }
                let stable = Chosen { head, ..before.remove(0) };
                Ok(Self { stable, before, trial: None })
            }
            (Change::Accept { trial: began } | Change::Reject { trial: began, .. }, now) => {
                let over = || ChangeError::TrialOver(name.clone(), *began);
                let now = now.ok_or_else(over)?;
                let trial = now.trial.as_ref().filter(|trial| trial.chosen.head == *began).ok_or_else(over)?;
                Ok(match change {
                    Change::Accept { .. } => now.with(Chosen { head, ..trial.chosen.clone() }),
                    _ => Self { trial: None, ..now.clone() },
                })
            }
        }
    }

    /// With another stable version, and no trial.
    fn with(&self, stable: Chosen) -> Self {
        let mut before = vec![self.stable.clone()];
        before.extend(self.before.iter().filter(|chosen| chosen.release != stable.release).cloned());
        before.truncate(MAX_BEFORE);
        Self { stable, before, trial: None }
    }

    /// All versions that were or are taken into use, as far as is known.
    pub fn known(&self) -> impl Iterator<Item = &Chosen> {
        let trial = self.trial.as_ref().map(|trial| &trial.chosen);
        std::iter::once(&self.stable).chain(trial).chain(&self.before)
    }
}

impl Change {
    fn describe(&self, name: &Name) -> String {
        match self {
            Self::Promote { version, .. } => format!("promote {name} {version}"),
            Self::Try { version, kind, share, .. } => format!("promote {name} {version} --{} {share}", kind.word()),
            Self::RollBack => format!("rollback {name}"),
            Self::Accept { .. } => format!("the canary of {name} did well"),
            Self::Reject { why, .. } => format!("the canary of {name} was rolled back: {why}"),
        }
    }
}

impl TrialKind {
    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Shadow => "shadow",
        }
    }
}

impl Share {
    /// Whether this batch (or item) is in the share. The same one always is, or never; a larger share has all that a
    /// smaller one has; and another release gets another share.
    pub fn takes(self, release: &Digest, key: &str) -> bool {
        let hash = Sha256::new().chain_update(release.hex()).chain_update(key).finalize();
        let number = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        number % 10_000 < u64::from(self.0)
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a share: expected a percentage from 0.01% to 100%, such as `10%`");
        let percent: f64 =
            text.trim().strip_suffix('%').and_then(|number| number.trim().parse().ok()).ok_or_else(wrong)?;
        let parts = (percent * 100.0).round();
        if (1.0..=10_000.0).contains(&parts) { Ok(Self(parts as u16)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 100.0)
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}

impl TryFrom<String> for Share {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        Change::Try { version, release, kind, share: share.parse().unwrap() }
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

    #[test]
    fn a_share_grows_and_is_as_large_as_it_says() {
        let release = Digest::of(b"r");
        let taken = |share: &str| {
            let share: Share = share.parse().unwrap();
            (0..10_000).filter(|n| share.takes(&release, &n.to_string())).collect::<Vec<_>>()
        };
        let (five, ten, all) = (taken("5%"), taken("10%"), taken("100%"));
        assert!((400..600).contains(&five.len()) && (850..1150).contains(&ten.len()), "{} {}", five.len(), ten.len());
        assert!(all.len() == 10_000 && five.iter().all(|n| ten.contains(n)));
        for text in ["", "10", "0%", "101%", "-1%", "x%", "NaN%"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
        assert_eq!("2.50 %".parse::<Share>().unwrap().to_string(), "2.5%");
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
