//! The one reading of a template's text: into what stands in it, and its placeholders.

use super::error::TemplateError;
use crate::dataset::path::Path;

/// A piece of a string.
pub(super) enum Part<'t> {
    Text(&'t str),
    Field(Path),
}

/// Splits a text into what stands in it and the placeholders.
pub(super) fn parts(text: &str) -> Result<Vec<Part<'_>>, TemplateError> {
    if let Some(help) = meant_otherwise(text) {
        return Err(TemplateError::NoPlaceholder { text: text.into(), help });
    }
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find("{$") {
        if at > 0 {
            parts.push(Part::Text(&rest[..at]));
        }
        let malformed = |reason| TemplateError::Malformed { text: text.into(), reason };
        let (path, after) = Path::parse_prefix(&rest[at + 1..]).map_err(malformed)?;
        rest = after.strip_prefix('}').ok_or_else(|| malformed(format!("`}}` is missing after `{path}`")))?;
        parts.push(Part::Field(path));
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

/// Finds syntax that Step Functions knows and a template does not: JSONata, bare paths, intrinsic functions. Returns what to
/// write instead.
fn meant_otherwise(text: &str) -> Option<String> {
    let trimmed = text.trim();
    if let Some(inner) = trimmed.strip_prefix("{%") {
        let path = inner.trim_end_matches("%}").trim();
        let path = path.strip_prefix("$states.input").or_else(|| path.strip_prefix("$states.context"));
        let path = path.filter(|path| path.starts_with('.')).unwrap_or(".field");
        return Some(format!("templates are JSONPath and not JSONata; a field of the input is written `{{${path}}}`"));
    }
    if let Ok((path, "")) = Path::parse_prefix(trimmed)
        && !path.is_root()
    {
        return Some(format!("a field is written in braces, `{{{path}}}`"));
    }
    if let Some((function, _)) = trimmed.split_once('(')
        && let Some(name) = function.strip_prefix("States.")
        && trimmed.ends_with(')')
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return Some(format!(
            "`{function}` is not evaluated; write the text with its fields in braces, `a/{{$.field}}`"
        ));
    }
    if text.starts_with("s3://")
        && let Some(path) = text.match_indices("$.").find_map(|(at, _)| {
            let bare = !text[..at].ends_with(['{', '$']);
            Path::parse_prefix(&text[at..]).ok().filter(|_| bare).map(|(path, _)| path)
        })
    {
        return Some(format!("a field is written in braces, `{{{path}}}`"));
    }
    let blanks = text.match_indices('{').find_map(|(at, _)| {
        let after = &text[at + 1..];
        let path = after.trim_start();
        let (path, rest) = Path::parse_prefix(path).ok().filter(|_| after.starts_with([' ', '\t']))?;
        rest.trim_start().starts_with('}').then_some(path)
    });
    blanks.map(|path| format!("a field is written without blanks in the braces, `{{{path}}}`"))
}
