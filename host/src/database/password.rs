//! Where a password is kept, and how it is fetched when a session begins: a rotated one is used from the next session on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::error::DatabaseError;
use crate::aws::json_call::{CallError, JsonClient, SECRETS_MANAGER, SSM, Service};
use crate::aws::{self, Calls, SdkConfig, ServiceError};
use crate::files;

/// A query waits for it.
const CALLS: Calls =
    Calls { attempts: 4, adaptive: false, attempt: Duration::from_secs(5), whole: Duration::from_secs(20) };

/// The largest file with a password, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// Where the password of one connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PasswordRef {
    /// There is none: the server does not ask for one.
    None,
    /// The first line of a file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A secret in AWS Secrets Manager, whole or a field of its JSON.
    Secret { id: String, field: Option<String> },
    /// A parameter in the Parameter Store of AWS Systems Manager.
    Parameter(String),
}

/// A password, which nothing prints.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Password {
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

/// AWS, for the passwords that are kept there. It asks nobody before one of them is needed.
#[derive(Clone, Debug, Default)]
pub(super) struct Vaults(Arc<OnceCell<SdkConfig>>);

/// What GetSecretValue answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecretValue {
    secret_string: Option<String>,
}

/// What GetParameter answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ParameterAnswer {
    parameter: Option<ParameterValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ParameterValue {
    value: Option<String>,
}

impl Vaults {
    /// AWS as this configuration reaches it; the default loads one with its first password.
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self(Arc::new(OnceCell::new_with(Some(config.clone()))))
    }

    /// Fetches the password of the connection of this name. None if it has none.
    pub(super) async fn password(&self, of: &str, at: &PasswordRef) -> Result<Option<Password>, DatabaseError> {
        let text = match at {
            PasswordRef::None => return Ok(None),
            PasswordRef::File(path) => from_file(of, path)?,
            PasswordRef::Variable(name) => std::env::var(name).map_err(|_| {
                denied(of, &format!("the variable `{name}`, which should have its password, is not set"))
            })?,
            PasswordRef::Secret { id, field } => self.secret(of, id, field.as_deref()).await?,
            PasswordRef::Parameter(name) => self.parameter(of, name).await?,
        };
        Ok(Some(Password(text)))
    }

    async fn secret(&self, of: &str, id: &str, field: Option<&str>) -> Result<String, DatabaseError> {
        let what = format!("its password in the secret `{id}`");
        let client = self.client(&SECRETS_MANAGER, id, "Secrets Manager").await;
        let answer: Result<SecretValue, _> = client.call("GetSecretValue", &json!({"SecretId": id})).await;
        let whole = answer.map_err(|error| fault(of, &what, &error))?.secret_string;
        let whole = whole.ok_or_else(|| denied(of, &format!("{what} is binary; expected a text")))?;
        let Some(field) = field else { return Ok(whole) };
        let json: Option<Value> = serde_json::from_str(&whole).ok();
        let text = json.as_ref().and_then(|json| json.get(field)?.as_str());
        text.map(str::to_owned)
            .ok_or_else(|| denied(of, &format!("{what}: it is no JSON object with a text in `{field}`")))
    }

    async fn parameter(&self, of: &str, name: &str) -> Result<String, DatabaseError> {
        let what = format!("its password in the parameter `{name}`");
        let client = self.client(&SSM, name, "Systems Manager").await;
        let request = json!({"Name": name, "WithDecryption": true});
        let answer: Result<ParameterAnswer, _> = client.call("GetParameter", &request).await;
        let value = answer.map_err(|error| fault(of, &what, &error))?.parameter.and_then(|it| it.value);
        value.ok_or_else(|| denied(of, &format!("{what} has no value")))
    }

    /// In the region of the ARN, if it is one.
    async fn client(&self, service: &'static Service, id: &str, budget: &'static str) -> JsonClient {
        let config = self.0.get_or_init(aws::load).await;
        // arn:PARTITION:SERVICE:REGION:ACCOUNT:...
        let region = id.strip_prefix("arn:").and_then(|fields| fields.split(':').nth(2));
        let region = region.filter(|region| !region.is_empty());
        JsonClient::new(service, &CALLS.limit(config), region, aws::retry_budget(budget))
    }
}

/// Its first line, so that an editor may end it with a line break.
fn from_file(of: &str, path: &Path) -> Result<String, DatabaseError> {
    let read = files::read_text(path, MAX_FILE);
    let text = read.map_err(|error| denied(of, &format!("its password in {}: {error}", path.display())))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn denied(of: &str, why: &str) -> DatabaseError {
    DatabaseError::Denied(format!("connection `{of}`: {why}"))
}

fn fault(of: &str, what: &str, error: &CallError) -> DatabaseError {
    let fault = ServiceError::new(error);
    let sentence = format!("connection `{of}`: {what}: {}", fault.message);
    if fault.is_refusal() { DatabaseError::Denied(sentence) } else { DatabaseError::Unavailable(sentence) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::recorded::{Recorded, Response};

    async fn fetched(answer: Response, at: PasswordRef) -> (Result<Option<Password>, DatabaseError>, Recorded) {
        let recorded = Recorded::start(vec![answer]).await;
        (Vaults::new(&recorded.config).password("shop", &at).await, recorded)
    }

    fn secret(field: Option<&str>) -> PasswordRef {
        let id = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-AbCdEf";
        PasswordRef::Secret { id: id.into(), field: field.map(str::to_owned) }
    }

    #[tokio::test]
    async fn a_secret_is_fetched_whole_or_by_field_in_its_own_region() {
        let answer = || Response::json(200, &json!({"SecretString": r#"{"password":"p\u00e4ss"}"#}).to_string());
        let (password, asked) = fetched(answer(), secret(Some("password"))).await;
        assert_eq!(password.unwrap().unwrap().text(), "päss");
        let request = &asked.requests()[0];
        assert!(request.head.contains("x-amz-target: secretsmanager.GetSecretValue"), "{}", request.head);
        assert!(request.head.contains("/eu-west-1/secretsmanager/aws4_request"), "{}", request.head);
        let (password, _) = fetched(answer(), secret(None)).await;
        assert_eq!(password.unwrap().unwrap().text(), r#"{"password":"p\u00e4ss"}"#);
        let (password, _) = fetched(answer(), secret(Some("passwort"))).await;
        let refused = password.unwrap_err();
        assert!(refused.to_string().contains("no JSON object with a text in `passwort`"), "{refused}");
        assert!(!refused.to_string().contains("00e4"), "{refused}");
    }

    #[tokio::test]
    async fn a_parameter_is_fetched_decrypted() {
        let answer = Response::json(200, r#"{"Parameter":{"Name":"/shop","Value":"pass"}}"#);
        let (password, asked) = fetched(answer, PasswordRef::Parameter("/shop".into())).await;
        assert_eq!(password.unwrap().unwrap().text(), "pass");
        let request = &asked.requests()[0];
        assert!(request.head.contains("x-amz-target: AmazonSSM.GetParameter"), "{}", request.head);
        assert_eq!(
            serde_json::from_str::<Value>(&request.body).unwrap(),
            json!({"Name": "/shop", "WithDecryption": true})
        );
    }

    #[tokio::test]
    async fn what_a_vault_refuses_is_denied() {
        let answer = Response::json(400, r#"{"__type":"ResourceNotFoundException","message":"no such secret"}"#);
        let refused = fetched(answer, secret(None)).await.0.unwrap_err();
        assert!(matches!(&refused, DatabaseError::Denied(_)), "{refused:?}");
        assert!(refused.to_string().starts_with("connection `shop`: its password in the secret `arn:"), "{refused}");
    }

    #[tokio::test]
    async fn a_file_has_it_in_its_first_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "pa ss \n\n").unwrap();
        let at = PasswordRef::File(file.path().into());
        let password = Vaults::default().password("shop", &at).await.unwrap().unwrap();
        assert_eq!((password.text(), format!("{password:?}").as_str()), ("pa ss ", "Password(..)"));
        let at = PasswordRef::File("/nowhere/password".into());
        let refused = Vaults::default().password("shop", &at).await.unwrap_err().to_string();
        assert!(refused.contains("connection `shop`: its password in /nowhere/password: No such file"), "{refused}");
        let at = PasswordRef::Variable("GRISTMILL_NO_SUCH_VARIABLE".into());
        let refused = Vaults::default().password("shop", &at).await.unwrap_err().to_string();
        assert!(refused.contains("`GRISTMILL_NO_SUCH_VARIABLE`, which should have its password, is not set"));
    }
}
