//! The file in which an operator says whose signatures are demanded.
//!
//! ```toml
//! all_of   = ["build"]            # each of these has to have signed
//! any_of   = ["alice", "bob"]     # and at_least of these
//! at_least = 1                    # 1, unless it is said
//! [keys]
//! build = "build.pub"             # PEM, relative to this file
//! alice = "awskms:///arn:aws:kms:eu-west-1:123456789012:key/..."
//! bob   = "bob.pub"
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::error::TrustError;
use super::key::PublicKey;
use super::keyring::{KeyRef, read};
use super::kms::Kms;
use super::policy::{Policy, Trusted};

/// The largest policy file, in bytes.
const MAX_POLICY: u64 = 64 << 10;

/// A policy as it is in its file, whose keys are not read yet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    #[serde(default)]
    all_of: Vec<String>,
    #[serde(default)]
    any_of: Vec<String>,
    at_least: Option<usize>,
    keys: BTreeMap<String, String>,
}

impl Policy {
    /// Reads a policy file and its keys. Each error names the file, and the key if it is one's.
    pub async fn load(file: &Path, kms: &Kms) -> Result<Self, TrustError> {
        let within = |error: TrustError| error.within(&file.display().to_string());
        let bytes = read(file, MAX_POLICY).map_err(within)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| within(TrustError::Invalid("it is not text".into())))?;
        let policy = PolicyFile::parse(text).map_err(within)?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut keys = BTreeMap::new();
        for (name, reference) in &policy.keys {
            let of_key = |error: TrustError| within(error.within(&format!("keys.{name}")));
            let reference = KeyRef::parse(reference).map_err(of_key)?.beside(folder);
            keys.insert(name.clone(), reference.public(kms).await.map_err(of_key)?);
        }
        policy.with(keys).map_err(within)
    }
}

impl PolicyFile {
    /// Reads the text of a policy file.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let policy: Self = toml_edit::de::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            TrustError::Invalid(format!("line {}: {}", before.matches('\n').count() + 1, error.message()))
        })?;
        policy.check()?;
        Ok(policy)
    }

    /// What is wrong with it whatever its keys are.
    fn check(&self) -> Result<(), TrustError> {
        for (list, names) in [("all_of", &self.all_of), ("any_of", &self.any_of)] {
            if let Some(name) = names.iter().find(|name| !self.keys.contains_key(*name)) {
                return invalid(format!("{list}: there is no key `{name}` in [keys]"));
            }
        }
        if self.all_of.is_empty() && self.any_of.is_empty() {
            return invalid("it demands nobody's signature: give all_of or any_of names of [keys]".into());
        }
        match self.at_least {
            Some(_) if self.any_of.is_empty() => invalid("at_least is about any_of, which is not there".into()),
            Some(0) => invalid("at_least: 0 would demand nobody's signature".into()),
            _ => Ok(()),
        }
    }

    /// The policy, with a key for each name in `[keys]`.
    pub fn with(&self, keys: BTreeMap<String, PublicKey>) -> Result<Policy, TrustError> {
        let mut trusted: Vec<Trusted> = Vec::new();
        let mut places = BTreeMap::new();
        for (name, key) in keys {
            let place = trusted.iter().position(|it| it.key.id() == key.id());
            match place {
                Some(place) => trusted[place].name = format!("{} = {name}", trusted[place].name),
                None => trusted.push(Trusted { name: name.clone(), key }),
            }
            places.insert(name, place.unwrap_or(trusted.len() - 1));
        }
        let place = |name: &String| match places.get(name) {
            Some(place) => Ok(*place),
            None => invalid(format!("there is no key `{name}`")),
        };
        let mut all_of = Vec::new();
        for name in &self.all_of {
            let place = place(name)?;
            if all_of.contains(&place) {
                return invalid(format!(
                    "all_of: `{name}` is there already, as the same key: that is one signer, not two"
                ));
            }
            all_of.push(place);
        }
        let mut any_of = Vec::new();
        for name in &self.any_of {
            let place = place(name)?;
            if all_of.contains(&place) {
                return invalid(format!("any_of: `{name}` has to sign already, it is in all_of"));
            }
            if !any_of.contains(&place) {
                any_of.push(place);
            }
        }
        let at_least = self.at_least.unwrap_or(usize::from(!any_of.is_empty()));
        if at_least > any_of.len() {
            return invalid(format!(
                "at_least: {at_least} are to sign, but any_of has {} different keys",
                any_of.len()
            ));
        }
        Ok(Policy { trusted, all_of, any_of, at_least })
    }
}

fn invalid<T>(why: String) -> Result<T, TrustError> {
    Err(TrustError::Invalid(why))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::key::tests::private;
    use super::super::signature::tests::signed;
    use super::*;

    const DOCUMENT: &[u8] = b"release document";

    /// A policy file, in which `a` and `a-again` are one key.
    pub(in crate::trust) fn policy(text: &str) -> Result<Policy, TrustError> {
        let keys = [("a", 1), ("a-again", 1), ("b", 2), ("c", 3)];
        let names: String = keys.iter().map(|(name, _)| format!("{name} = \"{name}.pub\"\n")).collect();
        let file = PolicyFile::parse(&format!("{text}\n[keys]\n{names}"))?;
        file.with(keys.map(|(name, seed)| (name.to_owned(), private(seed).public().unwrap())).into())
    }

    #[test]
    fn a_policy_that_cannot_be_meant_is_refused() {
        for (text, expected) in [
            ("", "demands nobody's signature"),
            ("all_of = []", "demands nobody's signature"),
            ("all_of = [\"x\"]", "all_of: there is no key `x`"),
            ("any_of = [\"b\", \"x\"]", "any_of: there is no key `x`"),
            ("all_of = [\"b\"]\nat_least = 1", "any_of, which is not there"),
            ("any_of = [\"b\"]\nat_least = 0", "at_least: 0"),
            ("any_of = [\"b\"]\nat_least = 2", "any_of has 1 different"),
            ("any_of = [\"b\", \"b\"]\nat_least = 2", "any_of has 1 different"),
            ("any_of = [\"a\", \"a-again\"]\nat_least = 2", "any_of has 1 different"),
            ("all_of = [\"a\", \"a-again\"]", "all_of: `a-again` is there already"),
            ("all_of = [\"b\", \"b\"]", "all_of: `b` is there already"),
            ("all_of = [\"a\"]\nany_of = [\"a-again\", \"b\"]", "any_of: `a-again` has to sign already"),
            ("all = [\"b\"]", "unknown field `all`"),
            ("any_of = [\"b\"]\nat_least = -1", "line 2: invalid value"),
            ("all_of = \"b\"", "expected a sequence"),
        ] {
            let refused = policy(text).unwrap_err().to_string();
            assert!(refused.contains(expected), "{text}: {refused}");
        }
        assert!(PolicyFile::parse("all_of = [\"b\"]").unwrap_err().to_string().contains("missing field `keys`"));
    }

    #[tokio::test]
    async fn a_policy_is_loaded_with_the_keys_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        std::fs::create_dir(folder.path().join("keys")).unwrap();
        write("keys/b.pub", &private(2).to_pem().unwrap().1);
        write("keys/c.pub", &private(3).to_pem().unwrap().1);
        write("trust.toml", "all_of = [\"b\"]\nany_of = [\"c\"]\n[keys]\nb = \"keys/b.pub\"\nc = \"keys/c.pub\"\n");
        let file = folder.path().join("trust.toml");
        let policy = Policy::load(&file, &Kms::default()).await.unwrap();
        let refused = policy.verify(DOCUMENT, &[signed(2, DOCUMENT)]).unwrap_err();
        assert_eq!(refused, TrustError::Untrusted("not signed by 1 of `c`; signed by: `b`".into()));

        let refused = async |text: &str| {
            write("trust.toml", text);
            let refused = Policy::load(&file, &Kms::default()).await.unwrap_err().to_string();
            assert!(refused.starts_with(&file.display().to_string()), "{refused}");
            refused
        };
        let lacking = refused("all_of = [\"b\"]\n[keys]\nb = \"b.pub\"\n").await;
        assert!(lacking.contains("keys.b: ") && lacking.contains("/b.pub: No such file"), "{lacking}");
        write("keys/b.pub", private(2).to_pem().unwrap().0.as_ref());
        let private = refused("all_of = [\"b\"]\n[keys]\nb = \"keys/b.pub\"\n").await;
        assert!(private.contains("keys.b: ") && private.contains("keys/b.pub: this is a private key"), "{private}");
        assert!(refused("all_of = [\"b\"]\n[keys]\nb = \"awskms://b\"\n").await.contains("three slashes"));
        assert!(refused("all_of = [\"b\"\n[keys]\n").await.contains("trust.toml: line 2: missing comma"));
        assert!(refused(&"#".repeat(70_000)).await.contains("more than 65536 bytes"));
        std::fs::remove_file(&file).unwrap();
        let nothing = Policy::load(&file, &Kms::default()).await.unwrap_err().to_string();
        assert!(nothing.contains("trust.toml: No such file"), "{nothing}");
    }

    proptest! {
        /// Against the rule as one would say it: sets of keys. Names `0` to `5` are keys 0 to 3, some of them twice.
        #[test]
        fn a_release_is_trusted_if_the_sets_say_so(
            keys in prop::collection::vec(0..4_u8, 6),
            all_of in prop::collection::btree_set(0..6_usize, 0..3),
            any_of in prop::collection::btree_set(0..6_usize, 0..5),
            at_least in prop::option::of(1..4_usize),
            by in prop::collection::vec(0..6_u8, 0..6),
        ) {
            let name = |place: &usize| place.to_string();
            let file = PolicyFile {
                all_of: all_of.iter().map(name).collect(),
                any_of: any_of.iter().map(name).collect(),
                at_least,
                keys: (0..6).map(|place| (name(&place), String::new())).collect(),
            };
            let public = |key: u8| private(key + 1).public().unwrap();
            let with = keys.iter().enumerate().map(|(place, key)| (name(&place), public(*key))).collect();
            let policy = file.check().and_then(|()| file.with(with));

            let set = |places: &BTreeSet<usize>| -> BTreeSet<u8> { places.iter().map(|place| keys[*place]).collect() };
            let (all, any) = (set(&all_of), set(&any_of));
            let wanted = at_least.unwrap_or(usize::from(!any.is_empty()));
            let sensible = !(all.is_empty() && any.is_empty())
                && all.len() == all_of.len()
                && all.is_disjoint(&any)
                && (at_least.is_none() || !any.is_empty())
                && wanted <= any.len();
            prop_assert_eq!(policy.is_ok(), sensible, "{:?}", policy);
            let Ok(policy) = policy else { return Ok(()) };

            // Keys 4 and 5 are nobody's.
            let signers: BTreeSet<u8> = by.iter().copied().collect();
            let signatures: Vec<Bytes> = by.iter().map(|key| signed(key + 1, DOCUMENT)).collect();
            let trusted = all.is_subset(&signers) && any.intersection(&signers).count() >= wanted;
            let verified = policy.verify(DOCUMENT, &signatures);
            prop_assert_eq!(verified.is_ok(), trusted, "{:?}", verified);
            let known: BTreeSet<u8> = keys.iter().copied().collect();
            prop_assert!(verified.is_err() || verified.unwrap().len() == signers.intersection(&known).count());
            prop_assert!(policy.verify(b"another document", &signatures).is_err());
        }
    }
}
