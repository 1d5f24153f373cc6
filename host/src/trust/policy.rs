//! Whose signatures an operator demands before a release may run, and whether they are there.
//!
//! Counted are *keys* that signed, by their material: neither names nor signatures. A key that is in the file twice is one signer,
//! and so is one that signed twice.

use bytes::Bytes;

use super::error::TrustError;
use super::key::PublicKey;
use super::signature::Signature;

/// Whose signatures are demanded.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// All keys of the file, each once.
    pub(super) trusted: Vec<Trusted>,
    /// Of `trusted`, by place: each has to have signed.
    pub(super) all_of: Vec<usize>,
    /// Of `trusted`, by place: `at_least` have to have signed; none that is in `all_of`.
    pub(super) any_of: Vec<usize>,
    pub(super) at_least: usize,
}

/// A key that counts.
#[derive(Clone, Debug)]
pub(super) struct Trusted {
    /// The key's names in the file: more than one, if it is there more than once.
    pub(super) name: String,
    pub(super) key: PublicKey,
}

impl Policy {
    /// No demand: every release is trusted, signed or not.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether there is no demand, so that no signature needs to be fetched.
    pub fn is_none(&self) -> bool {
        self.trusted.is_empty()
    }

    /// The names of the trusted keys that signed this document, if they are those that are demanded.
    ///
    /// All signatures are looked at, in whatever order they come: whoever may attach something cannot hide a good one, neither
    /// behind many others nor behind one that cannot be read. Their size is bounded, so that the work is some tenths of a
    /// millisecond for each signature and key, on the calling thread.
    pub fn verify(&self, document: &[u8], signatures: &[Bytes]) -> Result<Vec<String>, TrustError> {
        let mut signed = vec![false; self.trusted.len()];
        let (mut strange, mut unreadable) = (0, 0);
        for bytes in signatures {
            match Signature::parse(bytes) {
                // The first that fits: one signature is never two signers.
                Ok(signature) => match self.trusted.iter().position(|it| signature.fits(&it.key, document)) {
                    Some(place) => signed[place] = true,
                    None => strange += 1,
                },
                Err(_) => unreadable += 1,
            }
        }
        let missing = self.missing(&signed);
        let signers: Vec<String> =
            self.trusted.iter().zip(&signed).filter(|(_, signed)| **signed).map(|(it, _)| it.name.clone()).collect();
        if missing.is_empty() {
            return Ok(signers);
        }
        let by = if signers.is_empty() { "none of the trusted keys".into() } else { quoted(&signers) };
        let more = [(strange, "by other keys or over something else"), (unreadable, "that cannot be read")];
        let more: Vec<String> = more
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} signature{} {what}", if count == 1 { "" } else { "s" }))
            .collect();
        let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
        Err(TrustError::Untrusted(format!("not signed by {}; signed by: {by}{more}", missing.join(", nor by "))))
    }

    /// What is missing, in words.
    fn missing(&self, signed: &[bool]) -> Vec<String> {
        let unsigned = |places: &[usize]| -> Vec<&str> {
            places.iter().filter(|place| !signed[**place]).map(|place| &*self.trusted[*place].name).collect()
        };
        let mut missing: Vec<String> = unsigned(&self.all_of).into_iter().map(|name| format!("`{name}`")).collect();
        let left = unsigned(&self.any_of);
        let lacking = self.at_least.saturating_sub(self.any_of.len() - left.len());
        if lacking > 0 {
            missing.push(format!("{lacking} of {}", quoted(&left)));
        }
        missing
    }
}

fn quoted(names: &[impl AsRef<str>]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::key::tests::private;
    use super::super::policy_file::tests::policy;
    use super::super::signature;
    use super::super::signature::tests::signed;
    use super::*;

    const DOCUMENT: &[u8] = b"release document";

    #[test]
    fn distinct_signers_are_counted() {
        let [a, b, c] = [1, 2, 3].map(|seed| signed(seed, DOCUMENT));
        let der_of_a = Bytes::copy_from_slice(signature::sign(&private(1), DOCUMENT).as_bytes());
        let (stranger, garbage) = (signed(9, DOCUMENT), Bytes::from("garbage"));
        for (text, signatures, expected) in [
            ("all_of = [\"a\"]", vec![&a], Ok("a = a-again")),
            ("\u{feff}all_of = [\"a\"]", vec![&a], Ok("a = a-again")),
            ("all_of = [\"a\"]", vec![&garbage, &stranger, &b, &a], Ok("a = a-again, b")),
            ("all_of = [\"a\"]", vec![], Err("not signed by `a = a-again`; signed by: none of the trusted keys")),
            (
                "all_of = [\"b\"]",
                vec![&stranger, &stranger, &garbage],
                Err(
                    "not signed by `b`; signed by: none of the trusted keys (2 signatures by other keys or over something \
                     else, 1 signature that cannot be read)",
                ),
            ),
            ("all_of = [\"b\", \"c\"]", vec![&b], Err("not signed by `c`; signed by: `b`")),
            ("all_of = [\"b\", \"c\"]", vec![&c, &b], Ok("b, c")),
            ("any_of = [\"b\", \"c\"]", vec![&c], Ok("c")),
            ("any_of = [\"b\", \"c\"]", vec![&a], Err("not signed by 1 of `b`, `c`; signed by: `a = a-again`")),
            ("any_of = [\"b\", \"c\"]\nat_least = 2", vec![&c], Err("not signed by 1 of `b`; signed by: `c`")),
            ("any_of = [\"b\", \"c\"]\nat_least = 2", vec![&c, &c], Err("not signed by 1 of `b`; signed by: `c`")),
            ("any_of = [\"b\", \"c\"]\nat_least = 2", vec![&c, &b], Ok("b, c")),
            // One key: two names, two signatures, two forms.
            (
                "any_of = [\"a\", \"a-again\", \"c\"]\nat_least = 2",
                vec![&a, &der_of_a],
                Err("not signed by 1 of `c`; signed by: `a = a-again`"),
            ),
            ("any_of = [\"a\", \"a-again\", \"c\"]\nat_least = 2", vec![&a, &c], Ok("a = a-again, c")),
            (
                "all_of = [\"a\"]\nany_of = [\"b\", \"c\"]",
                vec![&stranger],
                Err(
                    "not signed by `a = a-again`, nor by 1 of `b`, `c`; signed by: none of the trusted keys (1 signature by \
                     other keys or over something else)",
                ),
            ),
            ("all_of = [\"a\"]\nany_of = [\"b\", \"c\"]", vec![&b, &a], Ok("a = a-again, b")),
        ] {
            let signatures: Vec<Bytes> = signatures.into_iter().cloned().collect();
            let verified = policy(text).unwrap().verify(DOCUMENT, &signatures).map(|names| names.join(", "));
            assert_eq!(
                verified,
                expected.map(str::to_owned).map_err(|why| TrustError::Untrusted(why.into())),
                "{text}"
            );
        }
    }

    #[test]
    fn who_demands_nothing_trusts_everything() {
        assert!(Policy::none().is_none() && !policy("all_of = [\"a\"]").unwrap().is_none());
        assert_eq!(Policy::none().verify(DOCUMENT, &[]), Ok(vec![]));
        assert_eq!(Policy::none().verify(DOCUMENT, &[Bytes::from("garbage")]), Ok(vec![]));
    }

    #[test]
    fn ten_thousand_strange_signatures_do_not_hide_a_good_one() {
        let noise = (0..10_000).map(|number| Bytes::from(format!("noise {number}")));
        let signatures: Vec<Bytes> = noise.chain([signed(2, DOCUMENT)]).collect();
        assert_eq!(policy("all_of = [\"b\"]").unwrap().verify(DOCUMENT, &signatures), Ok(vec!["b".to_owned()]));
    }
}
