//! Questions to a database whose answers are texts.

use async_trait::async_trait;

/// A row of an answer.
pub type Texts = Vec<Option<String>>;

/// The database did not answer as it should.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SourceError {
    /// It will refuse the next time too, until somebody changes something.
    #[error("{0}")]
    Refused(String),
    /// It may be another time.
    #[error("{0}")]
    Unavailable(String),
}

/// Who answers.
#[async_trait]
pub trait Ask: Send + Sync {
    /// The rows of a statement all of whose columns and parameters are texts.
    async fn ask(&self, statement: &str, parameters: &[String]) -> Result<Vec<Texts>, SourceError>;
}

/// The one value of an answer; none where it is null or there is no row.
pub async fn value(source: &dyn Ask, statement: &str, parameters: &[String]) -> Result<Option<String>, SourceError> {
    let rows = source.ask(statement, parameters).await?;
    Ok(rows.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
}

/// The answer is none that the question can have.
pub fn senseless(what: &str, answer: Option<&str>) -> SourceError {
    let answer = answer.unwrap_or("nothing");
    SourceError::Refused(format!("the database was asked for {what} and answered {answer}: is it PostgreSQL?"))
}
