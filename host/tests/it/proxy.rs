//! Between a worker and its AWS: a reverse proxy on the loopback interface that knows every call by its name. A policy does
//! with it what it likes: passes it on, holds it, answers in the service's place, breaks the connection.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use async_trait::async_trait;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, Response, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of each call.
#[async_trait]
pub(crate) trait Policy: Send + Sync + 'static {
    /// The answer to the call; none resets the connection. What [`Service::ask`] gives is the service's own answer: a policy
    /// that never asks keeps the call from having an effect, one that asks and answers none loses the answer only.
    async fn relay(&self, call: &Call, service: &Service) -> Option<Answer>;
}

/// An answer, whole.
pub(crate) type Answer = Response<Bytes>;

/// A proxy. It takes no more connections once it is dropped.
pub(crate) struct Proxy {
    /// What a worker takes for the service's endpoint.
    pub(crate) endpoint: String,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A proxy before the service at this endpoint.
    pub(crate) async fn before(endpoint: &str, policy: Arc<dyn Policy>) -> Self {
        Self::between(endpoint, BTreeMap::new(), policy).await
    }

    /// A proxy before several: each of these services is elsewhere, all others are at this endpoint.
    pub(crate) async fn between(
        endpoint: &str,
        elsewhere: BTreeMap<&'static str, String>,
        policy: Arc<dyn Policy>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let service = Arc::new(Service { endpoint: endpoint.into(), elsewhere, client });
        let own = format!("http://{}", listener.local_addr().unwrap());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, policy.clone(), service.clone()));
            }
        });
        Self { endpoint: own, accepting }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The service behind a proxy.
pub(crate) struct Service {
    endpoint: String,
    /// Where the services are that are not there.
    elsewhere: BTreeMap<&'static str, String>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Service {
    /// Passes a call on.
    pub(crate) async fn ask(&self, call: &Call) -> Answer {
        let path = call.uri.path_and_query().map_or("/", |path| path.as_str());
        let endpoint = self.elsewhere.get(call.service).unwrap_or(&self.endpoint);
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = format!("{endpoint}{path}").parse().unwrap();
        *request.headers_mut() = without_framing(&call.headers);
        let answer = self.client.request(request).await.expect("the emulator answers");
        let (mut head, body) = answer.into_parts();
        let body = body.collect().await.expect("the emulator answers whole").to_bytes();
        // To HEAD the length is all there is of the body.
        if call.method != Method::HEAD {
            head.headers = without_framing(&head.headers);
        }
        Response::from_parts(head, body)
    }
}

/// What the other connection decides for itself.
fn without_framing(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::EXPECT] {
        headers.remove(name);
    }
    headers
}

#[derive(Debug, thiserror::Error)]
#[error("the policy broke the connection")]
struct Broken;

async fn serve(stream: TcpStream, policy: Arc<dyn Policy>, service: Arc<Service>) {
    let relay = service_fn(move |request: Request<Incoming>| {
        let (policy, service) = (policy.clone(), service.clone());
        // A task of its own: what has left a worker arrives, also when the worker is dead before it has.
        let relayed = tokio::spawn(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
            let answer = policy.relay(&Call::new(head, body), &service).await.ok_or(Broken)?;
            Ok::<_, Broken>(answer.map(Full::new))
        });
        Box::pin(async { relayed.await.unwrap_or(Err(Broken)) })
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), relay);
    if poll_fn(|context| connection.poll_without_shutdown(context)).await.is_err() {
        // A reset, not an orderly end.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

/// A call, by its name.
#[derive(Clone)]
pub(crate) struct Call {
    /// `S3`, `DynamoDB`, `SQS`, `SFN` or `Glue`.
    pub(crate) service: &'static str,
    /// As the service's API reference has it.
    pub(crate) operation: String,
    /// Table, queue, or bucket and key.
    pub(crate) on: String,
    pub(crate) body: Bytes,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, operation, on, .. } = self;
        write!(f, "{}", format!("{service} {operation} {on}").trim_end())
    }
}

impl Call {
    fn new(head: Parts, body: Bytes) -> Self {
        let Parts { method, uri, headers, .. } = head;
        let (service, operation, on) = match headers.get("x-amz-target").and_then(|target| target.to_str().ok()) {
            Some(target) => json_call(target, &serde_json::from_slice(&body).unwrap_or_default()),
            None => ("S3", s3_operation(&method, &uri, &headers).into(), uri.path().trim_matches('/').into()),
        };
        Self { service, operation, on, body, method, uri, headers }
    }

    /// Whether the call changes anything in the service. A receive does: it hides messages.
    pub(crate) fn is_effect(&self) -> bool {
        let reads = ["Get", "Head", "List", "Describe", "BatchGet", "Query", "Scan"];
        !reads.iter().any(|read| self.operation.starts_with(read))
    }

    /// Another call to the same service, by the same caller.
    pub(crate) fn instead(&self, operation: &str, body: &Value) -> Self {
        let mut headers = self.headers.clone();
        let target = self.headers["x-amz-target"].to_str().unwrap().replace(&self.operation, operation);
        headers.insert("x-amz-target", target.parse().unwrap());
        Self { operation: operation.into(), body: body.to_string().into(), headers, ..self.clone() }
    }

    /// The service's own way to say that it failed, or that it is asked too often.
    pub(crate) fn refusal(&self, refusal: Refusal) -> Answer {
        let (status, code) = match (refusal, self.service) {
            (Refusal::Failed, "S3") => (500, "InternalError"),
            (Refusal::Failed, "SQS") => (500, "InternalFailure"),
            (Refusal::Failed, _) => (500, "InternalServerError"),
            (Refusal::TooFast, "S3") => (503, "SlowDown"),
            (Refusal::TooFast, "DynamoDB") => (400, "ProvisionedThroughputExceededException"),
            (Refusal::TooFast, "SQS") => (400, "RequestThrottled"),
            (Refusal::TooFast, _) => (400, "ThrottlingException"),
        };
        let (kind, body) = match self.service {
            "S3" => ("application/xml", format!("<Error><Code>{code}</Code><Message>chaos</Message></Error>")),
            _ => ("application/x-amz-json-1.0", json!({"__type": code, "message": "chaos"}).to_string()),
        };
        let body = if self.method == Method::HEAD { String::new() } else { body };
        Response::builder().status(status).header(header::CONTENT_TYPE, kind).body(body.into()).unwrap()
    }
}

/// What a service says that is not the caller's fault.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    Failed,
    TooFast,
}

fn json_call(target: &str, body: &Value) -> (&'static str, String, String) {
    let (service, operation) = target.split_once('.').unwrap_or((target, ""));
    let service = match service {
        service if service.starts_with("DynamoDB") => "DynamoDB",
        "AmazonSQS" => "SQS",
        "AWSStepFunctions" => "SFN",
        "AWSGlue" => "Glue",
        other => panic!("a service without a name here: {other}"),
    };
    let text = |field: &str| body[field].as_str().map(ToOwned::to_owned);
    let tables = || body["RequestItems"].as_object().map(|tables| tables.keys().cloned().collect::<Vec<_>>().join(" "));
    let queue = || Some(text("QueueUrl")?.rsplit('/').next()?.to_owned());
    (service, operation.into(), text("TableName").or_else(tables).or_else(queue).unwrap_or_default())
}

/// Amazon S3 has no operation's name in its protocol: method, query and headers tell.
fn s3_operation(method: &Method, uri: &Uri, headers: &HeaderMap) -> &'static str {
    let query: BTreeSet<&str> =
        uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split('=').next()).collect();
    let has = |name| query.contains(name);
    match method.as_str() {
        "GET" if has("uploadId") => "ListParts",
        "GET" if has("uploads") => "ListMultipartUploads",
        "GET" if has("list-type") => "ListObjectsV2",
        "GET" => "GetObject",
        "HEAD" => "HeadObject",
        "PUT" if has("partNumber") => "UploadPart",
        "PUT" if headers.contains_key("x-amz-copy-source") => "CopyObject",
        "PUT" => "PutObject",
        "POST" if has("uploads") => "CreateMultipartUpload",
        "POST" if has("uploadId") => "CompleteMultipartUpload",
        "POST" => "DeleteObjects",
        "DELETE" if has("uploadId") => "AbortMultipartUpload",
        "DELETE" => "DeleteObject",
        other => panic!("no operation of S3: {other} {uri}"),
    }
}

mod tests {
    use std::sync::Mutex;

    use aws_config::SdkConfig;
    use aws_config::retry::RetryConfig;
    use aws_sdk_dynamodb::types::{AttributeValue, WriteRequest};
    use aws_sdk_s3::error::ProvideErrorMetadata as _;
    use aws_sdk_s3::types::{Delete, ObjectIdentifier};
    use insta::assert_snapshot;

    use super::*;
    use crate::{emulator, rig};

    /// What every call meets.
    #[derive(Clone, Copy)]
    enum Act {
        Refuse(Refusal),
        CutBefore,
        CutAfter,
    }

    struct Always {
        act: Act,
        seen: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Policy for Always {
        async fn relay(&self, call: &Call, service: &Service) -> Option<Answer> {
            self.seen.lock().unwrap().push(format!("{} {call}", if call.is_effect() { "!" } else { "-" }));
            match self.act {
                Act::Refuse(refusal) => Some(call.refusal(refusal)),
                Act::CutBefore => None,
                Act::CutAfter => {
                    service.ask(call).await;
                    None
                }
            }
        }
    }

    /// A proxy before the emulator, and what leads to it: without retries.
    async fn proxy(act: Act) -> (Arc<Always>, Proxy, SdkConfig) {
        let always = Arc::new(Always { act, seen: Mutex::default() });
        let proxy = Proxy::before(emulator::shared(), always.clone()).await;
        let config = emulator::config(&proxy.endpoint).into_builder().retry_config(RetryConfig::disabled()).build();
        (always, proxy, config)
    }

    /// The SDK knows what its operations are called.
    #[tokio::test]
    async fn every_call_has_its_name() {
        let (always, _proxy, config) = proxy(Act::CutBefore).await;
        let s3 = rig::s3(&config);
        let _ = s3.get_object().bucket("b").key("k/1").send().await;
        let _ = s3.head_object().bucket("b").key("k").send().await;
        let _ = s3.list_objects_v2().bucket("b").prefix("k").send().await;
        let _ = s3.list_multipart_uploads().bucket("b").send().await;
        let _ = s3.list_parts().bucket("b").key("k").upload_id("u").send().await;
        let _ = s3.put_object().bucket("b").key("k").send().await;
        let _ = s3.copy_object().bucket("b").key("k").copy_source("b/l").send().await;
        let _ = s3.create_multipart_upload().bucket("b").key("k").send().await;
        let _ = s3.upload_part().bucket("b").key("k").upload_id("u").part_number(1).send().await;
        let _ = s3.complete_multipart_upload().bucket("b").key("k").upload_id("u").send().await;
        let _ = s3.abort_multipart_upload().bucket("b").key("k").upload_id("u").send().await;
        let _ = s3.delete_object().bucket("b").key("k").send().await;
        let object = Delete::builder().objects(ObjectIdentifier::builder().key("k").build().unwrap()).build().unwrap();
        let _ = s3.delete_objects().bucket("b").delete(object).send().await;
        let dynamodb = aws_sdk_dynamodb::Client::new(&config);
        let _ = dynamodb.describe_table().table_name("t").send().await;
        let _ = dynamodb.update_item().table_name("t").key("pk", AttributeValue::S("k".into())).send().await;
        let _ = dynamodb.batch_write_item().request_items("t", vec![WriteRequest::builder().build()]).send().await;
        let sqs = aws_sdk_sqs::Client::new(&config);
        let _ = sqs.receive_message().queue_url("http://sqs/1/q").send().await;
        let _ = aws_sdk_sfn::Client::new(&config).send_task_heartbeat().task_token("t").send().await;
        assert_snapshot!(always.seen.lock().unwrap().join("\n"), @"
        - S3 GetObject b/k/1
        - S3 HeadObject b/k
        - S3 ListObjectsV2 b
        - S3 ListMultipartUploads b
        - S3 ListParts b/k
        ! S3 PutObject b/k
        ! S3 CopyObject b/k
        ! S3 CreateMultipartUpload b/k
        ! S3 UploadPart b/k
        ! S3 CompleteMultipartUpload b/k
        ! S3 AbortMultipartUpload b/k
        ! S3 DeleteObject b/k
        ! S3 DeleteObjects b
        - DynamoDB DescribeTable t
        ! DynamoDB UpdateItem t
        ! DynamoDB BatchWriteItem t
        ! SQS ReceiveMessage q
        ! SFN SendTaskHeartbeat
        ");
    }

    #[tokio::test]
    async fn refusals_are_in_each_service_s_own_words() {
        let mut said = Vec::new();
        for refusal in [Refusal::Failed, Refusal::TooFast] {
            let (_, _proxy, config) = proxy(Act::Refuse(refusal)).await;
            let put = rig::s3(&config).put_object().bucket("b").key("k").send().await.unwrap_err();
            let table = aws_sdk_dynamodb::Client::new(&config).describe_table().table_name("t").send().await;
            let queue = aws_sdk_sqs::Client::new(&config).receive_message().queue_url("http://sqs/1/q").send().await;
            let beat = aws_sdk_sfn::Client::new(&config).send_task_heartbeat().task_token("t").send().await;
            let (table, queue, beat) = (table.unwrap_err(), queue.unwrap_err(), beat.unwrap_err());
            let codes = [put.code(), table.code(), queue.code(), beat.code()];
            said.push(codes.map(|code| code.unwrap().to_owned()));
        }
        assert_eq!(said[0], ["InternalError", "InternalServerError", "InternalFailure", "InternalServerError"]);
        let too_fast =
            ["SlowDown", "ProvisionedThroughputExceededException", "RequestThrottled", "ThrottlingException"];
        assert_eq!(said[1], too_fast);
    }

    #[tokio::test]
    async fn a_connection_breaks_before_the_effect_or_after_it() {
        let s3 = rig::s3(&emulator::config(emulator::shared()));
        s3.create_bucket().bucket("proxy-cut").send().await.unwrap();
        for (act, is_there) in [(Act::CutBefore, false), (Act::CutAfter, true)] {
            let (_, _proxy, config) = proxy(act).await;
            let put = rig::s3(&config).put_object().bucket("proxy-cut").key("k").send().await.unwrap_err();
            assert!(put.raw_response().is_none(), "{put:?}");
            assert_eq!(s3.head_object().bucket("proxy-cut").key("k").send().await.is_ok(), is_there);
        }
    }
}
