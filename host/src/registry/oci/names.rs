//! What things are called in an OCI registry: repositories, and the tags that stand in for names, numbers and kinds.

use super::super::{Attachment, Name, RegistryError, Version};
use crate::job::Digest;

/// The repository of the heads, below the registry's prefix.
pub(super) const HEADS: &str = "gristmill";

/// The path of a repository: parts of lower-case letters and digits, between which `.`, `_`, `__` or any number of `-` may
/// stand (OCI distribution specification, "Pulling manifests").
pub(in super::super) fn is_repository(path: &str) -> bool {
    let separated = |part: &str| {
        let runs = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).filter(|run| !run.is_empty());
        runs.into_iter().all(|run| matches!(run, "." | "_" | "__") || run.chars().all(|c| c == '-'))
    };
    let ends = |part: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(plain) && part.ends_with(plain)
    };
    path.len() <= 255 && path.split('/').all(|part| ends(part) && separated(part))
}

/// The repository of a dataset. Names that this registry cannot carry are refused here, by a sentence.
pub(super) fn repository(prefix: &str, name: &Name) -> Result<String, RegistryError> {
    if !is_repository(name.as_str()) {
        return Err(RegistryError::Invalid(format!(
            "the dataset `{name}` cannot lie in an OCI registry: a repository's name has lower-case letters, digits, and \
             between them `-`, `_` or `__`. Rename the dataset, or use a folder or S3"
        )));
    }
    Ok(below(prefix, name.as_str()))
}

/// A repository below the prefix.
pub(super) fn below(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.into() } else { format!("{prefix}/{name}") }
}

/// The component of a version, as other tools pull it.
pub(super) fn component_tag(version: &Version) -> String {
    version.to_string()
}

/// The release of a version: what makes the version be there. A version has no `_`, so no two of these meet.
pub(super) fn release_tag(version: &Version) -> String {
    format!("{version}_release")
}

/// What those who publish a version at the same time decide by.
pub(super) fn release_claim(version: &Version) -> String {
    format!("{version}_claim")
}

/// The version whose release this is.
pub(super) fn version_of(tag: &str) -> Option<Version> {
    tag.strip_suffix("_release")?.parse().ok()
}

/// A head. Of a fixed length, so that tags sort as numbers do.
pub(super) fn head_tag(number: u64) -> String {
    format!("head-{number:016}")
}

/// What those who advance at the same time decide by.
pub(super) fn head_claim(number: u64) -> String {
    format!("claim-{number:016}")
}

/// What the tags of all attachments of one kind to one release begin with.
pub(super) fn attachments(release: &Digest, kind: Attachment) -> String {
    format!("sha256-{}.{}.", release.hex(), kind.word())
}

/// An attachment: half of its digest, because a tag has at most 128 characters.
pub(super) fn attachment_tag(release: &Digest, kind: Attachment, content: &Digest) -> String {
    format!("{}{}", attachments(release, kind), &content.hex()[..32])
}

/// The search for the last of things that are numbered from 1 without gaps, each of which can be asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// It is there.
    last: u64,
    /// It is not.
    missing: Option<u64>,
    step: u64,
}

impl Search {
    /// `seen` is there, or 0.
    pub(super) fn from(seen: u64) -> Self {
        Self { last: seen, missing: None, step: 1 }
    }

    /// The number to ask for next; none when [`Search::last`] is the last.
    pub(super) fn next(&self) -> Option<u64> {
        match self.missing {
            None => self.last.checked_add(self.step),
            Some(missing) if missing - self.last > 1 => Some(self.last + (missing - self.last) / 2),
            Some(_) => None,
        }
    }

    /// What the answer was for `number`.
    pub(super) fn saw(&mut self, number: u64, there: bool) {
        if there {
            self.last = number;
            self.step = self.step.saturating_mul(2);
        } else {
            self.missing = Some(number);
        }
    }

    /// The last that is known to be there.
    pub(super) fn last(&self) -> u64 {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_that_no_repository_can_have_is_refused_in_one_sentence() {
        for text in ["Stations", "a_-b", "a___b", "ends-", "ends_"] {
            let refused = repository("p", &text.parse().unwrap()).unwrap_err();
            assert!(matches!(&refused, RegistryError::Invalid(text) if text.contains("lower-case")), "{refused:?}");
        }
        for (text, expected) in [("a--b", "p/a--b"), ("a__b", "p/a__b"), ("noaa-precipitation", "p/noaa-precipitation")]
        {
            assert_eq!(repository("p", &text.parse().unwrap()).unwrap(), expected);
        }
        assert_eq!(repository("", &"a".parse().unwrap()).unwrap(), "a");
        for path in ["", "/a", "a/", "a//b", "../a", "A", "a/..", "a/.b"] {
            assert!(!is_repository(path), "{path:?}");
        }
    }

    proptest! {
        /// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (OCI distribution specification).
        #[test]
        fn every_tag_is_one(pre in "[a-z][a-z0-9-]{0,29}", numbers in prop::array::uniform3(0..u32::MAX), head in 1..u64::MAX) {
            let version: Version = format!("{}.{}.{}-{pre}", numbers[0], numbers[1], numbers[2]).parse().unwrap();
            let (release, content) = (Digest::of(b"release"), Digest::of(b"content"));
            let tags = [component_tag(&version), release_tag(&version), release_claim(&version), head_tag(head), head_claim(head)];
            let attached = Attachment::ALL.map(|kind| attachment_tag(&release, kind, &content));
            for tag in tags.iter().chain(&attached) {
                let inner = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
                prop_assert!(tag.len() <= 128 && !tag.starts_with(['.', '-']) && tag.chars().all(inner), "{}", tag);
            }
            prop_assert_eq!(version_of(&release_tag(&version)), Some(version.clone()));
            prop_assert!(tags.iter().chain(&attached).filter(|tag| version_of(tag).is_some()).count() == 1);
        }

        #[test]
        fn the_last_is_found_in_few_steps(last in 0..100_000_u64, seen in 0..100_000_u64) {
            let mut search = Search::from(seen.min(last));
            let mut asked = 0;
            while let Some(number) = search.next() {
                search.saw(number, number <= last);
                asked += 1;
            }
            prop_assert_eq!(search.last(), last);
            let far = (last - seen.min(last) + 1).ilog2();
            prop_assert!(asked <= 2 * far + 2, "{} steps", asked);
        }
    }
}
