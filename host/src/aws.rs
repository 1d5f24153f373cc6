//! What all AWS adapters share: the configuration of the SDK, how long calls are repeated, and what their errors mean.
//!
//! The SDK's own chain decides region, credentials and endpoints: environment variables (`AWS_REGION`, `AWS_PROFILE`,
//! `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_S3`, ...), profiles, ECS and EC2 roles.

mod attempts;
mod condition;
mod endpoint;
pub(crate) mod json_call;
#[cfg(test)]
pub(crate) mod recorded;
mod service_error;

use std::time::Duration;

pub use aws_config::SdkConfig;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::imds;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::{RetryConfig, RetryMode};
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region};
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_sqs::config::retry::{RetryPartition, TokenBucket};

pub(crate) use self::attempts::{Attempts, attempts};
pub(crate) use self::condition::{Condition, OnlyWhile, only_while};
pub(crate) use self::service_error::{LapsedCredentials, ServiceError, causes};

/// For a connection to stand: three of the kernel's first attempts (0 s, 1 s, 3 s).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// The longest pause between two attempts. The SDK doubles them from 1 s and takes a random part of each.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// How the calls of one client are repeated, and when they are given up: none hangs for ever, whatever the network does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calls {
    /// How often a call is tried, the first time included.
    pub(crate) attempts: u32,
    /// Whether the client also holds back its calls while the service throttles them. For services whose calls come in
    /// storms and can wait; a renewal cannot.
    pub(crate) adaptive: bool,
    /// For one attempt, up to the answer's headers.
    pub(crate) attempt: Duration,
    /// For all attempts and the pauses between them.
    pub(crate) whole: Duration,
}

impl Calls {
    /// For [`Calls::attempts`]: `whole` is what ends the attempts.
    pub(crate) const UNTIL_TIME_IS_OVER: u32 = 1_000;

    /// The configuration with these limits. `AWS_MAX_ATTEMPTS` and `AWS_RETRY_MODE` have their meaning instead of ours: whoever
    /// sets them knows better.
    pub(crate) fn limit(self, config: &SdkConfig) -> SdkConfig {
        let mut builder = config.clone().into_builder();
        builder.set_timeout_config(Some(self.timeouts()));
        let chosen = ["AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"].iter().any(|name| std::env::var_os(name).is_some());
        if !chosen && config.retry_config().is_none_or(RetryConfig::has_retry) {
            builder.set_retry_config(Some(self.retries()));
        }
        builder.build()
    }

    pub(crate) fn retries(self) -> RetryConfig {
        let mode = if self.adaptive { RetryMode::Adaptive } else { RetryMode::Standard };
        let retries = RetryConfig::standard().with_retry_mode(mode);
        retries.with_max_attempts(self.attempts).with_max_backoff(MAX_BACKOFF)
    }

    pub(crate) fn timeouts(self) -> TimeoutConfig {
        let limits = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT);
        limits.operation_attempt_timeout(self.attempt).operation_timeout(self.whole).build()
    }
}

/// A retry budget of a client's own. The SDK's would be shared by all clients of a service, so that a throttled output
/// table would cost the ledger its retries; and it ends them after some fifty in all, in the very minute in which they are
/// needed. Ours are bounded by time, and in number by the slots: each waits longer between its attempts than its calls take.
pub(crate) fn retry_budget(client: &'static str) -> RetryPartition {
    RetryPartition::custom(client).token_bucket(TokenBucket::unlimited()).build()
}

/// A client of Amazon S3, or of anything that speaks its protocol, with a retry budget of its own.
pub(crate) fn s3_client(config: &SdkConfig, budget: &'static str) -> aws_sdk_s3::Client {
    let mut builder = aws_sdk_s3::config::Builder::from(config)
        .retry_partition(retry_budget(budget))
        .interceptor(OnlyWhile)
        .interceptor(Attempts::of(budget))
        .retry_classifier(LapsedCredentials);
    if config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some() {
        // Of other stores, few answer to `bucket.host`, and some not to checksums in trailers.
        builder = builder
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    }
    aws_sdk_s3::Client::from_conf(builder.build())
}

/// The SDK's configuration. It asks nobody but, when nothing else names a region, the machine's metadata service;
/// credentials are fetched with the first call that needs them.
pub async fn load() -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).region(region());
    if let Ok(name) = AppName::new("gristmill") {
        loader = loader.app_name(name);
    }
    loader.load().await
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::recorded::{Recorded, Response};
    use super::*;

    const CALLS: Calls = Calls {
        attempts: Calls::UNTIL_TIME_IS_OVER,
        adaptive: false,
        attempt: Duration::from_secs(10),
        whole: Duration::from_secs(60),
    };

    /// A client that repeats its calls.
    fn client(replay: &Recorded, calls: Calls) -> aws_sdk_sqs::Client {
        let config = calls.limit(&replay.config.clone().into_builder().retry_config(RetryConfig::standard()).build());
        let config = aws_sdk_sqs::config::Builder::from(&config).retry_partition(retry_budget("test"));
        aws_sdk_sqs::Client::from_conf(config.retry_classifier(LapsedCredentials).build())
    }

    /// Accepts connections and says nothing.
    async fn swallow(listener: TcpListener) {
        let mut held = Vec::new();
        while let Ok(connection) = listener.accept().await {
            held.push(connection);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_swallows_everything_is_given_up_in_time() {
        let hole = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", hole.local_addr().unwrap());
        tokio::spawn(swallow(hole));
        let mut replay = Recorded::start(vec![]).await;
        replay.config = replay.config.into_builder().endpoint_url(endpoint).build();
        let start = Instant::now();
        let error = client(&replay, CALLS).get_queue_url().queue_name("q").send().await.unwrap_err();
        assert!(!ServiceError::new(&error).is_refusal(), "{error:?}");
        assert!(start.elapsed() > CALLS.whole / 2, "it was tried again and again: {:?}", start.elapsed());
        assert!(start.elapsed() <= CALLS.whole + Duration::from_secs(1), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_credentials_ran_out_is_repeated() {
        let expired = |code: &str| Response::json(400, &format!(r#"{{"__type":"x#{code}","message":"why"}}"#));
        let url = Response::json(200, r#"{"QueueUrl":"http://sqs/1/q"}"#);
        let replay = Recorded::start(vec![expired("ExpiredToken"), expired("UnrecognizedClientException"), url]).await;
        client(&replay, CALLS).get_queue_url().queue_name("q").send().await.unwrap();
        let replay = Recorded::start(vec![expired("AccessDenied")]).await;
        client(&replay, CALLS).get_queue_url().queue_name("q").send().await.unwrap_err();
        assert_eq!(replay.requests().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_call_is_repeated_for_longer_than_the_sdk_would() {
        let busy = || Response::json(400, r#"{"__type":"x#ThrottlingException","message":"slow down"}"#);
        let url = Response::json(200, r#"{"QueueUrl":"http://sqs/1/q"}"#);
        let replay = Recorded::start((0..12).map(|_| busy()).chain([url]).collect()).await;
        let calls = Calls { whole: Duration::from_secs(600), ..CALLS };
        client(&replay, calls).get_queue_url().queue_name("q").send().await.unwrap();
        assert_eq!(replay.requests().len(), 13);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_counted_by_client() {
        let busy = || Response::json(400, r#"{"__type":"x#ThrottlingException","message":"slow down"}"#);
        let url = || Response::json(200, r#"{"QueueUrl":"http://sqs/1/q"}"#);
        let away = Response::json(500, "{}");
        let replay = Recorded::start(vec![busy(), url(), away, busy(), url(), url()]).await;
        let config = CALLS.limit(&replay.config.clone().into_builder().retry_config(RetryConfig::standard()).build());
        let config = aws_sdk_sqs::config::Builder::from(&config).retry_partition(retry_budget("counted"));
        let client = aws_sdk_sqs::Client::from_conf(config.interceptor(Attempts::of("counted")).build());
        assert_eq!(attempts()["counted"], attempts::Counted::default(), "a client that did nothing has zeros");
        for _ in 0..3 {
            client.get_queue_url().queue_name("q").send().await.unwrap();
        }
        assert_eq!(attempts()["counted"], attempts::Counted { retries: 3, throttles: 2 });
    }
}
