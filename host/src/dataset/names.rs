//! What a dataset and an output may be called.

/// The rule of [`is_name`], for people.
pub(super) const NAME_RULE: &str = "a name is 1 to 63 letters, digits, `_` and `-`, and starts with a letter or digit";

pub(crate) fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}
