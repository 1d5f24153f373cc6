//! A part of all batches: always the same ones.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::job::Digest;

/// A part of all batches, in ten-thousandths; written `10%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Share(u16);

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
}
