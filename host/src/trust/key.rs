//! Keys: who may have signed, and what signs. Nothing here asks anybody: texts and bytes become keys.
//!
//! A key is known by its *material*, never by its file or its name: the same key in two files is one signer.

use std::fmt;

use p256::ecdsa::{SigningKey, VerifyingKey};
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding,
};

use super::error::TrustError;
use crate::job::Digest;

/// The largest file of a key, in bytes. All kinds that are read have less than 1 KB, and comments.
pub(super) const MAX_KEY: u64 = 16 << 10;

/// Verifies signatures: ECDSA over P-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    id: Digest,
    pub(super) verifying: VerifyingKey,
}

/// Signs: ECDSA over P-256. Its bytes are wiped when it is dropped, and never in debug output.
pub struct PrivateKey(pub(super) SigningKey);

impl PublicKey {
    /// Reads `BEGIN PUBLIC KEY` (PEM, RFC 7468: `openssl`, `cosign.pub`, `gristmill keygen`).
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        let text = text(bytes)?;
        if text.contains("-----BEGIN PUBLIC KEY-----") {
            let key = VerifyingKey::from_public_key_pem(text.trim()).map_err(|_| not_p256("public key"))?;
            return Self::p256(key);
        }
        if text.contains("PRIVATE KEY-----") {
            return invalid("this is a private key: who verifies needs the public one, and must not have this one");
        }
        invalid("this is no public key: expected PEM (`-----BEGIN PUBLIC KEY-----`)")
    }

    /// Reads a SubjectPublicKeyInfo (DER, RFC 5480), as AWS KMS gives it.
    pub(super) fn from_der(der: &[u8]) -> Result<Self, TrustError> {
        Self::p256(VerifyingKey::from_public_key_der(der).map_err(|_| not_p256("public key"))?)
    }

    /// The key's material by its SHA-256: of the SubjectPublicKeyInfo with the uncompressed point.
    pub fn id(&self) -> Digest {
        self.id
    }

    fn p256(key: VerifyingKey) -> Result<Self, TrustError> {
        // Written anew: a file may have the same point compressed.
        let der = key.to_public_key_der().map_err(|_| not_p256("public key"))?;
        Ok(Self { id: Digest::of(der.as_bytes()), verifying: key })
    }
}

impl PrivateKey {
    /// A new key, from the system's random numbers.
    pub fn generate() -> Result<Self, TrustError> {
        let key = SigningKey::try_generate();
        let no_randomness = |error| TrustError::Unavailable(format!("the system gives no random numbers: {error}"));
        Ok(Self(key.map_err(no_randomness)?))
    }

    /// Reads `BEGIN PRIVATE KEY` (PKCS #8 in PEM, not encrypted); for what else people have, it says what to do.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        let text = text(bytes)?;
        if text.contains("-----BEGIN PRIVATE KEY-----") {
            let key = SigningKey::from_pkcs8_pem(text.trim()).map_err(|_| not_p256("private key"))?;
            return Ok(Self(key));
        }
        if text.contains("-----BEGIN EC PRIVATE KEY-----") {
            return invalid(
                "this key is in SEC 1's form: write it as PKCS #8 with `openssl pkcs8 -topk8 -nocrypt -in KEY -out NEW`",
            );
        }
        if text.contains("SIGSTORE PRIVATE KEY-----") || text.contains("COSIGN PRIVATE KEY-----") {
            return invalid(
                "this is cosign's key, which cosign alone decrypts: let `cosign sign-blob --key` sign the document of \
                 `gristmill sign --document FILE`, and attach what it writes with `gristmill sign --signature`",
            );
        }
        if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            return invalid(
                "this key is encrypted: decrypt it with `openssl pkcs8 -in KEY -out NEW`, or keep it in AWS KMS instead",
            );
        }
        if text.contains("-----BEGIN PUBLIC KEY-----") {
            return invalid("this is the public key: signing takes the private one");
        }
        invalid("this is no private key: expected PEM (`-----BEGIN PRIVATE KEY-----`); `gristmill keygen` makes one")
    }

    /// The key as [`PrivateKey::parse`] reads it; and its public half as [`PublicKey::parse`] does.
    pub fn to_pem(&self) -> Result<(impl AsRef<str> + use<>, String), TrustError> {
        let unwritable = |_| TrustError::Invalid("the key cannot be written".into());
        let private = self.0.to_pkcs8_pem(LineEnding::LF).map_err(unwritable)?;
        let public = self.0.verifying_key().to_public_key_pem(LineEnding::LF);
        Ok((private, public.map_err(|_| not_p256("public key"))?))
    }

    /// Its public half.
    pub fn public(&self) -> Result<PublicKey, TrustError> {
        PublicKey::p256(*self.0.verifying_key())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

fn text(bytes: &[u8]) -> Result<&str, TrustError> {
    if bytes.len() as u64 > MAX_KEY {
        return invalid(&format!("this is no key: it has more than {MAX_KEY} bytes"));
    }
    std::str::from_utf8(bytes).map_err(|_| TrustError::Invalid("this is no key: it is not text".into()))
}

fn not_p256(what: &str) -> TrustError {
    TrustError::Invalid(format!(
        "this is no {what} of ECDSA over P-256 (also called prime256v1, secp256r1), or it is damaged; `gristmill keygen` \
         makes such keys"
    ))
}

fn invalid<T>(why: &str) -> Result<T, TrustError> {
    Err(TrustError::Invalid(why.into()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A key that is the same in every run.
    pub(in crate::trust) fn private(seed: u8) -> PrivateKey {
        PrivateKey(SigningKey::from_slice(&[seed; 32]).unwrap())
    }

    /// One key as OpenSSL writes it (`openssl pkey -pubout`), and with its point compressed.
    const OPENSSL: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf2jzRQBul6A2z5YRI/HI2nRfhGvJ\n\
        LTUPICCbmt+OtVgvC1pqNAKjpkSBnj5HYOciL6KphuqmBGVFWoF6/oenKg==\n\
        -----END PUBLIC KEY-----\n";
    const COMPRESSED: &str = "-----BEGIN PUBLIC KEY-----\n\
        MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgACf2jzRQBul6A2z5YRI/HI2nRfhGvJ\n\
        LTUPICCbmt+OtVg=\n\
        -----END PUBLIC KEY-----\n";
    /// A key over another curve, P-384.
    const P384: &str = "-----BEGIN PUBLIC KEY-----\n\
        MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEnJaNVk3O+kCVxUfcLf5gIAG/97jOkiL5\n\
        fLiz49d2eigAgD7LFuwfUwEf3JAtGLHB2wgksfU2hI3g6H3hBlxdqvgZYXWnLeHe\n\
        2zVPRPeSNpnx+wzy4y5dbjLKG6ITyWOt\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn a_new_key_is_written_and_read() {
        let key = PrivateKey::generate().unwrap();
        let (private, public) = key.to_pem().unwrap();
        let again = PrivateKey::parse(private.as_ref().as_bytes()).unwrap();
        assert_eq!(again.public().unwrap(), key.public().unwrap());
        assert_eq!(PublicKey::parse(public.as_bytes()).unwrap(), key.public().unwrap());
        assert_ne!(PrivateKey::generate().unwrap().public().unwrap().id(), key.public().unwrap().id());
        assert_eq!(format!("{key:?}"), "PrivateKey(..)");
    }

    #[test]
    fn one_key_in_two_forms_is_one_key() {
        let id = |text: &str| PublicKey::parse(text.as_bytes()).unwrap().id();
        assert_eq!(id(OPENSSL), id(COMPRESSED));
        // `openssl pkey -pubin -outform DER | sha256sum`
        assert_eq!(id(OPENSSL).hex(), "402888f389a69c45fe0f335ff8ba30062afb0bee332d5aaf8dde2df428adea55");
        assert_eq!(id(OPENSSL), id(&OPENSSL.replace('\n', "\r\n")));
    }

    #[test]
    fn what_is_no_public_key_is_refused_in_one_sentence() {
        let (private, _) = private(1).to_pem().unwrap();
        for (text, expected) in [
            ("", "no public key"),
            ("hello", "no public key"),
            (P384, "no public key of ECDSA over P-256"),
            (&OPENSSL.replace("f2jz", "AAAA"), "or it is damaged"),
            (private.as_ref(), "a private key"),
            ("untrusted comment: minisign public key\nRWTdaKrC\n", "no public key: expected PEM"),
            (&"x".repeat(20_000), "more than 16384 bytes"),
        ] {
            let refused = PublicKey::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(refused.contains(expected) && refused.len() < 200, "{text:.40}: {refused}");
        }
        assert!(PublicKey::parse(&[0xff, 0xfe]).unwrap_err().to_string().contains("not text"));
    }

    #[test]
    fn who_has_another_private_key_learns_what_to_do() {
        let pem = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        for (text, expected) in [
            (pem("EC PRIVATE KEY"), "openssl pkcs8 -topk8 -nocrypt"),
            (pem("EC PARAMETERS") + &pem("EC PRIVATE KEY"), "openssl pkcs8 -topk8 -nocrypt"),
            (pem("ENCRYPTED PRIVATE KEY"), "AWS KMS"),
            (pem("ENCRYPTED SIGSTORE PRIVATE KEY"), "cosign sign-blob"),
            (pem("ENCRYPTED COSIGN PRIVATE KEY"), "cosign sign-blob"),
            (OPENSSL.into(), "this is the public key"),
            (pem("PRIVATE KEY"), "P-256"),
            (String::new(), "gristmill keygen"),
        ] {
            let refused = PrivateKey::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(refused.contains(expected), "{text}: {refused}");
        }
    }
}
