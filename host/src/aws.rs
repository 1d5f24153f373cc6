//! What all AWS adapters share: the configuration of the SDK, and what its errors mean.
//!
//! The SDK's own chain decides region, credentials and endpoints: environment variables (`AWS_REGION`, `AWS_PROFILE`,
//! `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_S3`, ...), profiles, ECS and EC2 roles.

#[cfg(test)]
pub(crate) mod replay;

use std::error::Error;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::imds;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

/// How often a call is tried in all, with growing and jittered pauses of up to [`MAX_BACKOFF`] in between.
const ATTEMPTS: u32 = 6;
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// For a connection to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// For one attempt, up to the answer's headers: a long poll takes 2 s, and 8 MiB may have to go up a slow line.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(90);

/// The SDK's configuration. It asks nobody but, when nothing else names a region, the machine's metadata service;
/// credentials are fetched with the first call that needs them.
pub async fn load() -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).region(region()).timeout_config(
        TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build(),
    );
    if let Ok(name) = AppName::new("gristmill") {
        loader = loader.app_name(name);
    }
    // Whoever sets these knows better.
    if std::env::var_os("AWS_MAX_ATTEMPTS").is_none() && std::env::var_os("AWS_RETRY_MODE").is_none() {
        loader = loader.retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_max_backoff(MAX_BACKOFF));
    }
    let config = loader.load().await;
    if config.region().is_none() {
        tracing::warn!("no AWS region is known, so that calls will fail: set AWS_REGION, or a region in the profile");
    }
    config
}

/// The SDK's own order, except that an emulator (an endpoint without a region) needs no region, and that a machine without
/// a metadata service is noticed within a second.
fn region() -> RegionProviderChain {
    let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    if std::env::var_os("AWS_ENDPOINT_URL").is_some() {
        return chain.or_else(Region::new("us-east-1"));
    }
    let second = Duration::from_secs(1);
    let client = imds::Client::builder().connect_timeout(second).read_timeout(second).max_attempts(1).build();
    chain.or_else(imds::region::ImdsRegionProvider::builder().imds_client(client).build())
}

/// Retries that also slow the client down while the service throttles it. For services whose calls come in storms.
pub(crate) fn adaptive(config: &SdkConfig) -> Option<RetryConfig> {
    let retry = config.retry_config()?.clone();
    let adaptive = retry.has_retry() && std::env::var_os("AWS_RETRY_MODE").is_none();
    Some(if adaptive { retry.with_retry_mode(aws_config::retry::RetryMode::Adaptive) } else { retry })
}

/// A call that failed for good, after the SDK's retries.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The service's word for it (`NoSuchKey`); empty when no answer came, or an answer without one.
    pub(crate) code: String,
    /// The HTTP status, when an answer came.
    pub(crate) status: Option<u16>,
    /// For people.
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = error.code().unwrap_or_default().to_owned();
        let message = match (error.as_service_error(), status) {
            (Some(service), Some(status)) => match service.message() {
                Some(message) => format!("{message} ({code}, HTTP {status})"),
                None => format!("{code} HTTP {status}").trim_start().to_owned(),
            },
            // No answer: the innermost cause says that the connection was refused, or a name unknown.
            _ => causes(error),
        };
        Self { code, status, message }
    }

    /// Whether the service will refuse again until somebody changes something.
    pub(crate) fn is_refusal(&self) -> bool {
        // Refusals by number, of which the world cures these: too fast, too slow, a clock or credentials that run out.
        const PASSING: [&str; 5] = ["Throttl", "SlowDown", "Expired", "TooSkewed", "RequestTimeout"];
        const EXCEEDED: [&str; 3] = ["TooManyRequests", "RequestLimitExceeded", "ProvisionedThroughputExceeded"];
        self.status.is_some_and(|status| (400..500).contains(&status) && !matches!(status, 408 | 429))
            && !PASSING.iter().chain(&EXCEEDED).any(|word| self.code.contains(word))
    }
}

/// The error and its causes, without those that only repeat what the one before says.
fn causes(error: &dyn Error) -> String {
    let mut text = String::new();
    for cause in std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::replay::{Replay, Response};
    use super::*;

    async fn fault(response: Response) -> Fault {
        let replay = Replay::start(vec![response]).await;
        let client = aws_sdk_sqs::Client::new(&replay.config);
        Fault::new(&client.get_queue_url().queue_name("q").send().await.unwrap_err())
    }

    #[tokio::test]
    async fn an_error_is_said_and_weighed() {
        let json =
            |status, code: &str| Response::json(status, &format!(r#"{{"__type": "x#{code}", "message": "why"}}"#));
        for (status, code, refusal) in [
            (400, "InvalidAddress", true),
            (403, "AccessDeniedException", true),
            (400, "ThrottlingException", false),
            (400, "RequestThrottled", false),
            (403, "ExpiredToken", false),
            (403, "RequestTimeTooSkewed", false),
            (429, "Busy", false),
            (500, "InternalFailure", false),
            (503, "SlowDown", false),
        ] {
            let fault = fault(json(status, code)).await;
            assert_eq!((fault.is_refusal(), &*fault.code), (refusal, code), "{fault:?}");
            assert_eq!(fault.message, format!("why ({code}, HTTP {status})"));
        }
    }

    #[tokio::test]
    async fn nobody_there_is_no_refusal() {
        let replay = Replay::start(vec![]).await;
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = replay.config.into_builder().endpoint_url(format!("http://{nobody}")).build();
        let error = aws_sdk_sqs::Client::new(&config).get_queue_url().queue_name("q").send().await.unwrap_err();
        let fault = Fault::new(&error);
        assert!(!fault.is_refusal() && fault.message.contains("onnection refused"), "{fault:?}");
    }
}
