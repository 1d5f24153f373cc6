//! The places of one run: each [`Prefix`] with the run's values in it.
//!
//! A worker learns these values from the batch's message: it never sees the execution's input.

use std::collections::BTreeMap;

use serde_json::Value;

use super::path::Path;
use super::{Dataset, Format, Prefix, Scope, Target, TemplateError, TextCompression, limits};
use crate::object::{Location, ObjectError};

/// What a run's placeholders stand for, by the names of [`Path::name`].
pub type RunValues = BTreeMap<String, Value>;

/// Why a run has no such place. Nothing is then written elsewhere instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPlace {
    /// The message does not say what a placeholder stands for.
    #[error("`{{{0}}}` of `{1}` is not in the message: generate the state machine again with `gristmill asl`")]
    Unknown(String, String),
    /// A value that would lead elsewhere.
    #[error("`{{{path}}}` of `{prefix}` is {found}: {why}")]
    Value {
        /// The placeholder's path.
        path: String,
        /// The template.
        prefix: String,
        /// The value.
        found: Value,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Each value is valid by itself, but together they form no valid place.
    #[error("`{0}`: {1}")]
    NoPlace(String, String),
    /// Two outputs, told apart by their templates, go to one place with these values.
    #[error("`{0}` and `{1}` both go to {2} with these values")]
    Same(String, String, Location),
}

impl Dataset {
    /// The placeholders of all places, once each: what a batch's message has to bring.
    pub(crate) fn run_paths(&self) -> Vec<Path> {
        let outputs = self.outputs.iter().filter_map(|output| match &output.target {
            Target::Objects { prefix, .. } => Some(prefix),
            Target::Table { .. } => None,
        });
        let places = outputs.chain(&self.map.reports).chain(&self.map.result_writer);
        let templates = places.filter_map(|place| match place {
            Prefix::Of(template) => template.paths().ok(),
            Prefix::Fixed(_) => None,
        });
        let by_name: BTreeMap<String, Path> = templates.flatten().map(|path| (path.name(), path)).collect();
        by_name.into_values().collect()
    }

    /// What the placeholders of all places stand for.
    pub fn run_values(&self, scope: &Scope<'_>) -> Result<RunValues, TemplateError> {
        let value = |path: Path| {
            let found = path.of(scope).ok_or_else(|| TemplateError::Missing { path: path.to_string() })?;
            let found = serde_json::from_str(found.get()).map_err(|error| TemplateError::Broken(error.to_string()))?;
            Ok((path.name(), found))
        };
        self.run_paths().into_iter().map(value).collect()
    }

    /// The dataset of one run: every place that its worker writes to without placeholders.
    pub fn placed(&self, values: &RunValues) -> Result<Self, BadPlace> {
        let mut placed = self.clone();
        for output in &mut placed.outputs {
            if let Target::Objects { prefix, .. } = &mut output.target {
                *prefix = Prefix::Fixed(prefix.resolve(values)?);
            }
        }
        for place in [&mut placed.map.reports, &mut placed.map.result_writer].into_iter().flatten() {
            *place = Prefix::Fixed(place.resolve(values)?);
        }
        for (n, output) in placed.outputs.iter().enumerate() {
            let Target::Objects { prefix: Prefix::Fixed(at), .. } = &output.target else { continue };
            let same = placed.outputs[..n].iter().find(|other| other.target.is_same_place(&output.target));
            let other = same.map(|other| other.name.as_str());
            if let Some(other) = other.or(placed.reports_beside(&output.target).then_some("reports")) {
                return Err(BadPlace::Same(other.into(), output.name.clone(), at.clone()));
            }
        }
        Ok(placed)
    }

    /// Whether the batches' reports and this output's objects would have the same names.
    pub(super) fn reports_beside(&self, target: &Target) -> bool {
        let Target::Objects { prefix, format: Format::JsonLines(TextCompression::None), .. } = target else {
            return false;
        };
        self.map.reports.as_ref() == Some(prefix)
    }
}

impl Prefix {
    /// The place of the run with these values.
    pub fn resolve(&self, values: &RunValues) -> Result<Location, BadPlace> {
        let template = match self {
            Self::Fixed(place) => return Ok(place.clone()),
            Self::Of(template) => template,
        };
        let malformed = |error: TemplateError| BadPlace::NoPlace(self.to_string(), error.to_string());
        let mut filled = BTreeMap::new();
        for path in template.paths().map_err(malformed)? {
            let value = values.get(&path.name());
            let value = value.ok_or_else(|| BadPlace::Unknown(path.to_string(), self.to_string()))?;
            let text = one_name(value).map_err(|why| BadPlace::Value {
                path: path.to_string(),
                prefix: self.to_string(),
                found: value.clone(),
                why,
            })?;
            filled.insert(path.to_string(), text);
        }
        let uri =
            template.fill(|path| filled.get(&path.to_string()).cloned().unwrap_or_default()).map_err(malformed)?;
        let no_place = |why| BadPlace::NoPlace(self.to_string(), why);
        let place: Location = uri.parse().map_err(|error: ObjectError| no_place(error.to_string()))?;
        match limits::prefix(&Self::Fixed(place.clone())) {
            Some((why, _)) => Err(no_place(why)),
            None => Ok(place),
        }
    }
}

/// Turns a value into one part of a key. It must neither add a level nor lead out of the prefix.
fn one_name(value: &Value) -> Result<String, &'static str> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            return Err("a number in a place is whole and fits 64 bits: give it as a text");
        }
        Value::Number(number) => number.to_string(),
        _ => return Err("only a text or a number can stand in a place"),
    };
    match text.as_str() {
        "" => Err("an empty text would be another place"),
        "." | ".." => Err("`.` and `..` are no names"),
        name if name.contains('/') => Err("a `/` in it would be another place"),
        name if name.chars().any(char::is_control) => Err("a place has no control characters"),
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dataset::Variables;

    fn dataset(outputs: &str) -> Dataset {
        let text = format!("dataset = 'd'\nplugin.component = 'p'\nmap.items = []\n{outputs}");
        Dataset::parse(&text, std::path::Path::new("d.toml"), &Variables::default()).unwrap()
    }

    fn scope(input: Value, context: Value) -> Scope<'static> {
        Scope::of_values(&input, &context).unwrap()
    }

    const DAILY: &str = "map.reports = 's3://b/reports/{$$.Execution.Name}/'\n[[output]]\nname = 'a'\n\
                         prefix = 's3://b/{$.day}-{$.n}/x/'\nformat = 'csv'\n";

    fn placed(day: Value) -> Result<String, String> {
        let dataset = dataset(DAILY);
        let context = json!({"Execution": {"Name": "run-1"}});
        let values =
            dataset.run_values(&scope(json!({"day": day, "n": 7}), context)).map_err(|error| error.to_string())?;
        let placed = dataset.placed(&values).map_err(|error| error.to_string())?;
        let Target::Objects { prefix, .. } = &placed.outputs[0].target else { unreachable!() };
        Ok(format!("{prefix} {}", placed.map.reports.unwrap()))
    }

    #[test]
    fn a_run_has_places_of_its_own() {
        assert_eq!(placed(json!("2024-01-31")).unwrap(), "s3://b/2024-01-31-7/x/ s3://b/reports/run-1/");
        let names: Vec<_> = dataset(DAILY).run_paths().iter().map(Path::name).collect();
        assert_eq!(names, ["context.Execution.Name", "input.day", "input.n"]);
    }

    #[test]
    fn a_value_never_leads_elsewhere() {
        for bad in ["", "a/b", "/", "..", ".", "a\nb", "../x"] {
            let why = placed(json!(bad)).unwrap_err();
            assert!(why.starts_with("`{$.day}` of `s3://b/{$.day}-{$.n}/x/` is "), "{bad:?}: {why}");
        }
        assert!(placed(json!(0.5)).unwrap_err().contains("a number in a place is whole"));
        for bad in [json!(null), json!(true), json!(["x"]), json!({})] {
            assert!(placed(bad.clone()).unwrap_err().contains("only a text or a number"), "{bad}");
        }
        assert!(placed(json!("x".repeat(1100))).unwrap_err().contains("1,024"));
        let two = dataset("[[output]]\nname = 'a'\nprefix = 's3://b/{$.x}{$.y}/'\nformat = 'csv'");
        let dots = two.run_values(&scope(json!({"x": ".a", "y": "b."}), Value::Null)).unwrap();
        assert!(two.placed(&dots).is_ok());
        let values = RunValues::from([("input.x".into(), json!("a"))]);
        assert!(two.placed(&values).unwrap_err().to_string().contains("generate the state machine again"));
    }

    #[test]
    fn outputs_do_not_meet_in_one_place() {
        let output =
            |name: &str| format!("[[output]]\nname = '{name}'\nprefix = 's3://b/{{$.{name}}}/'\nformat = 'csv'\n");
        let dataset = dataset(&(output("x") + &output("y")));
        let placed = |x: &str, y: &str| {
            dataset.placed(&dataset.run_values(&scope(json!({"x": x, "y": y}), Value::Null)).unwrap())
        };
        assert!(placed("1", "2").is_ok());
        assert_eq!(placed("1", "1").unwrap_err().to_string(), "`x` and `y` both go to s3://b/1/ with these values");
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_value_is_the_place_is_below_the_text_before_it(day in ".{0,12}") {
            if let Ok(places) = placed(Value::String(day.clone())) {
                let place = format!("s3://b/{day}-7/x/ ");
                proptest::prop_assert!(places.starts_with(&place));
                proptest::prop_assert!(!day.is_empty() && !day.contains('/') && day != ".." && day != ".");
            }
        }
    }
}
