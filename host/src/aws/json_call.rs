//! Calls of services that speak AWS JSON 1.1 (a POST with `X-Amz-Target`), for those of which we need a call or two: their SDK crates
//! are among the largest dependencies there are. What is ours is the body and where it goes; credentials, signatures, repeats, time
//! limits and the correction of clocks are the SDK's, put together as its generated crates do.

use std::fmt;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::invocation_id::InvocationIdInterceptor;
use aws_runtime::request_info::RequestInfoInterceptor;
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_runtime::service_clock_skew::{ServiceClockSkewClassifier, ServiceClockSkewInterceptor};
use aws_runtime::user_agent::{ApiMetadata, UserAgentInterceptor};
use aws_smithy_runtime::client::auth::no_auth::NO_AUTH_SCHEME_ID;
use aws_smithy_runtime::client::identity::no_auth::NoAuthIdentityResolver;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::RetryPartition;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::auth::{AuthSchemeOptionResolverParams, SharedAuthSchemeOptionResolver};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::{SharedRuntimePlugin, StaticRuntimePlugin};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SigningName;
use aws_types::region::SigningRegion;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::endpoint::{Names, endpoint};
use super::service_error::LapsedCredentials;

/// A service that speaks AWS JSON 1.1.
#[derive(Debug)]
pub(crate) struct Service {
    pub(super) names: Names,
    /// In signatures.
    signing: &'static str,
    /// In `X-Amz-Target`, before the call's name.
    target: &'static str,
}

/// AWS Key Management Service.
pub(crate) static KMS: Service = Service {
    names: Names { id: "KMS", host: ["kms", "kms-fips"], dual_stack: ["kms", "kms-fips"] },
    signing: "kms",
    target: "TrentService",
};

/// Amazon Elastic Container Registry.
pub(crate) static ECR: Service = Service {
    names: Names { id: "ECR", host: ["api.ecr", "api.ecr-fips"], dual_stack: ["ecr", "ecr-fips"] },
    signing: "ecr",
    target: "AmazonEC2ContainerRegistry_V20150921",
};

/// AWS Glue: its Data Catalog.
pub(crate) static GLUE: Service = Service {
    names: Names { id: "Glue", host: ["glue", "glue-fips"], dual_stack: ["glue", "glue-fips"] },
    signing: "glue",
    target: "AWSGlue",
};

/// AWS Secrets Manager.
pub(crate) static SECRETS_MANAGER: Service = Service {
    names: Names {
        id: "Secrets Manager",
        host: ["secretsmanager", "secretsmanager-fips"],
        dual_stack: ["secretsmanager", "secretsmanager-fips"],
    },
    signing: "secretsmanager",
    target: "secretsmanager",
};

/// AWS Systems Manager: its Parameter Store.
pub(crate) static SSM: Service = Service {
    names: Names { id: "SSM", host: ["ssm", "ssm-fips"], dual_stack: ["ssm", "ssm-fips"] },
    signing: "ssm",
    target: "AmazonSSM",
};

/// Why there is no answer: for [`super::ServiceError::new`].
pub(crate) type CallError = SdkError<ErrorMetadata, HttpResponse>;

/// Calls one service in one region.
#[derive(Clone, Debug)]
pub(crate) struct JsonClient {
    service: &'static Service,
    /// None without a region.
    endpoint: Option<String>,
    retries: RetryConfig,
    timeouts: TimeoutConfig,
    plugin: SharedRuntimePlugin,
}

/// An answer, which may be a secret: the SDK prints what it passes on where its log is asked for everything.
struct Answer<T>(T);

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer(..)")
    }
}

impl JsonClient {
    /// The service in the configuration's region, or in this one.
    pub(crate) fn new(
        service: &'static Service,
        config: &SdkConfig,
        region: Option<&str>,
        budget: RetryPartition,
    ) -> Self {
        let region = region.map(|region| Region::new(region.to_owned())).or_else(|| config.region().cloned());
        Self {
            service,
            endpoint: region.as_ref().map(|region| endpoint(&service.names, config, region)),
            retries: config.retry_config().cloned().unwrap_or_else(RetryConfig::standard),
            timeouts: config.timeout_config().cloned().unwrap_or_else(TimeoutConfig::disabled),
            plugin: SharedRuntimePlugin::new(plugin(service, config, region, budget)),
        }
    }

    /// One call, repeated as the configuration says.
    pub(crate) async fn call<T>(&self, name: &'static str, body: &Value) -> Result<T, CallError>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let missing = || CallError::construction_failure("no region of AWS is configured: set AWS_REGION");
        let endpoint = self.endpoint.as_ref().ok_or_else(missing)?;
        let Service { names, target, .. } = self.service;
        let target = format!("{target}.{name}");
        let operation = Operation::builder()
            .service_name(names.id)
            .operation_name(name)
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .standard_retry(&self.retries)
            .timeout_config(self.timeouts.clone())
            .with_connection_poisoning()
            .runtime_plugin(self.plugin.clone())
            .serializer(move |body: String| request(&target, body))
            .deserializer(answer::<T>)
            .build();
        operation.invoke(body.to_string()).await.map(|Answer(answer)| answer)
    }
}

/// What the generated crates of the SDK configure their calls with.
fn plugin(
    service: &Service,
    config: &SdkConfig,
    region: Option<Region>,
    budget: RetryPartition,
) -> StaticRuntimePlugin {
    let mut layer = Layer::new("json_call");
    layer.store_put(SigningName::from_static(service.signing));
    layer.store_put(SigV4OperationSigningConfig::default());
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(ApiMetadata::new(service.signing, env!("CARGO_PKG_VERSION")));
    layer.store_put(budget);
    if let Some(region) = region {
        layer.store_put(SigningRegion::from(region));
    }
    if let Some(app) = config.app_name() {
        layer.store_put(app.clone());
    }
    let schemes = StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID]);
    let mut components = RuntimeComponentsBuilder::new("json_call")
        .with_auth_scheme(SigV4AuthScheme::new())
        .with_auth_scheme_option_resolver(Some(SharedAuthSchemeOptionResolver::new(schemes)))
        // No request goes unsigned: with it, a configuration without credentials is told so, and as nothing final.
        .with_identity_resolver(NO_AUTH_SCHEME_ID, NoAuthIdentityResolver::new())
        .with_interceptor(ServiceClockSkewInterceptor::new())
        .with_interceptor(RequestInfoInterceptor::new())
        .with_interceptor(InvocationIdInterceptor::new())
        .with_interceptor(UserAgentInterceptor::new())
        .with_retry_classifier(HttpStatusCodeClassifier::default())
        .with_retry_classifier(TransientErrorClassifier::<ErrorMetadata>::new())
        .with_retry_classifier(AwsErrorCodeClassifier::<ErrorMetadata>::new())
        .with_retry_classifier(ServiceClockSkewClassifier::<ErrorMetadata>::new())
        .with_retry_classifier(LapsedCredentials);
    if let Some(client) = config.http_client() {
        components.set_http_client(Some(client));
    }
    if let Some(sleep) = config.sleep_impl() {
        components.set_sleep_impl(Some(sleep));
    }
    if let Some(time) = config.time_source() {
        components.set_time_source(Some(time));
    }
    if let Some(cache) = config.identity_cache() {
        components.set_identity_cache(Some(cache));
    }
    if let Some(credentials) = config.credentials_provider() {
        components.set_identity_resolver(SCHEME_ID, credentials);
    }
    StaticRuntimePlugin::new().with_config(layer.freeze()).with_runtime_components(components)
}

fn request(target: &str, body: String) -> Result<HttpRequest, BoxError> {
    let length = body.len().to_string();
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method("POST")?;
    request.set_uri("/")?;
    let headers = request.headers_mut();
    headers.insert("content-type", "application/x-amz-json-1.1");
    headers.insert("content-length", length);
    headers.insert("x-amz-target", target.to_owned());
    Ok(request)
}

fn answer<T: DeserializeOwned>(response: &HttpResponse) -> Result<Answer<T>, OrchestratorError<ErrorMetadata>> {
    let body = response.body().bytes().unwrap_or_default();
    if response.status().is_success() {
        return serde_json::from_slice(body).map(Answer).map_err(OrchestratorError::other);
    }
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |names: &[&str]| names.iter().find_map(|name| said.get(name)?.as_str());
    let mut error = ErrorMetadata::builder();
    // The same as a header, where a proxy did away with the body.
    if let Some(code) = response.headers().get("x-amzn-errortype").or_else(|| text(&["code", "__type"])) {
        // `NAMESPACE#Code:URL`
        let code = code.split(':').next().unwrap_or(code);
        error = error.code(code.split_once('#').map_or(code, |(_, code)| code));
    }
    if let Some(message) = text(&["message", "Message", "errorMessage"]) {
        error = error.message(message);
    }
    Err(OrchestratorError::operation(error.build()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::recorded::{Recorded, Response};
    use super::super::{Calls, ServiceError, retry_budget};
    use super::*;

    async fn client(answers: Vec<Response>, attempts: u32) -> (JsonClient, Recorded) {
        let replay = Recorded::start(answers).await;
        let second = Duration::from_secs(1);
        let calls = Calls { attempts, adaptive: false, attempt: 10 * second, whole: 60 * second };
        let config = replay.config.clone().into_builder().retry_config(RetryConfig::standard()).build();
        (JsonClient::new(&KMS, &calls.limit(&config), None, retry_budget("test")), replay)
    }

    #[tokio::test]
    async fn a_call_is_a_signed_post_of_json() {
        let (client, replay) = client(vec![Response::json(200, r#"{"KeyId":"k"}"#)], 1).await;
        let answer: Value = client.call("DescribeKey", &json!({"KeyId": "k"})).await.unwrap();
        assert_eq!(answer, json!({"KeyId": "k"}));
        let asked = &replay.requests()[0];
        for expected in [
            "POST / HTTP/1.1",
            "content-type: application/x-amz-json-1.1",
            "x-amz-target: TrentService.DescribeKey",
            "/kms/aws4_request",
            "user-agent: aws-sdk-rust/",
        ] {
            assert!(asked.head.contains(expected), "{expected}: {}", asked.head);
        }
        assert_eq!(asked.body, r#"{"KeyId":"k"}"#);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_world_cures_is_asked_for_again() {
        let error = |status, code: &str| Response::json(status, &format!(r#"{{"__type":"x#{code}:http://x"}}"#));
        let passing = vec![
            error(400, "ThrottlingException"),
            error(500, "InternalFailure"),
            Response::new(503, "<html>"),
            error(400, "ExpiredTokenException"),
            Response::json(200, "{}").cut(1),
            Response::json(200, "{}"),
        ];
        let (client, replay) = client(passing, 9).await;
        client.call::<Value>("Sign", &json!({})).await.unwrap();
        assert_eq!(replay.requests().len(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_says_nothing_is_given_up_in_time() {
        let hole = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let replay = Recorded::start(vec![]).await;
        let endpoint = format!("http://{}", hole.local_addr().unwrap());
        let second = Duration::from_secs(1);
        let calls = Calls { attempts: 9, adaptive: false, attempt: 5 * second, whole: 20 * second };
        let config = replay.config.clone().into_builder().retry_config(RetryConfig::standard());
        let config = calls.limit(&config.endpoint_url(endpoint).build());
        let begin = tokio::time::Instant::now();
        let client = JsonClient::new(&KMS, &config, None, retry_budget("test"));
        let fault = ServiceError::new(&client.call::<Value>("Sign", &json!({})).await.unwrap_err());
        assert!(!fault.is_refusal(), "{fault:?}");
        assert!(begin.elapsed() > 9 * second && begin.elapsed() <= 21 * second, "{:?}", begin.elapsed());
    }

    #[tokio::test]
    async fn a_refusal_says_what_it_is_and_is_final() {
        let refused =
            Response::new(400, r#"{"Message":"why"}"#).header("x-amzn-errortype", "NotFoundException:http://x");
        let (client, replay) = client(vec![refused], 9).await;
        let fault = ServiceError::new(&client.call::<Value>("Sign", &json!({})).await.unwrap_err());
        assert!(fault.is_refusal() && fault.message == "why (NotFoundException, HTTP 400)", "{fault:?}");
        assert_eq!(replay.requests().len(), 1);
    }

    #[tokio::test]
    async fn an_answer_that_is_no_json_is_no_refusal() {
        let (client, _replay) = client(vec![Response::new(200, "hello")], 1).await;
        let fault = ServiceError::new(&client.call::<Value>("Sign", &json!({})).await.unwrap_err());
        assert!(!fault.is_refusal() && !fault.message.is_empty(), "{fault:?}");
        assert_eq!(format!("{:?}", Answer("secret")), "Answer(..)");
    }

    #[tokio::test]
    async fn no_credentials_yet_are_no_refusal_and_no_region_is_one() {
        let replay = Recorded::start(vec![]).await;
        let mut builder = replay.config.clone().into_builder();
        builder.set_credentials_provider(None);
        let client = JsonClient::new(&KMS, &builder.build(), None, retry_budget("test"));
        let fault = ServiceError::new(&client.call::<Value>("Sign", &json!({})).await.unwrap_err());
        assert!(!fault.is_refusal() && fault.message.contains("redentials"), "{fault:?}");
        let mut builder = replay.config.clone().into_builder();
        builder.set_region(None);
        let client = JsonClient::new(&KMS, &builder.build(), None, retry_budget("test"));
        let fault = ServiceError::new(&client.call::<Value>("Sign", &json!({})).await.unwrap_err());
        assert!(fault.is_refusal() && fault.message.contains("set AWS_REGION"), "{fault:?}");
        assert!(replay.requests().is_empty());
    }
}
