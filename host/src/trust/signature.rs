//! Signatures over release documents: our own, and what tools write that people already have.
//!
//! | Written by | Form |
//! |---|---|
//! | `gristmill publish --key`, `gristmill sign --key` | JSON: algorithm, key, signature |
//! | `minisign -S` (0.10 or later) | a `.minisig`: Ed25519 over the document's BLAKE2b-512 |
//! | `cosign sign-blob --key` | the signature in base64, or a sigstore bundle (JSON), of which the signature alone is read |
//! | `openssl dgst -sha256 -sign` | the signature as it is: ASN.1 DER, also in base64 |
//!
//! All but minisign's are ECDSA over P-256 and SHA-256.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{DerSignature, Signature as Ecdsa};
use serde::{Deserialize, Serialize};

use super::error::TrustError;
use super::key::{Kind, PrivateKey, PublicKey};
use crate::job::Digest;

/// The largest signature, in bytes. minisign's comments have up to 8 KiB; a bundle that a transparency log and a clock have
/// witnessed has some 10 KB.
const MAX_SIGNATURE: usize = 64 << 10;

/// The one algorithm of our own signatures.
const ALGORITHM: &str = "ecdsa-p256-sha256";

/// A signature, of whom is not known until a key fits.
#[derive(Clone)]
pub struct Signature(Form);

#[derive(Clone)]
enum Form {
    /// With the key's [`PublicKey::id`], if it says whose it is.
    Ecdsa(Ecdsa, Option<Digest>),
    Minisign(minisign_verify::Signature),
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
            return Ok(Self(Form::Ecdsa(ecdsa(bytes)?, None)));
        }
        let Ok(text) = std::str::from_utf8(bytes) else { return unreadable("it is neither text nor ASN.1 DER") };
        match text {
            json if json.starts_with('{') => Self::from_json(json),
            lines if lines.starts_with("untrusted comment:") => Self::from_minisign(lines),
            text => Ok(Self(Form::Ecdsa(ecdsa(&base64(text)?)?, None))),
        }
    }

    /// Whether this key made it, over exactly this document.
    pub fn fits(&self, key: &PublicKey, document: &[u8]) -> bool {
        match (&self.0, &key.kind) {
            (Form::Ecdsa(signature, says), Kind::P256(verifying)) => {
                says.is_none_or(|id| id == key.id()) && verifying.verify(document, signature).is_ok()
            }
            // Without its old kind of signatures, over the document instead of its hash.
            (Form::Minisign(signature), Kind::Minisign(verifying)) => {
                verifying.verify(document, signature, false).is_ok()
            }
            _ => false,
        }
    }

    fn from_json(text: &str) -> Result<Self, TrustError> {
        if let Ok(bundle) = serde_json::from_str::<Bundle>(text) {
            return Ok(Self(Form::Ecdsa(ecdsa(&base64(&bundle.message_signature.signature)?)?, None)));
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
        Ok(Self(Form::Ecdsa(signature, Some(own.key))))
    }

    fn from_minisign(text: &str) -> Result<Self, TrustError> {
        // `Ed` in base64; `ED`, of which the hash is signed, is `RU`.
        if text.lines().nth(1).is_some_and(|line| line.starts_with("RW")) {
            return unreadable(
                "it is of minisign's legacy kind: sign with minisign 0.10 or later, or with its option -H",
            );
        }
        match minisign_verify::Signature::decode(text) {
            Ok(signature) => Ok(Self(Form::Minisign(signature))),
            Err(_) => unreadable("it is not a whole .minisig: expected its four lines"),
        }
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
    use super::super::key::tests::{MINISIGN, private};
    use super::*;
    use proptest::prelude::*;

    const DOCUMENT: &[u8] = b"release document";

    /// What the key of this seed signs.
    pub(in crate::trust) fn signed(seed: u8, document: &[u8]) -> Bytes {
        let key = private(seed);
        write(key.public().unwrap().id(), &sign(&key, document)).unwrap()
    }

    /// Over [`DOCUMENT`], by the key of [`MINISIGN`], as `minisign -S` wrote it.
    const MINISIG: &str = "untrusted comment: signature from minisign secret key\n\
        RUTdaKrCpZnTFyGVlsf58Jb9vIUXdOJprNGIbwEn6/bEzmacoJcDjK/eI5pn2SXTm2maFlml8358PYh/M2a6oHxj7wENdGIEvAQ=\n\
        trusted comment: timestamp:1795176674\tfile:doc\thashed\n\
        zY5FZFJXjiuNwIMwGCZ+CSvAT8f6/2mP2ac7UcPP+M99FjE+ui9/WqIVal3gn8NLa8TZTBXklNS9AAw4A/6MCg==\n";

    /// The same with `minisign -S -l`.
    const LEGACY: &str = "untrusted comment: signature from minisign secret key\n\
        RWTdaKrCpZnTF59dJ3xp+VPHk3cOB3w4sN4fRPdjIZghU9XSQ0lypoKSzAX9k1ctdEfZLPlNdG/b2rlMW/RErbjFktas1svz7wk=\n\
        trusted comment: timestamp:1795176674\tfile:doc\n\
        iYxxZX52fx3s89xL5m1wihFTUzIwZh10Zpmj82GQRKncOpHxf93du7moYLRQ5uwuvjokH1xRGlKUicW0OjSdBQ==\n";

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
            ("minisign", MINISIG.into(), PublicKey::parse(MINISIGN.as_bytes()).unwrap()),
        ]
    }

    fn fits(signature: &[u8], key: &PublicKey, document: &[u8]) -> bool {
        Signature::parse(signature).is_ok_and(|signature| signature.fits(key, document))
    }

    #[test]
    fn each_form_fits_its_key_and_document_and_no_other() {
        let others = [
            private(2).public().unwrap(),
            PublicKey::parse(MINISIGN.as_bytes()).unwrap(),
            private(1).public().unwrap(),
        ];
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
            ("untrusted comment: x\n".into(), "four lines"),
            (LEGACY.into(), "0.10 or later"),
            (format!("untrusted comment: {}", "x".repeat(70_000)), "at most 65536"),
        ] {
            let refused = Signature::parse(text.as_bytes()).err().unwrap().to_string();
            assert!(refused.contains(expected) && refused.len() < 300, "{text:.60}: {refused}");
        }
        assert!(Signature::parse(&[0xff, 0xfe]).err().unwrap().to_string().contains("neither text nor"));
    }

    /// What a form does not sign: a bundle's other members, minisign's first line and the space around base64.
    fn is_signed(form: &str, signature: &[u8], place: usize) -> bool {
        match form {
            "sigstore bundle" => {
                let text = std::str::from_utf8(signature).unwrap();
                let start = text.find("\"signature\":\"").unwrap() + 13;
                (start..start + text[start..].find('"').unwrap()).contains(&place)
            }
            "minisign" => {
                (signature.iter().position(|byte| *byte == b'\n').unwrap()..signature.len() - 1).contains(&place)
            }
            "base64 in lines" => !signature[place].is_ascii_whitespace(),
            _ => true,
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_of_a_signature_is_refused(form in 0..6_usize, place: prop::sample::Index, bit in 0..8_u8) {
            let (form, mut signature, key) = forms().swap_remove(form);
            let places: Vec<usize> = (0..signature.len()).filter(|place| is_signed(form, &signature, *place)).collect();
            let place = places[place.index(places.len())];
            signature[place] ^= 1_u8 << bit;
            prop_assert!(!fits(&signature, &key, DOCUMENT), "{form}, byte {place}, bit {bit}");
        }

        #[test]
        fn a_flipped_bit_of_a_document_is_refused(form in 0..6_usize, place in 0..DOCUMENT.len(), bit in 0..8_u8) {
            let (form, signature, key) = forms().swap_remove(form);
            let mut document = DOCUMENT.to_vec();
            document[place] ^= 1_u8 << bit;
            prop_assert!(!fits(&signature, &key, &document), "{form}, byte {place}, bit {bit}");
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes: Vec<u8>, text in "(\\{|untrusted comment:)?.{0,200}") {
            prop_assert!(!fits(&bytes, &private(1).public().unwrap(), DOCUMENT));
            prop_assert!(!fits(text.as_bytes(), &private(1).public().unwrap(), DOCUMENT));
        }
    }
}
