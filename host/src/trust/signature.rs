//! Signatures over release documents: our own, and what tools write that people already have.
//!
//! | Written by | Form |
//! |---|---|
//! | `gristmill publish --key`, `gristmill sign --key` | JSON: algorithm, key, signature |
//! | `cosign sign-blob --key` | the signature in base64, or a sigstore bundle (JSON), of which the signature alone is read |
//! | `openssl dgst -sha256 -sign` | the signature as it is: ASN.1 DER, also in base64 |
//!
//! All are ECDSA over P-256 and SHA-256.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{DerSignature, Signature as Ecdsa};
use serde::{Deserialize, Serialize};

use super::error::TrustError;
use super::key::{PrivateKey, PublicKey};
use crate::job::Digest;

/// The largest signature, in bytes. A bundle that a transparency log and a clock have witnessed has some 10 KB.
const MAX_SIGNATURE: usize = 64 << 10;

/// The one algorithm of our own signatures.
const ALGORITHM: &str = "ecdsa-p256-sha256";

/// A signature, of whom is not known until a key fits.
#[derive(Clone)]
pub struct Signature {
    ecdsa: Ecdsa,
    /// The key's [`PublicKey::id`], if it says whose it is.
    key: Option<Digest>,
}

/// Our own form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    gristmill: u64,
    algorithm: String,
    key: Digest,
    /// ASN.1 DER, in base64.
    signature: String,
}

/// What is read of a sigstore bundle. Its certificates and log entries say nothing about a key that is trusted by itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    message_signature: Message,
}

#[derive(Deserialize)]
struct Message {
    signature: String,
}

impl Signature {
    /// Reads any of the forms. That something can be read says nothing about who wrote it.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        if bytes.len() > MAX_SIGNATURE {
            return unreadable(&format!("it has {} bytes; at most {MAX_SIGNATURE}", bytes.len()));
        }
        // DER begins with 0x30; in base64 that is an `M`.
        if bytes.first() == Some(&0x30) {
            return Self::unnamed(bytes);
        }
        let Ok(text) = std::str::from_utf8(bytes) else { return unreadable("it is neither text nor ASN.1 DER") };
        if text.starts_with('{') { Self::from_json(text) } else { Self::unnamed(&base64(text)?) }
    }

    /// Whether this key made it, over exactly this document.
    pub fn fits(&self, key: &PublicKey, document: &[u8]) -> bool {
        self.key.is_none_or(|id| id == key.id()) && key.verifying.verify(document, &self.ecdsa).is_ok()
    }

    /// One that does not say whose it is.
    fn unnamed(der: &[u8]) -> Result<Self, TrustError> {
        Ok(Self { ecdsa: ecdsa(der)?, key: None })
    }

    fn from_json(text: &str) -> Result<Self, TrustError> {
        if let Ok(bundle) = serde_json::from_str::<Bundle>(text) {
            return Self::unnamed(&base64(&bundle.message_signature.signature)?);
        }
        let own: Own = match serde_json::from_str(text) {
            Ok(own) => own,
            Err(error) => {
                // It repeats the names of members, which are as long as whoever attached them liked.
                let why: String = error.to_string().chars().take(200).collect();
                return unreadable(&format!("it is neither gristmill's nor a sigstore bundle over a blob: {why}"));
            }
        };
        if own.gristmill != 1 || own.algorithm != ALGORITHM {
            return unreadable(
                "its version or algorithm is another one; this gristmill reads version 1, ecdsa-p256-sha256",
            );
        }
        let signature = ecdsa(&base64(&own.signature)?)?;
        // Nobody writes it by hand: what was changed in any byte is not ours.
        if write(own.key, &signature.to_der())? != text {
            return unreadable("it is not written as gristmill writes it");
        }
        Ok(Self { ecdsa: signature, key: Some(own.key) })
    }
}

/// Our own form of a signature, as a file.
pub(super) fn write(key: Digest, signature: &DerSignature) -> Result<Bytes, TrustError> {
    let signature = BASE64_STANDARD.encode(signature.as_bytes());
    let own = Own { gristmill: 1, algorithm: ALGORITHM.into(), key, signature };
    match serde_json::to_string(&own) {
        Ok(text) => Ok(Bytes::from(text + "\n")),
        Err(error) => unreadable(&format!("it cannot be written: {error}")),
    }
}

/// A signature over the document: the same for the same document and key (RFC 6979).
pub(super) fn sign(key: &PrivateKey, document: &[u8]) -> DerSignature {
    key.0.sign(document)
}

fn ecdsa(der: &[u8]) -> Result<Ecdsa, TrustError> {
    Ecdsa::from_der(der).or_else(|_| unreadable("it is no ECDSA signature over P-256 (ASN.1 DER)"))
}

/// `openssl base64` breaks lines.
fn base64(text: &str) -> Result<Vec<u8>, TrustError> {
    let text: String = text.split_ascii_whitespace().collect();
    BASE64_STANDARD.decode(text).or_else(|_| unreadable("it is no base64"))
}

fn unreadable<T>(why: &str) -> Result<T, TrustError> {
    Err(TrustError::Invalid(format!("this is no signature: {why}")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::key::tests::private;
    use super::*;
    use proptest::prelude::*;

    const DOCUMENT: &[u8] = b"release document";

    /// What the key of this seed signs.
    pub(in crate::trust) fn signed(seed: u8, document: &[u8]) -> Bytes {
        let key = private(seed);
        write(key.public().unwrap().id(), &sign(&key, document)).unwrap()
    }

    /// Each form with the key that fits it.
    fn forms() -> Vec<(&'static str, Vec<u8>, PublicKey)> {
        let key = private(1);
        let public = key.public().unwrap();
        let der = sign(&key, DOCUMENT);
        let text = BASE64_STANDARD.encode(der.as_bytes());
        let bundle = serde_json::json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": "x"}, "tlogEntries": [{"logIndex": "1"}]},
            "messageSignature": {"messageDigest": {"algorithm": "SHA2_256", "digest": "AAAA"}, "signature": text},
        });
        vec![
            ("own", write(public.id(), &der).unwrap().to_vec(), public.clone()),
            ("DER", der.as_bytes().to_vec(), public.clone()),
            ("base64", text.clone().into_bytes(), public.clone()),
            ("base64 in lines", format!("{}\n{}\n", &text[..64], &text[64..]).into_bytes(), public.clone()),
            ("sigstore bundle", bundle.to_string().into_bytes(), public),
        ]
    }

    fn fits(signature: &[u8], key: &PublicKey, document: &[u8]) -> bool {
        Signature::parse(signature).is_ok_and(|signature| signature.fits(key, document))
    }

    #[test]
    fn each_form_fits_its_key_and_document_and_no_other() {
        let others = [private(2).public().unwrap(), private(1).public().unwrap()];
        for (form, signature, key) in forms() {
            assert!(fits(&signature, &key, DOCUMENT), "{form}");
            assert!(!fits(&signature, &key, b"release documenu") && !fits(&signature, &key, b""), "{form}");
            for other in others.iter().filter(|other| other.id() != key.id()) {
                assert!(!fits(&signature, other, DOCUMENT), "{form}");
            }
        }
    }

    #[test]
    fn our_own_form_is_as_it_is_documented_and_always_the_same() {
        let key = private(1);
        let write = || write(key.public().unwrap().id(), &sign(&key, DOCUMENT)).unwrap();
        assert_eq!(write(), write());
        let own: serde_json::Value = serde_json::from_slice(&write()).unwrap();
        assert_eq!(own["gristmill"], 1);
        assert_eq!(own["algorithm"], "ecdsa-p256-sha256");
        assert_eq!(own["key"], key.public().unwrap().id().to_string());
        assert_eq!(
            BASE64_STANDARD.decode(own["signature"].as_str().unwrap()).unwrap(),
            sign(&key, DOCUMENT).as_bytes()
        );
    }

    /// A signature that says it is another key's is nobody's.
    #[test]
    fn a_signature_is_its_own_key_s_only() {
        let (key, other) = (private(1), private(2).public().unwrap());
        let claimed = write(other.id(), &sign(&key, DOCUMENT)).unwrap();
        assert!(!fits(&claimed, &other, DOCUMENT) && !fits(&claimed, &key.public().unwrap(), DOCUMENT));
    }

    #[test]
    fn what_is_no_signature_is_refused_in_one_sentence() {
        let own = String::from_utf8(forms()[0].1.clone()).unwrap();
        for (text, expected) in [
            (String::new(), "no ECDSA signature"),
            ("hello".into(), "no base64"),
            ("aGVsbG8=".into(), "no ECDSA signature"),
            ("0".into(), "no ECDSA signature"),
            ("{}".into(), "sigstore bundle"),
            (r#"{"mediaType":"x","dsseEnvelope":{"payload":""}}"#.into(), "sigstore bundle"),
            (own.replace(":1,", ":2,"), "another one"),
            (own.replace("ecdsa-p256-sha256", "none"), "another one"),
            (own.replace("\"}", "\",\"x\":1}"), "unknown field"),
            (format!("{{\"{}\":1}}", "x".repeat(1000)), "unknown field `xxx"),
            (own.replace(",\"", ", \""), "as gristmill writes it"),
            (own.trim_end().into(), "as gristmill writes it"),
            ("untrusted comment: signature from minisign secret key\nRUTd\n".into(), "no base64"),
            ("x".repeat(70_000), "at most 65536"),
        ] {
            let refused = Signature::parse(text.as_bytes()).err().unwrap().to_string();
            assert!(refused.contains(expected) && refused.len() < 300, "{text:.60}: {refused}");
        }
        assert!(Signature::parse(&[0xff, 0xfe]).err().unwrap().to_string().contains("neither text nor"));
    }

    /// What a form does not sign: a bundle's other members and the space around base64.
    fn is_signed(form: &str, signature: &[u8], place: usize) -> bool {
        match form {
            "sigstore bundle" => {
                let text = std::str::from_utf8(signature).unwrap();
                let start = text.find("\"signature\":\"").unwrap() + 13;
                (start..start + text[start..].find('"').unwrap()).contains(&place)
            }
            "base64 in lines" => !signature[place].is_ascii_whitespace(),
            _ => true,
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_of_a_signature_is_refused(form in 0..5_usize, place: prop::sample::Index, bit in 0..8_u8) {
            let (form, mut signature, key) = forms().swap_remove(form);
            let places: Vec<usize> = (0..signature.len()).filter(|place| is_signed(form, &signature, *place)).collect();
            let place = places[place.index(places.len())];
            signature[place] ^= 1_u8 << bit;
            prop_assert!(!fits(&signature, &key, DOCUMENT), "{form}, byte {place}, bit {bit}");
        }

        #[test]
        fn a_flipped_bit_of_a_document_is_refused(form in 0..5_usize, place in 0..DOCUMENT.len(), bit in 0..8_u8) {
            let (form, signature, key) = forms().swap_remove(form);
            let mut document = DOCUMENT.to_vec();
            document[place] ^= 1_u8 << bit;
            prop_assert!(!fits(&signature, &key, &document), "{form}, byte {place}, bit {bit}");
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes: Vec<u8>, text in "\\{?.{0,200}") {
            prop_assert!(!fits(&bytes, &private(1).public().unwrap(), DOCUMENT));
            prop_assert!(!fits(text.as_bytes(), &private(1).public().unwrap(), DOCUMENT));
        }
    }
}
