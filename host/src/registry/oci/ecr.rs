//! Amazon ECR: the password that it gives for AWS credentials, and its own list of tags.

use std::time::{Duration, SystemTime};

use aws_sdk_ecr::Client;
use aws_sdk_ecr::config::http::HttpResponse;
use aws_sdk_ecr::config::{Builder, Region};
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ecr::types::{ListImagesFilter, TagStatus};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::RegistryError;
use crate::aws::{self, Calls, Fault, SdkConfig};

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
    client: Client,
    host: String,
    account: String,
}

/// What a registry wants of those who come, and when to ask for it again.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Password {
    pub(super) user: String,
    pub(super) password: String,
    pub(super) renew: SystemTime,
}

/// The account and region of a private registry of Amazon ECR; none if the host is something else.
pub(super) fn account_and_region(host: &str) -> Option<(&str, &str)> {
    let parts: Vec<&str> = host.split('.').collect();
    let (account, region) = match *parts {
        [account, "dkr", "ecr" | "ecr-fips", region, "amazonaws", "com"] => (account, region),
        [account, "dkr", "ecr", region, "amazonaws", "com", "cn"] => (account, region),
        [account, "dkr-ecr" | "dkr-ecr-fips", region, "on", "aws"] => (account, region),
        _ => return None,
    };
    (account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit())).then_some((account, region))
}

impl Ecr {
    /// The registry at this host, which is one of ECR. It is in its own region, wherever the worker is.
    pub(super) fn new(config: &SdkConfig, host: &str, account: &str, region: &str) -> Self {
        let config = CALLS.limit(config);
        let builder = Builder::from(&config).region(Region::new(region.to_owned()));
        let builder = builder.retry_partition(aws::retry_budget("registry")).retry_classifier(aws::LapsedCredentials);
        Self { client: Client::from_conf(builder.build()), host: host.into(), account: account.into() }
    }

    /// A password.
    pub(super) async fn password(&self) -> Result<Password, RegistryError> {
        let answer = self.client.get_authorization_token().send().await;
        let answer = answer.map_err(|error| self.fault("ecr:GetAuthorizationToken", &error))?;
        let data = answer.authorization_data().first();
        let decoded = data.and_then(|data| STANDARD.decode(data.authorization_token()?).ok());
        let login = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let Some((user, password)) = login.as_deref().and_then(|login| login.split_once(':')) else {
            let text = format!("{} could not be used: ECR's authorization token is none", self.host);
            return Err(RegistryError::Unavailable(text));
        };
        let expires = data.and_then(|data| SystemTime::try_from(*data.expires_at()?).ok());
        let renew = expires.and_then(|expires| expires.checked_sub(MARGIN)).unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(Password { user: user.into(), password: password.into(), renew })
    }

    /// All tags of a repository; none if there is no such repository. ECR gives its pages by tokens of its own, which the
    /// protocol of registries has no place for.
    pub(super) async fn tags(&self, repository: &str) -> Result<Vec<String>, RegistryError> {
        let tagged = ListImagesFilter::builder().tag_status(TagStatus::Tagged).build();
        let request = self.client.list_images().registry_id(&self.account).repository_name(repository).filter(tagged);
        let mut pages = request.max_results(1000).into_paginator().send();
        let mut tags = Vec::new();
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => tags.extend(page.image_ids.unwrap_or_default().into_iter().filter_map(|id| id.image_tag)),
                Err(error) if error.code() == Some("RepositoryNotFoundException") => return Ok(Vec::new()),
                Err(error) => return Err(self.fault("ecr:ListImages", &error)),
            }
        }
        Ok(tags)
    }

    fn fault<E>(&self, action: &str, error: &SdkError<E, HttpResponse>) -> RegistryError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let fault = Fault::new(error);
        let text = format!("{} could not be used: {}", self.host, fault.message);
        match fault.is_refusal() {
            true => RegistryError::Denied(format!("{text}. This needs {action}")),
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
        let (account, region) = account_and_region(HOST).unwrap();
        (Ecr::new(&replay.config, HOST, account, region), replay)
    }

    #[test]
    fn a_host_of_ecr_says_its_account_and_region() {
        assert_eq!(account_and_region(HOST), Some(("123456789012", "eu-central-1")));
        assert_eq!(
            account_and_region("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"),
            Some(("123456789012", "cn-north-1"))
        );
        assert_eq!(account_and_region("123456789012.dkr-ecr.eu-west-1.on.aws"), Some(("123456789012", "eu-west-1")));
        for host in ["ghcr.io", "127.0.0.1:5000", "public.ecr.aws", "x.dkr.ecr.eu-west-1.amazonaws.com"] {
            assert_eq!(account_and_region(host), None, "{host}");
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

    #[tokio::test]
    async fn tags_come_from_all_pages_and_a_missing_repository_has_none() {
        let missing = Response::json(400, r#"{"__type":"RepositoryNotFoundException","message":"no such"}"#);
        let (ecr, replay) = ecr(vec![
            Response::json(
                200,
                r#"{"imageIds":[{"imageTag":"1.0.0"},{"imageTag":"1.0.0_release"}],"nextToken":"more"}"#,
            ),
            Response::json(200, r#"{"imageIds":[{"imageTag":"2.0.0"}]}"#),
            missing,
        ])
        .await;
        assert_eq!(ecr.tags("p/d").await.unwrap(), ["1.0.0", "1.0.0_release", "2.0.0"]);
        assert!(ecr.tags("p/none").await.unwrap().is_empty());
        let asked = replay.requests();
        assert!(asked[0].body.contains(r#""repositoryName":"p/d""#) && asked[1].body.contains(r#""nextToken":"more""#));
    }
}
