//! Checks settings against the schema that a plugin brings along. The schema is untrusted: its size is limited before it is
//! compiled, and the runtime applies it in a process that can be stopped.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::findings::nearest;

/// The most complaints that are reported: a schema can be made to contradict one value any number of times.
const MOST_COMPLAINTS: usize = 100;

/// The largest settings schema, in bytes as JSON, and how many references it may hold. A reference's target is compiled and
/// applied again for each reference, so that nested ones multiply and could keep a host busy for years. Sixteen of them allow
/// at most 3^5 ways through the schema, and more only where the settings are nested.
const MAX_SCHEMA_BYTES: usize = 64 << 10;
const MAX_REFERENCES: usize = 16;

/// How many regular expressions it may hold, and how large each may be when it is compiled, in bytes: `\p{L}{400}` has
/// more, `[A-Za-z0-9_-]{1,255}` much less. The engine takes linear time: one that backtracks can be kept busy for ever by
/// thirty characters.
const MAX_PATTERNS: usize = 32;
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// What is wrong with the settings; or what is wrong with the schema itself, as a sentence that goes on after "the schema".
pub type Judgement = Result<Vec<Complaint>, String>;

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// Where, as a JSON pointer into the settings.
    pub pointer: String,
    /// What.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Holds settings against the schema of the plugin of this name.
pub fn judge(plugin: &str, schema: &Value, settings: &Value) -> Judgement {
    bounded(schema)?;
    let patterns = PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES);
    let validator = jsonschema::options().with_pattern_options(patterns).build(schema).map_err(no_schema)?;
    let errors = validator.iter_errors(settings).take(MOST_COMPLAINTS);
    Ok(errors.flat_map(|error| complaints(plugin, schema, &error)).collect())
}

fn complaints(plugin: &str, schema: &Value, error: &ValidationError<'_>) -> Vec<Complaint> {
    let at = error.instance_path().as_str();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let parent = error.schema_path().as_str().rsplit_once('/').map_or("", |(parent, _)| parent);
            let known = schema.pointer(parent).and_then(|schema| schema["properties"].as_object());
            let names = || known.into_iter().flatten().map(|(name, _)| name.as_str());
            let complaint = |name: &String| Complaint {
                pointer: format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")),
                message: format!("the plugin `{plugin}` has no setting `{name}`"),
                help: nearest(name, names()),
            };
            unexpected.iter().map(complaint).collect()
        }
        _ => vec![Complaint { pointer: at.into(), message: cut(error.to_string()), help: None }],
    }
}

fn no_schema(error: ValidationError<'_>) -> String {
    let hint = match error.kind() {
        ValidationErrorKind::Format { format } if format == "regex" => {
            let limit = MAX_PATTERN_BYTES >> 20;
            format!(" here: no look-around, no back-references, and at most {limit} MiB when it is compiled")
        }
        _ => String::new(),
    };
    format!("is not a JSON Schema: {}{hint}", cut(error.to_string()))
}

/// Whether the schema can be applied in bounded time and memory.
fn bounded(schema: &Value) -> Result<(), String> {
    let bytes = schema.to_string().len();
    if bytes > MAX_SCHEMA_BYTES {
        return Err(format!("has {bytes} bytes; at most {MAX_SCHEMA_BYTES}"));
    }
    let references = count(schema, &|name, _| usize::from(["$ref", "$dynamicRef", "$recursiveRef"].contains(&name)));
    if references > MAX_REFERENCES {
        return Err(format!(
            "has {references} references; at most {MAX_REFERENCES}: put what is referred to in its place"
        ));
    }
    let patterns = count(schema, &|name, field| match (name, field) {
        ("pattern", Value::String(_)) => 1,
        ("patternProperties", Value::Object(patterns)) => patterns.len(),
        _ => 0,
    });
    if patterns > MAX_PATTERNS {
        return Err(format!("has {patterns} regular expressions; at most {MAX_PATTERNS}"));
    }
    Ok(())
}

/// Adds up what the fields of all objects within a value count.
fn count(value: &Value, of: &dyn Fn(&str, &Value) -> usize) -> usize {
    match value {
        Value::Array(elements) => elements.iter().map(|element| count(element, of)).sum(),
        Value::Object(fields) => fields.iter().map(|(name, field)| of(name, field) + count(field, of)).sum(),
        _ => 0,
    }
}

/// Shortens a validator's sentence, which quotes the value and the schema however large they are.
fn cut(mut sentence: String) -> String {
    if let Some((end, _)) = sentence.char_indices().nth(500) {
        sentence.truncate(end);
        sentence.push('…');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::*;

    fn refused(schema: &Value) -> String {
        judge("p", schema, &json!({"setting": "a".repeat(40) + "!"})).unwrap_err()
    }

    #[test]
    fn a_schema_that_would_keep_the_host_busy_is_not_applied() {
        let references = |count| json!({"$defs": {"a": true}, "allOf": vec![json!({"$ref": "#/$defs/a"}); count]});
        assert_eq!(judge("p", &references(16), &json!({})), Ok(vec![]));
        assert!(refused(&references(17)).starts_with("has 17 references; at most 16"));
        let large = refused(&json!({"description": "x".repeat(70_000)}));
        assert_eq!(large, "has 70018 bytes; at most 65536");
    }

    #[test]
    fn regular_expressions_are_few_wherever_they_stand() {
        let pattern = |n: usize| json!({"pattern": format!("^(a|a){n}$")});
        let names = |count| json!({"propertyNames": {"allOf": (0..count).map(pattern).collect::<Vec<_>>()}});
        assert!(judge("p", &names(32), &json!({})).is_ok());
        assert_eq!(refused(&names(600)), "has 600 regular expressions; at most 32");
        let properties: serde_json::Map<_, _> = (0..33).map(|n| (format!("^{n}"), json!(true))).collect();
        let nested = json!({"properties": {"a": {"not": {"patternProperties": properties}}}});
        assert_eq!(refused(&nested), "has 33 regular expressions; at most 32");
        // A setting may be called so.
        let named = json!({"properties": {"pattern": {"type": "string"}, "patternProperties": {"type": "string"}}});
        assert_eq!(judge("p", &named, &json!({"pattern": "x"})), Ok(vec![]));
    }

    #[test]
    fn regular_expressions_are_linear_wherever_they_stand() {
        let start = Instant::now();
        // What takes 2^40 steps where an engine backtracks.
        let (bad, long) = ("^(a|a)*$", "a".repeat(40) + "!");
        let settings = json!({"setting": long.clone(), long.clone(): "x"});
        let places = [
            json!({"properties": {"setting": {"pattern": bad}}}),
            json!({"propertyNames": {"pattern": bad}}),
            json!({"patternProperties": {bad: {"type": "string"}}, "additionalProperties": false}),
            json!({"patternProperties": {bad: true}, "unevaluatedProperties": false}),
        ];
        for schema in places {
            assert!(!judge("p", &schema, &settings).unwrap().is_empty(), "{schema}");
        }
        assert!(start.elapsed() < Duration::from_secs(10));
        for pattern in ["(?=a)b", "(a)\\1", "\\p{L}{400}"] {
            for schema in
                [json!({"propertyNames": {"pattern": pattern}}), json!({"patternProperties": {pattern: true}})]
            {
                let why = refused(&schema);
                assert!(why.contains("is not a \"regex\" here: no look-around"), "{schema}: {why}");
            }
        }
        let honest = json!({"propertyNames": {"pattern": "^[A-Za-z0-9_-]{1,255}$"}});
        assert_eq!(judge("p", &honest, &json!({"setting": 1})), Ok(vec![]));
    }
}
