//! What an error of the SDK means: whether somebody has to change something, or the world cures it.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::config::interceptors::InterceptorContext;
use aws_sdk_sqs::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

/// A call that failed for good, after the SDK's retries.
#[derive(Debug)]
pub(crate) struct ServiceError {
    /// The service's word for it (`NoSuchKey`); empty when no answer came, or an answer without one.
    pub(crate) code: String,
    /// The HTTP status, when an answer came.
    pub(crate) status: Option<u16>,
    /// For people.
    pub(crate) message: String,
    /// Whether the request was refused because this machine's clock is wrong.
    skewed: bool,
    /// Whether there was no request at all, because none can be made of what it should ask for.
    unasked: bool,
}

/// What a wrong clock is called. A signature is also refused when the secret key is wrong: the answer's date decides.
const SIGNATURES: [&str; 4] =
    ["InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure", "RequestTimeTooSkewed"];

/// The smallest difference between the clocks that can be to blame; the SDK has the same. Services allow 5 min and more.
const SKEW: Duration = Duration::from_secs(4 * 60);

/// How services say that calls come too fast.
const THROTTLED: [&str; 5] =
    ["Throttl", "SlowDown", "TooManyRequests", "RequestLimitExceeded", "ProvisionedThroughputExceeded"];

/// Further refusals by number that the world cures: too slow, a wrong clock.
const PASSING: [&str; 2] = ["TooSkewed", "RequestTimeout"];

/// Credentials that ran out, or that nobody knows yet or any more: whoever lends them gives others.
const CREDENTIALS: [&str; 6] = [
    "ExpiredToken",
    "RequestExpired",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "TokenRefreshRequired",
];

impl ServiceError {
    pub(crate) fn new<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = error.code().unwrap_or_default().to_owned();
        let mut message = match (error.as_service_error(), status) {
            (Some(service), Some(status)) => match service.message() {
                Some(message) => format!("{message} ({code}, HTTP {status})"),
                None => format!("{code} HTTP {status}").trim_start().to_owned(),
            },
            // No answer: the innermost cause says that the connection was refused, or a name unknown.
            _ => causes(error),
        };
        let theirs = error.raw_response().and_then(|response| response.headers().get("date"));
        let skew = theirs.filter(|_| SIGNATURES.contains(&&*code)).and_then(|date| skew(date, SystemTime::now()));
        if let Some(skew) = &skew {
            message = format!("{message}: {skew}");
        } else if is_one_of(&code, &CREDENTIALS) {
            message = format!("{message}: the credentials have run out or are not known (yet); others are asked for");
        }
        let unasked = matches!(error, SdkError::ConstructionFailure(_));
        Self { code, status, message, skewed: skew.is_some(), unasked }
    }

    /// Whether the service will refuse again until somebody changes something. What no request can be made of is whoever asks
    /// for it to blame for, not a service that was never asked.
    pub(crate) fn is_refusal(&self) -> bool {
        self.unasked || self.is_refused()
    }

    /// Whether a permission is missing.
    pub(crate) fn is_denial(&self) -> bool {
        self.code.contains("AccessDenied")
    }

    fn is_refused(&self) -> bool {
        self.status.is_some_and(|status| (400..500).contains(&status) && !matches!(status, 408 | 429))
            && !self.skewed
            && !is_one_of(&self.code, &THROTTLED)
            && !is_one_of(&self.code, &PASSING)
            && !is_one_of(&self.code, &CREDENTIALS)
    }
}

/// Repeats calls whose credentials have run out, as if nobody had answered; the SDK takes that answer for a final one. A later
/// attempt asks for credentials again.
#[derive(Debug)]
pub(crate) struct LapsedCredentials;

impl ClassifyRetry for LapsedCredentials {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let refused = context.response().filter(|response| (400..=403).contains(&response.status().as_u16()));
        match refused.is_some_and(|response| names(response, &CREDENTIALS)) {
            true => RetryAction::transient_error(),
            false => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "lapsed credentials"
    }
}

/// Whether the answer to one attempt says that calls come too fast.
pub(super) fn is_throttled(answer: &HttpResponse) -> bool {
    answer.status().as_u16() == 429 || (!answer.status().is_success() && names(answer, &THROTTLED))
}

/// Whether an answer has one of these codes. The code is in the body, as JSON or as XML; its type is each operation's own.
fn names(answer: &HttpResponse, words: &[&str]) -> bool {
    answer.body().bytes().map(String::from_utf8_lossy).is_some_and(|body| is_one_of(&body, words))
}

fn is_one_of(code: &str, words: &[&str]) -> bool {
    words.iter().any(|word| code.contains(word))
}

/// How far this machine's clock is off, if it is so far that signatures are refused for it.
fn skew(theirs: &str, ours: SystemTime) -> Option<String> {
    let theirs = SystemTime::try_from(DateTime::from_str(theirs, DateTimeFormat::HttpDate).ok()?).ok()?;
    let (off, word) = match ours.duration_since(theirs) {
        Ok(ahead) => (ahead, "ahead"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let seconds = humantime::format_duration(Duration::from_secs(off.as_secs()));
    (off > SKEW).then(|| format!("this machine's clock is {seconds} {word}; set it right"))
}

/// The error and its causes, without those that only repeat what the one before says.
pub(crate) fn causes(error: &dyn Error) -> String {
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
    use super::super::recorded::{Recorded, Response};
    use super::*;

    fn json(status: u16, code: &str) -> Response {
        Response::json(status, &format!(r#"{{"__type": "x#{code}", "message": "why"}}"#))
    }

    async fn fault(response: Response) -> ServiceError {
        let replay = Recorded::start(vec![response]).await;
        let client = aws_sdk_sqs::Client::new(&replay.config);
        ServiceError::new(&client.get_queue_url().queue_name("q").send().await.unwrap_err())
    }

    #[tokio::test]
    async fn an_error_is_said_and_weighed() {
        for (status, code, refusal) in [
            (400, "InvalidAddress", true),
            (403, "AccessDeniedException", true),
            (403, "InvalidSignatureException", true),
            (400, "ThrottlingException", false),
            (400, "RequestThrottled", false),
            (400, "ProvisionedThroughputExceededException", false),
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
    async fn credentials_that_have_run_out_are_no_refusal() {
        for code in ["ExpiredToken", "ExpiredTokenException", "UnrecognizedClientException", "InvalidClientTokenId"] {
            let fault = fault(json(403, code)).await;
            assert!(!fault.is_refusal() && fault.message.contains("credentials have run out"), "{fault:?}");
        }
    }

    #[tokio::test]
    async fn a_signature_that_a_wrong_clock_spoiled_is_no_refusal() {
        let date = |offset: i64| {
            let now = DateTime::from(SystemTime::now()).secs() + offset;
            DateTime::from_secs(now).fmt(DateTimeFormat::HttpDate).unwrap()
        };
        let refused = async |offset| fault(json(403, "InvalidSignatureException").header("date", date(offset))).await;
        let ahead = refused(-3600).await;
        assert!(!ahead.is_refusal(), "{ahead:?}");
        assert!(ahead.message.contains("this machine's clock is 1h ahead; set it right"), "{ahead:?}");
        assert!(refused(3601).await.message.contains("behind"));
        let key = refused(-60).await;
        assert!(key.is_refusal() && !key.message.contains("clock"), "a wrong key is one: {key:?}");
    }

    #[tokio::test]
    async fn what_no_request_can_be_made_of_is_a_refusal() {
        let replay = Recorded::start(vec![]).await;
        let objects = aws_sdk_s3::Client::new(&replay.config);
        let request = objects.get_object().bucket("b").key(" ");
        let fault = ServiceError::new(&request.send().await.unwrap_err());
        assert!(fault.is_refusal() && fault.message.contains("key"), "{fault:?}");
        assert!(replay.requests().is_empty());
    }

    #[tokio::test]
    async fn nobody_there_is_no_refusal() {
        let replay = Recorded::start(vec![]).await;
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = replay.config.into_builder().endpoint_url(format!("http://{nobody}")).build();
        let error = aws_sdk_sqs::Client::new(&config).get_queue_url().queue_name("q").send().await.unwrap_err();
        let fault = ServiceError::new(&error);
        assert!(!fault.is_refusal() && fault.message.contains("onnection refused"), "{fault:?}");
    }

    #[tokio::test]
    async fn no_credentials_yet_are_no_refusal() {
        let replay = Recorded::start(vec![]).await;
        let error = without_credentials(&replay).get_queue_url().queue_name("q").send().await.unwrap_err();
        let fault = ServiceError::new(&error);
        assert!(!fault.is_refusal() && fault.message.contains("redentials"), "{fault:?}");
    }

    /// A client whose credentials nobody gives.
    fn without_credentials(replay: &Recorded) -> aws_sdk_sqs::Client {
        let mut builder = replay.config.clone().into_builder();
        builder.set_credentials_provider(None);
        aws_sdk_sqs::Client::new(&builder.build())
    }
}
