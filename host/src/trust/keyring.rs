//! Where keys are: files, and keys in AWS KMS that never leave it. And what signs with either.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use bytes::Bytes;
use p256::ecdsa::DerSignature;
use sha2::{Digest as _, Sha256};

use super::error::TrustError;
use super::key::{MAX_KEY, PrivateKey, PublicKey};
use super::kms::{Kms, KmsKey};
use super::signature::{self, Signature};
use crate::files;

/// A key by its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRef {
    /// A file.
    File(PathBuf),
    /// A key of AWS KMS: `awskms:///` with its id, alias or ARN, or the ARN alone.
    Kms(KmsKey),
}

/// Signs release documents.
#[derive(Debug)]
pub struct Signer {
    key: Key,
    public: PublicKey,
}

#[derive(Debug)]
enum Key {
    File(PrivateKey),
    Kms(Kms, KmsKey),
}

impl Signer {
    /// The key at this place, with its public half. Errors name the place.
    pub async fn open(key: &KeyRef, kms: &Kms) -> Result<Self, TrustError> {
        match key {
            KeyRef::File(file) => {
                let within = |error: TrustError| error.within(&file.display().to_string());
                let key = PrivateKey::parse(&read(file, MAX_KEY).map_err(within)?).map_err(within)?;
                Ok(Self { public: key.public()?, key: Key::File(key) })
            }
            KeyRef::Kms(key) => {
                Ok(Self { public: kms.public_key(key).await?, key: Key::Kms(kms.clone(), key.clone()) })
            }
        }
    }

    /// Who signs.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// A signature over these bytes, to be attached: it fits [`Signer::public`].
    pub async fn sign(&self, document: &[u8]) -> Result<Bytes, TrustError> {
        let signature = match &self.key {
            Key::File(key) => signature::sign(key, document),
            Key::Kms(kms, key) => {
                let der = kms.sign(key, Sha256::digest(document).into()).await?;
                let foreign = |_| TrustError::Invalid(format!("{key} answered with something that is no signature"));
                DerSignature::from_bytes(&der).map_err(foreign)?
            }
        };
        let bytes = signature::write(self.public.id(), &signature)?;
        // What KMS answers is not taken on trust either.
        if !Signature::parse(&bytes)?.fits(&self.public, document) {
            return Err(TrustError::Invalid("the new signature does not fit its own key; nothing was attached".into()));
        }
        Ok(bytes)
    }
}

impl KeyRef {
    /// Reads a key's place.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        match KmsKey::parse(text)? {
            Some(key) => Ok(Self::Kms(key)),
            None if text.is_empty() => Err(TrustError::Invalid("there is no file whose name is empty".into())),
            None => Ok(Self::File(text.into())),
        }
    }

    /// The same, if a relative file is meant from this folder.
    #[must_use]
    pub fn beside(self, folder: &Path) -> Self {
        match self {
            Self::File(file) => Self::File(folder.join(file)),
            kms @ Self::Kms(_) => kms,
        }
    }

    /// The public key that is there. Errors name the place.
    pub async fn public(&self, kms: &Kms) -> Result<PublicKey, TrustError> {
        match self {
            Self::File(file) => {
                let within = |error: TrustError| error.within(&file.display().to_string());
                PublicKey::parse(&read(file, MAX_KEY).map_err(within)?).map_err(within)
            }
            Self::Kms(key) => kms.public_key(key).await,
        }
    }
}

impl FromStr for KeyRef {
    type Err = TrustError;

    fn from_str(text: &str) -> Result<Self, TrustError> {
        Self::parse(text)
    }
}

/// A small file, whole; what is larger than `max` is refused unread.
pub(super) fn read(file: &Path, max: u64) -> Result<Vec<u8>, TrustError> {
    files::read_given(file, max).map_err(|error| TrustError::Invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::key::tests::private;
    use super::*;

    #[tokio::test]
    async fn a_file_signs_and_its_place_is_in_every_error() {
        let folder = tempfile::tempdir().unwrap();
        let (pem, public) = private(1).to_pem().unwrap();
        std::fs::write(folder.path().join("b.key"), pem.as_ref()).unwrap();
        std::fs::write(folder.path().join("b.pub"), public).unwrap();
        let at = |name: &str| KeyRef::parse(name).unwrap().beside(folder.path());
        let kms = Kms::default();
        let signer = Signer::open(&at("b.key"), &kms).await.unwrap();
        assert_eq!(signer.public(), &at("b.pub").public(&kms).await.unwrap());
        let bytes = signer.sign(b"document").await.unwrap();
        assert!(Signature::parse(&bytes).unwrap().fits(signer.public(), b"document"));
        for (name, expected) in [("b.pub", "this is the public key"), ("no.key", "No such file"), ("", "directory")] {
            let refused = Signer::open(&KeyRef::File(folder.path().join(name)), &kms).await.unwrap_err().to_string();
            assert!(refused.contains(expected) && refused.contains(folder.path().to_str().unwrap()), "{refused}");
        }
    }

    #[test]
    fn a_large_file_is_refused_unread() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("large");
        std::fs::write(&file, [b'x'; 11]).unwrap();
        assert_eq!(read(&file, 11).unwrap().len(), 11);
        assert!(read(&file, 10).unwrap_err().to_string().contains("more than 10 bytes"));
    }
}
