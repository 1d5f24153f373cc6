//! PostgreSQL answers in texts.

use async_trait::async_trait;

use super::ask::{Ask, SourceError, Texts};
use crate::database::{Database, DatabaseError, Value};

#[async_trait]
impl Ask for Database {
    async fn ask(&self, statement: &str, parameters: &[String]) -> Result<Vec<Texts>, SourceError> {
        let parameters: Vec<Value> = parameters.iter().cloned().map(Value::Text).collect();
        let rows = Self::ask(self, statement, &parameters).await?;
        let texts = rows.iter().map(|row| (0..row.len()).map(|column| row.try_get(column)).collect());
        texts.collect::<Result<_, _>>().map_err(|error| SourceError::Refused(error.to_string()))
    }
}

impl From<DatabaseError> for SourceError {
    fn from(error: DatabaseError) -> Self {
        match error.is_passing() {
            true => Self::Unavailable(error.to_string()),
            false => Self::Refused(error.to_string()),
        }
    }
}
