//! What is in use of one dataset and what is on trial, and what a change makes of it. Pure.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Name, Share, Version};
use crate::job::Digest;

/// How many earlier versions of a dataset a head remembers: so far `rollback` can go back.
const MAX_BEFORE: usize = 10;

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
        /// Whether it may be an older version than the one in use.
        downgrade: bool,
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

impl InUse {
    /// What `change` makes of it under this head; none is a dataset of which nothing is in use yet.
    pub(super) fn after(
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
                now.is_no_downgrade(name, version, *downgrade)?;
                Ok(now.with(Chosen { version: version.clone(), release: *release, head }))
            }
            (Change::Try { .. }, None) => Err(ChangeError::NothingStable(name.clone())),
            (Change::RollBack, None) => Err(ChangeError::NothingBefore(name.clone())),
            (Change::Try { version, release, kind, share, downgrade }, Some(now)) => {
                if now.stable.release == *release {
                    return Err(ChangeError::AlreadyInUse { name: name.clone(), version: version.clone() });
                }
                if let Some(trial) = now.trial.as_ref().filter(|trial| trial.chosen.release != *release) {
                    return Err(ChangeError::OnTrial { name: name.clone(), version: trial.chosen.version.clone() });
                }
                // A canary that does well becomes what is in use.
                now.is_no_downgrade(name, version, *downgrade || *kind == TrialKind::Shadow)?;
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

    fn is_no_downgrade(&self, name: &Name, version: &Version, may_be: bool) -> Result<(), ChangeError> {
        let stable = &self.stable.version;
        if version >= stable || may_be {
            return Ok(());
        }
        Err(ChangeError::Downgrade { name: name.clone(), version: version.clone(), stable: stable.clone() })
    }

    /// With another stable version, and no trial.
    fn with(&self, stable: Chosen) -> Self {
        let mut before = vec![self.stable.clone()];
        before.extend(self.before.iter().filter(|chosen| chosen.release != stable.release).cloned());
        before.truncate(MAX_BEFORE);
        Self { stable, before, trial: None }
    }

    /// Whether batches run on this release, or shall be tried on it.
    pub fn wants(&self, release: &Digest) -> bool {
        let trial = self.trial.as_ref().map(|trial| &trial.chosen);
        std::iter::once(&self.stable).chain(trial).any(|chosen| chosen.release == *release)
    }

    /// All versions that were or are taken into use, as far as is known.
    pub fn known(&self) -> impl Iterator<Item = &Chosen> {
        let trial = self.trial.as_ref().map(|trial| &trial.chosen);
        std::iter::once(&self.stable).chain(trial).chain(&self.before)
    }
}

impl Change {
    /// In a few words, for people.
    pub(super) fn describe(&self, name: &Name) -> String {
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
