//! `${NAME}` in a dataset file: what differs between a laptop, a test account and production.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::nearest;

/// The values of `${NAME}`: `--set NAME=VALUE` before the environment.
#[derive(Clone, Debug, Default)]
pub struct Variables(pub BTreeMap<String, String>);

/// Why a text could not be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// Nobody said what `${NAME}` is.
    #[error("`${{{0}}}` is not set")]
    Unset(String),
    /// `${` without a name and `}`.
    #[error("`{0}` is no variable")]
    Malformed(String),
    /// The value in a bucket's place is more than a bucket's name.
    #[error("`${{{name}}}` is `{value}`, and stands where a bucket's name alone can stand")]
    NoBucket {
        /// The variable.
        name: String,
        /// Its value.
        value: String,
    },
}

impl VariableError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Unset(name) => format!("give `--set {name}=...`, or set the environment variable `{name}`"),
            Self::Malformed(_) => {
                "a variable is `${NAME}`, of letters, digits and `_`; a literal `${` is written `$${`".into()
            }
            Self::NoBucket { name, value } => {
                let value = value.trim();
                format!("give `--set {name}={}`", value.strip_prefix("s3://").unwrap_or(value).trim_matches('/'))
            }
        }
    }
}

impl Variables {
    /// What was given on the command line, over the environment.
    pub fn new(
        set: impl IntoIterator<Item = (String, String)>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        Self(environment.into_iter().chain(set).collect())
    }

    /// [`Self::new`] over this process's environment. Variables that are not UTF-8 count as unset.
    pub fn with_environment(set: impl IntoIterator<Item = (String, String)>) -> Self {
        let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Self::new(set, environment)
    }

    /// Reads the value of `--set`: `NAME=VALUE`. The value may be empty and may hold further `=`.
    pub fn parse_set(text: &str) -> Result<(String, String), String> {
        match text.split_once('=') {
            Some((name, value)) if is_name(name) => Ok((name.into(), value.into())),
            _ => Err(format!("`{text}` is not NAME=VALUE (a name is letters, digits and `_`)")),
        }
    }

    /// Gives every unset variable of the text a stand-in: its own name, in a form that a bucket may have. For checking a dataset
    /// whose values nobody knows yet. Also returns the names of these variables.
    pub fn stand_in(mut self, text: &str) -> (Self, Vec<String>) {
        let mut names = Vec::new();
        for error in self.expand(text).err().unwrap_or_default() {
            if let VariableError::Unset(name) = error
                && !self.0.contains_key(&name)
            {
                self.0.insert(name.clone(), name.to_ascii_lowercase().replace('_', "-"));
                names.push(name);
            }
        }
        (self, names)
    }

    /// A sentence about the first of these names that the text does not use.
    pub fn without_place<'n>(names: impl IntoIterator<Item = &'n str>, text: &str) -> Option<String> {
        let name = names.into_iter().find(|name| !text.contains(&format!("${{{name}}}")))?;
        let places = text.split("${").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).filter(|it| is_name(it));
        let places: BTreeSet<&str> = places.collect();
        let help = nearest(name, places).unwrap_or_else(|| "it has no variables".into());
        Some(format!("there is no `${{{name}}}` in it: {help}"))
    }

    /// Puts in the values; all errors at once. `$${` stands for `${`. A value is taken as it is, not expanded again.
    pub fn expand(&self, text: &str) -> Result<String, Vec<VariableError>> {
        let (mut expanded, mut errors, mut rest) = (String::with_capacity(text.len()), Vec::new(), text);
        while let Some(at) = rest.find("${") {
            let (before, from) = (&rest[..at], &rest[at..]);
            if let Some(literal) = before.strip_suffix('$') {
                expanded.push_str(literal);
                expanded.push_str("${");
                rest = &from[2..];
                continue;
            }
            expanded.push_str(before);
            let inside = from[2..].split_once('}').filter(|(name, _)| is_name(name));
            let Some((name, after)) = inside else {
                let shown = from.find('}').map_or(from, |end| &from[..=end]);
                errors.push(VariableError::Malformed(shown.into()));
                rest = &from[2..];
                continue;
            };
            match self.0.get(name) {
                Some(value) if before.ends_with("s3://") && spoils_bucket(value, after) => {
                    errors.push(VariableError::NoBucket { name: name.into(), value: value.clone() });
                }
                Some(value) => expanded.push_str(value),
                None => errors.push(VariableError::Unset(name.into())),
            }
            rest = after;
        }
        expanded.push_str(rest);
        if errors.is_empty() { Ok(expanded) } else { Err(errors) }
    }
}

/// Whether a value after `s3://` would make the URI mean another place: it repeats the scheme, has a slash too many, or has
/// blanks or line ends around it. `bucket/prefix` is fine.
fn spoils_bucket(value: &str, after: &str) -> bool {
    value.contains("://")
        || value.starts_with('/')
        || value.ends_with('/') && after.starts_with('/')
        || value.trim() != value
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    fn variables() -> Variables {
        Variables::new([pair("A", "set")], [pair("A", "environment"), pair("B", "${A}"), pair("EMPTY", "")])
    }

    #[test]
    fn the_command_line_wins_and_values_are_not_expanded_again() {
        assert_eq!(variables().expand("s3://${A}/${B}/${EMPTY}.").unwrap(), "s3://set/${A}/.");
    }

    #[test]
    fn what_has_no_value_can_stand_for_itself() {
        let (variables, names) = variables().stand_in("${A} ${DATA_BUCKET} ${DATA_BUCKET}/${X} ${");
        assert_eq!(names, ["DATA_BUCKET", "X"]);
        assert_eq!(variables.expand("s3://${DATA_BUCKET}/${A}").unwrap(), "s3://data-bucket/set");
    }

    #[test]
    fn what_is_set_has_a_place() {
        let say = |names: &[&str], text: &str| Variables::without_place(names.iter().copied(), text);
        assert_eq!(say(&["A", "B"], "s3://${A}/${B}"), None);
        assert_eq!(
            say(&["A", "BUKET"], "${A} ${BUCKET}").unwrap(),
            "there is no `${BUKET}` in it: did you mean `BUCKET`?"
        );
        assert_eq!(
            say(&["XYZZY"], "${BUCKET} ${TABLE}").unwrap(),
            "there is no `${XYZZY}` in it: valid here: `BUCKET`, `TABLE`"
        );
        assert_eq!(say(&["A"], "a = 1").unwrap(), "there is no `${A}` in it: it has no variables");
    }

    #[test]
    fn a_doubled_dollar_is_a_literal() {
        assert_eq!(variables().expand("$${A} $$ $ {A} $").unwrap(), "${A} $$ $ {A} $");
    }

    #[test]
    fn all_errors_come_at_once() {
        let errors = variables().expand("${X} ${A} ${Y} ${$.z} ${open").unwrap_err();
        assert_eq!(
            errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["`${X}` is not set", "`${Y}` is not set", "`${$.z}` is no variable", "`${open` is no variable"]
        );
        assert_eq!(errors[0].help(), "give `--set X=...`, or set the environment variable `X`");
    }

    #[test]
    fn a_bucket_is_its_name_alone() {
        for value in ["s3://x", "s3://x/", "x/", "/x", "x\r\n", " x"] {
            let variables = Variables::new([pair("BUCKET", value)], []);
            let errors = variables.expand("s3://${BUCKET}/csv/").unwrap_err();
            let named = format!("`${{BUCKET}}` is `{value}`, and stands where a bucket's name alone can stand");
            assert_eq!((errors[0].to_string(), errors[0].help()), (named, "give `--set BUCKET=x`".into()));
            assert_eq!(variables.expand("is ${BUCKET}").unwrap(), format!("is {value}"), "anything elsewhere");
        }
        let variables = Variables::new([pair("PLACE", "x/y"), pair("DIR", "x/")], []);
        assert_eq!(variables.expand("s3://${PLACE}/csv s3://${DIR}csv").unwrap(), "s3://x/y/csv s3://x/csv");
    }

    #[test]
    fn set_takes_name_and_value() {
        assert_eq!(Variables::parse_set("A=b=c").unwrap(), pair("A", "b=c"));
        assert_eq!(Variables::parse_set("A=").unwrap(), pair("A", ""));
        for wrong in ["A", "=b", "a-b=c", "1A=c", ""] {
            assert!(Variables::parse_set(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_text_without_variables_stays(text in "[^$]*") {
            prop_assert_eq!(variables().expand(&text).unwrap(), text);
        }

        #[test]
        fn no_text_panics(text in "[${}A-C_. ]*") {
            let _ = variables().expand(&text);
        }
    }
}
