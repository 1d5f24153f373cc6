//! Amazon ECR: the password that it gives for AWS credentials.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::super::RegistryError;
use crate::aws::json_call::{CallError, ECR, JsonClient};
use crate::aws::{self, Calls, SdkConfig, ServiceError};

const CALLS: Calls = Calls {
    attempts: Calls::UNTIL_TIME_IS_OVER,
    adaptive: false,
    attempt: Duration::from_secs(5),
    whole: Duration::from_secs(15),
};

/// A password lasts for 12 hours (`GetAuthorizationToken`); when it has less than this left, another one is asked for.
const MARGIN: Duration = Duration::from_secs(3600);

/// Who to ask about a host of ECR.
#[derive(Clone, Debug)]
pub(super) struct Ecr {
    client: JsonClient,
    host: String,
}

/// What a registry wants of those who come, and when to ask for it again.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Password {
    pub(super) user: String,
    pub(super) password: String,
    pub(super) renew: SystemTime,
}

/// What GetAuthorizationToken answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    authorization_data: Option<Vec<Token>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    /// `USER:PASSWORD` in base64.
    authorization_token: Option<String>,
    /// In seconds since 1970.
    expires_at: Option<f64>,
}

/// The region of a private registry of Amazon ECR; none if the host is something else.
pub(super) fn region(host: &str) -> Option<&str> {
    let parts: Vec<&str> = host.split('.').collect();
    let (account, region) = match *parts {
        [account, "dkr", "ecr" | "ecr-fips", region, "amazonaws", "com"] => (account, region),
        [account, "dkr", "ecr", region, "amazonaws", "com", "cn"] => (account, region),
        [account, "dkr-ecr" | "dkr-ecr-fips", region, "on", "aws"] => (account, region),
        _ => return None,
    };
    (account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit())).then_some(region)
}

impl Ecr {
    /// The registry at this host, which is one of ECR. It is in its own region, wherever the worker is.
    pub(super) fn new(config: &SdkConfig, host: &str, region: &str) -> Self {
        let budget = aws::retry_budget("registry");
        Self { client: JsonClient::new(&ECR, &CALLS.limit(config), Some(region), budget), host: host.into() }
    }

    /// A password.
    pub(super) async fn password(&self) -> Result<Password, RegistryError> {
        let answer = self.client.call("GetAuthorizationToken", &json!({})).await;
        let Tokens { authorization_data } = answer.map_err(|error| self.fault(&error))?;
        let data = authorization_data.unwrap_or_default().into_iter().next();
        let decoded = data.as_ref().and_then(|data| STANDARD.decode(data.authorization_token.as_ref()?).ok());
        let login = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let Some((user, password)) = login.as_deref().and_then(|login| login.split_once(':')) else {
            let text = format!("{} could not be used: ECR's authorization token is none", self.host);
            return Err(RegistryError::Unavailable(text));
        };
        let expires = data.and_then(|data| Duration::try_from_secs_f64(data.expires_at?).ok());
        let expires = expires.and_then(|expires| SystemTime::UNIX_EPOCH.checked_add(expires));
        let renew = expires.and_then(|expires| expires.checked_sub(MARGIN)).unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(Password { user: user.into(), password: password.into(), renew })
    }

    fn fault(&self, error: &CallError) -> RegistryError {
        let fault = ServiceError::new(error);
        let text = format!("{} could not be used: {}", self.host, fault.message);
        match fault.is_refusal() {
            true => RegistryError::Denied(format!("{text}. This needs ecr:GetAuthorizationToken")),
            false => RegistryError::Unavailable(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::recorded::{Recorded, Response};

    const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

    async fn ecr(responses: Vec<Response>) -> (Ecr, Recorded) {
        let replay = Recorded::start(responses).await;
        (Ecr::new(&replay.config, HOST, region(HOST).unwrap()), replay)
    }

    #[test]
    fn a_host_of_ecr_says_its_region() {
        for (host, expected) in [
            (HOST, "eu-central-1"),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            ("123456789012.dkr-ecr.eu-west-1.on.aws", "eu-west-1"),
        ] {
            assert_eq!(region(host), Some(expected), "{host}");
        }
        for host in ["ghcr.io", "127.0.0.1:5000", "public.ecr.aws", "x.dkr.ecr.eu-west-1.amazonaws.com"] {
            assert_eq!(region(host), None, "{host}");
        }
    }

    #[tokio::test]
    async fn the_password_is_asked_for_in_the_registrys_region_and_renewed_in_time() {
        let token = STANDARD.encode("AWS:secret");
        let body = format!(r#"{{"authorizationData":[{{"authorizationToken":"{token}","expiresAt":1800003600.0}}]}}"#);
        let (ecr, replay) = ecr(vec![Response::json(200, &body)]).await;
        let password = ecr.password().await.unwrap();
        assert_eq!((&*password.user, &*password.password), ("AWS", "secret"));
        assert_eq!(password.renew, SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let asked = &replay.requests()[0].head;
        assert!(asked.contains("/eu-central-1/ecr/") && asked.contains("GetAuthorizationToken"), "{asked}");
    }

    #[tokio::test]
    async fn a_token_that_is_none_is_no_password() {
        for token in ["", "AWS", "%%"] {
            let body = format!(r#"{{"authorizationData":[{{"authorizationToken":"{token}"}}]}}"#);
            let (ecr, _replay) = ecr(vec![Response::json(200, &body)]).await;
            assert!(matches!(ecr.password().await, Err(RegistryError::Unavailable(text)) if text.contains(HOST)));
        }
    }

    #[tokio::test]
    async fn what_ecr_refuses_says_what_to_grant() {
        let denied = Response::json(400, r#"{"__type":"AccessDeniedException","message":"not authorized"}"#);
        let (ecr, _replay) = ecr(vec![denied]).await;
        let refused = ecr.password().await.err().unwrap();
        assert!(
            matches!(&refused, RegistryError::Denied(text) if text.contains(HOST)
                && text.contains("not authorized") && text.contains("ecr:GetAuthorizationToken")),
            "{refused:?}"
        );
    }
}
