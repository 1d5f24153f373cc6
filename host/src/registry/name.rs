//! What releases are called: the dataset's name, and the version.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::RegistryError;

/// A dataset's name: `[A-Za-z0-9][A-Za-z0-9_-]{0,62}`, so that it is safe in a path, a key and a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Name(String);

/// A version (semver.org) without build metadata, which says nothing about which of two is newer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Version(semver::Version);

impl Name {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if (1..=63).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(inner)
        {
            return Ok(Self(text.into()));
        }
        Err(RegistryError::Invalid(format!(
            "{text:?} is not the name of a dataset: letters, digits, `_` and `-`, at most 63, the first a letter or digit"
        )))
    }
}

impl FromStr for Version {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let invalid = |why: String| RegistryError::Invalid(format!("{text:?} is not a version (semver.org): {why}"));
        if text.len() > 64 {
            return Err(invalid("it has more than 64 characters".into()));
        }
        let version = semver::Version::parse(text).map_err(|error| invalid(error.to_string()))?;
        if !version.build.is_empty() {
            return Err(invalid("a registry keeps no build metadata (`+...`)".into()));
        }
        Ok(Self(version))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Name {
    type Error = RegistryError;

    fn try_from(text: String) -> Result<Self, RegistryError> {
        text.parse()
    }
}

impl TryFrom<String> for Version {
    type Error = RegistryError;

    fn try_from(text: String) -> Result<Self, RegistryError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_leave_its_folder_is_no_name_and_no_version() {
        for text in ["", ".", "..", "../x", "a/b", "a\\b", "a\0", "-a", "_a", "a.b", "ä", &"a".repeat(64)] {
            assert!(matches!(text.parse::<Name>(), Err(RegistryError::Invalid(_))), "{text:?}");
        }
        for text in [
            "",
            "1",
            "1.0",
            "../1.0.0",
            "1.0.0/..",
            "v1.0.0",
            "1.0.0+build",
            "1.0.0-a/b",
            &format!("1.0.0-{}", "a".repeat(64)),
        ] {
            assert!(matches!(text.parse::<Version>(), Err(RegistryError::Invalid(_))), "{text:?}");
        }
        assert_eq!("noaa-precipitation_2".parse::<Name>().unwrap().as_str(), "noaa-precipitation_2");
        assert!("1.10.0".parse::<Version>().unwrap() > "1.9.0".parse().unwrap());
        assert!("1.0.0-rc.1".parse::<Version>().unwrap() < "1.0.0".parse().unwrap());
    }

    proptest! {
        #[test]
        fn a_name_or_version_is_one_part_of_a_path(text in ".{0,70}") {
            let names = [text.parse::<Name>().map(|it| it.to_string()), text.parse::<Version>().map(|it| it.to_string())];
            for name in names.into_iter().flatten() {
                prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)));
                prop_assert!(!name.starts_with('.') && name == text);
            }
        }
    }
}
