//! Keys that stay in AWS KMS: it gives the public half (`kms:GetPublicKey`), and signs (`kms:Sign`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OnceCell;

use super::error::TrustError;
use super::key::PublicKey;
use crate::aws::json_call::{CallError, JsonClient, KMS};
use crate::aws::{self, Calls, SdkConfig, ServiceError};

/// Somebody waits for it, or a worker that asks again by itself.
const CALLS: Calls =
    Calls { attempts: 4, adaptive: false, attempt: Duration::from_secs(5), whole: Duration::from_secs(20) };

/// A key's id, alias (`alias/NAME`) or ARN, as KMS knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsKey(String);

/// AWS KMS. It asks nobody before a key of it is needed.
#[derive(Clone, Debug, Default)]
pub struct Kms(Arc<OnceCell<SdkConfig>>);

/// What GetPublicKey answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PublicHalf {
    key_usage: Option<String>,
    key_spec: Option<String>,
    /// DER, in base64.
    public_key: Option<String>,
}

/// What Sign answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Signed {
    /// DER, in base64.
    signature: Option<String>,
}

impl Kms {
    /// KMS as this configuration reaches it; [`Kms::default`] loads one with its first key ([`aws::load`]).
    pub fn new(config: &SdkConfig) -> Self {
        Self(Arc::new(OnceCell::new_with(Some(config.clone()))))
    }

    /// The public half of a key that signs with ECDSA over P-256. What an alias leads to may change: name a key whose
    /// signatures are trusted by its id or ARN.
    pub(super) async fn public_key(&self, key: &KmsKey) -> Result<PublicKey, TrustError> {
        let answer = self.client(key).await.call("GetPublicKey", &json!({"KeyId": key.0})).await;
        let PublicHalf { key_usage, key_spec, public_key } = answer.map_err(|error| fault(key, &error))?;
        if key_usage.as_deref() != Some("SIGN_VERIFY") {
            return Err(unfit(key, "it is not for signing"));
        }
        let spec = key_spec.as_deref().unwrap_or("unknown");
        PublicKey::from_der(&decoded(public_key)).map_err(|_| unfit(key, &format!("its kind is {spec}")))
    }

    /// A signature (ASN.1 DER) over a document with this SHA-256.
    pub(super) async fn sign(&self, key: &KmsKey, sha256: [u8; 32]) -> Result<Vec<u8>, TrustError> {
        let request = json!({
            "KeyId": key.0, "Message": BASE64_STANDARD.encode(sha256), "MessageType": "DIGEST",
            "SigningAlgorithm": "ECDSA_SHA_256",
        });
        let answer = self.client(key).await.call("Sign", &request).await;
        let Signed { signature } = answer.map_err(|error| fault(key, &error))?;
        Ok(decoded(signature))
    }

    /// An ARN names its region, which need not be the one that we are in.
    async fn client(&self, key: &KmsKey) -> JsonClient {
        let config = CALLS.limit(self.0.get_or_init(aws::load).await);
        JsonClient::new(&KMS, &config, key.region(), aws::retry_budget("keys"))
    }
}

impl KmsKey {
    /// Reads `awskms:///KEY` (as cosign has it) or an ARN; anything else is none.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, TrustError> {
        let key = match text.strip_prefix("awskms://") {
            Some(rest) => match rest.split_once('/') {
                Some(("", key)) => key,
                _ => {
                    return Err(TrustError::Invalid(format!(
                        "{text}: expected `awskms:///` with three slashes and a key's id or ARN; an endpoint is given by \
                         AWS_ENDPOINT_URL_KMS"
                    )));
                }
            },
            None if text.starts_with("arn:") => text,
            None => return Ok(None),
        };
        let is_arn = key.starts_with("arn:");
        // arn:PARTITION:kms:REGION:ACCOUNT:key/ID
        let fields: Vec<&str> = key.split(':').collect();
        let whole =
            if is_arn { fields.len() == 6 && fields[2] == "kms" && !fields[3].is_empty() } else { !key.is_empty() };
        if !whole || key.len() > 2048 {
            return Err(TrustError::Invalid(format!(
                "{text}: this is no key of AWS KMS: expected an id, `alias/NAME`, or `arn:aws:kms:REGION:ACCOUNT:key/ID`"
            )));
        }
        Ok(Some(Self(key.to_owned())))
    }

    fn region(&self) -> Option<&str> {
        self.0.strip_prefix("arn:").and_then(|_| self.0.split(':').nth(3))
    }
}

impl fmt::Display for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "awskms:///{}", self.0)
    }
}

fn unfit(key: &KmsKey, why: &str) -> TrustError {
    TrustError::Invalid(format!("{key}: {why}; expected a key of kind ECC_NIST_P256 for SIGN_VERIFY"))
}

/// Nothing, if it is no base64: then it is no key and no signature either.
fn decoded(base64: Option<String>) -> Vec<u8> {
    base64.and_then(|text| BASE64_STANDARD.decode(text).ok()).unwrap_or_default()
}

fn fault(key: &KmsKey, error: &CallError) -> TrustError {
    let fault = ServiceError::new(error);
    let sentence = format!("{key}: {}", fault.message);
    if fault.is_refusal() { TrustError::Invalid(sentence) } else { TrustError::Unavailable(sentence) }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::Signer as _;
    use p256::pkcs8::EncodePublicKey as _;
    use serde_json::Value;

    use super::super::key::tests::private;
    use super::super::{KeyRef, Signature, Signer};
    use super::*;
    use crate::aws::recorded::{Recorded, Response};

    const ARN: &str = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const DOCUMENT: &[u8] = b"release document";

    /// What GetPublicKey answers for the key of this seed, with these changes.
    fn public(seed: u8, changes: Value) -> Response {
        let der = private(seed).0.verifying_key().to_public_key_der().unwrap();
        let mut answer = json!({
            "KeyId": ARN, "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY",
            "PublicKey": BASE64_STANDARD.encode(der.as_bytes()), "SigningAlgorithms": ["ECDSA_SHA_256"],
        });
        answer.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        Response::json(200, &answer.to_string())
    }

    /// What Sign answers when the key of this seed signs [`DOCUMENT`].
    fn signature(seed: u8) -> Response {
        let signature: p256::ecdsa::DerSignature = private(seed).0.sign(DOCUMENT);
        let text = BASE64_STANDARD.encode(signature.as_bytes());
        Response::json(200, &json!({"KeyId": ARN, "Signature": text, "SigningAlgorithm": "ECDSA_SHA_256"}).to_string())
    }

    fn key() -> KeyRef {
        KeyRef::parse(ARN).unwrap()
    }

    #[tokio::test]
    async fn a_key_signs_without_leaving_kms() {
        let replay = Recorded::start(vec![public(1, json!({})), signature(1)]).await;
        let signer = Signer::open(&key(), &Kms::new(&replay.config)).await.unwrap();
        let bytes = signer.sign(DOCUMENT).await.unwrap();
        assert!(Signature::parse(&bytes).unwrap().fits(&private(1).public().unwrap(), DOCUMENT));
        let requests = replay.requests();
        // The ARN's region, not the configuration's.
        assert!(requests.iter().all(|request| request.head.contains("/eu-west-1/kms/aws4_request")), "{requests:?}");
        assert_eq!(serde_json::from_str::<Value>(&requests[0].body).unwrap(), json!({"KeyId": ARN}));
        assert_eq!(
            serde_json::from_str::<Value>(&requests[1].body).unwrap(),
            json!({
                "KeyId": ARN, "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256",
                // `printf 'release document' | openssl dgst -sha256 -binary | base64`
                "Message": "Ktsye7+HgYkE0Lq9iWOb3OM9QrYH5Ro7rUj+kv9b2gM=",
            })
        );
    }

    #[tokio::test]
    async fn a_signature_by_another_key_is_not_passed_on() {
        let answers = [signature(2), Response::json(200, &json!({"KeyId": ARN, "Signature": "AAAA"}).to_string())];
        for answer in answers {
            let replay = Recorded::start(vec![public(1, json!({})), answer]).await;
            let signer = Signer::open(&key(), &Kms::new(&replay.config)).await.unwrap();
            let refused = signer.sign(DOCUMENT).await.unwrap_err();
            assert!(matches!(&refused, TrustError::Invalid(_)), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_key_of_another_kind_is_refused() {
        for (changes, expected) in [
            (json!({"KeyUsage": "KEY_AGREEMENT"}), "it is not for signing"),
            (json!({"KeyUsage": null}), "it is not for signing"),
            (json!({"KeySpec": "RSA_2048", "PublicKey": "AAAA"}), "its kind is RSA_2048"),
            (json!({"PublicKey": null}), "its kind is ECC_NIST_P256"),
        ] {
            let replay = Recorded::start(vec![public(1, changes)]).await;
            let refused = key().public(&Kms::new(&replay.config)).await.unwrap_err().to_string();
            assert!(refused.contains(expected) && refused.contains(ARN), "{refused}");
            assert!(refused.contains("ECC_NIST_P256 for SIGN_VERIFY"), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_told_from_silence() {
        let error = |status, code: &str| Response::json(status, &format!(r#"{{"__type":"{code}","message":"why"}}"#));
        for (response, refused) in [
            (error(400, "NotFoundException"), true),
            (error(400, "AccessDeniedException"), true),
            (error(400, "DisabledException"), true),
            (error(400, "ThrottlingException"), false),
            (error(500, "KMSInternalException"), false),
        ] {
            let replay = Recorded::start(vec![response]).await;
            let error = key().public(&Kms::new(&replay.config)).await.unwrap_err();
            assert_eq!(matches!(error, TrustError::Invalid(_)), refused, "{error:?}");
            assert!(error.to_string().starts_with(&format!("awskms:///{ARN}: why")), "{error}");
        }
    }

    #[test]
    fn a_key_is_named_as_cosign_names_it() {
        let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
        for (text, key, region) in [
            (format!("awskms:///{id}"), id, None),
            ("awskms:///alias/build".into(), "alias/build", None),
            (format!("awskms:///{ARN}"), ARN, Some("eu-west-1")),
            (ARN.into(), ARN, Some("eu-west-1")),
        ] {
            let parsed = KmsKey::parse(&text).unwrap().unwrap();
            assert_eq!((&*parsed.0, parsed.region()), (key, region));
            assert_eq!(KmsKey::parse(&parsed.to_string()).unwrap(), Some(parsed));
        }
        for text in
            ["awskms://", "awskms:///", "awskms://localhost:4566/x", "awskms://x", "arn:aws:s3:::b", "arn:aws:kms:::x"]
        {
            let refused = KmsKey::parse(text).unwrap_err().to_string();
            assert!(refused.contains(text) && refused.contains("expected"), "{refused}");
        }
        for text in ["build.key", "/keys/build.key", "kms", ""] {
            assert_eq!(KmsKey::parse(text).unwrap(), None);
        }
    }
}
