//! Reading a [`Node`] as what it should be. Everything here that returns `None` has noted what is wrong, and where.

use std::ops::Range;

use serde_json::Value;

use super::findings::nearest;
use super::tree::{Entry, Kind, Node};

/// A key that a table may have, and its value if it is there.
pub(super) struct Slot<'n> {
    table: &'n Node<'n>,
    name: &'static str,
    entry: Option<&'n Entry<'n>>,
}

/// Takes the keys that a table may have, by their names: `keys!(let { name, columns } = table)`. Every other key is noted
/// as unknown, so that this list is the only one.
macro_rules! keys {
    (let { $($name:ident),* $(,)? } = $node:expr) => {
        let [$($name),*] = $node.keys([$(stringify!($name)),*]);
    };
}
pub(super) use keys;

impl<'r> Node<'r> {
    /// See [`keys!`]. A value that is no table is noted, and has none of the keys.
    pub(super) fn keys<'n, const N: usize>(&'n self, names: [&'static str; N]) -> [Slot<'n>; N]
    where
        'r: 'n,
    {
        let entries: &[Entry<'_>] = match &self.kind {
            Kind::Table(entries) => entries,
            _ => {
                self.wrong::<()>("a table");
                &[]
            }
        };
        for Entry { name, span, node } in entries.iter().filter(|entry| !names.contains(&entry.name.as_str())) {
            self.reader.note::<()>(&node.place, span, format!("unknown key `{name}`"), nearest(name, names));
        }
        names.map(|name| Slot { table: self, name, entry: entries.iter().find(|entry| entry.name == name) })
    }

    /// Notes what is wrong with this value.
    pub(super) fn note<T>(&self, message: impl Into<String>, help: Option<&str>) -> Option<T> {
        self.reader.note(&self.place, &self.span, message, help.map(str::to_owned))
    }

    /// Notes that this value should be something else.
    pub(super) fn wrong<T>(&self, expected: &str) -> Option<T> {
        let found = match &self.kind {
            Kind::Unusable => return None,
            Kind::Text(text) => format!("the text {text:?}"),
            Kind::Integer(number) => number.to_string(),
            Kind::Float(number) => number.to_string(),
            Kind::Boolean(value) => value.to_string(),
            Kind::Array(_) => "an array".into(),
            Kind::Table(_) => "a table".into(),
        };
        self.note(format!("expected {expected}, found {found}"), None)
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => self.wrong("a text"),
        }
    }

    pub(super) fn array(&self) -> Option<&[Node<'r>]> {
        match &self.kind {
            Kind::Array(elements) => Some(elements),
            _ => self.wrong("an array"),
        }
    }

    /// The elements of an array, each read by `read`; all wrong ones are noted.
    pub(super) fn list<T>(&self, read: impl Fn(&Node<'r>) -> Option<T>) -> Option<Vec<T>> {
        let elements: Vec<Option<T>> = self.array()?.iter().map(read).collect();
        elements.into_iter().collect()
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.kind {
            Kind::Boolean(value) => Some(value),
            _ => self.wrong("true or false"),
        }
    }

    pub(super) fn integer<N: TryFrom<i64>>(&self, range: Range<i64>, expected: &str) -> Option<N> {
        match self.kind {
            Kind::Integer(number) if range.contains(&number) => N::try_from(number).ok(),
            _ => None,
        }
        .or_else(|| self.wrong(expected))
    }

    /// A percentage, fractions included.
    pub(super) fn percentage(&self) -> Option<f64> {
        let number = match self.kind {
            Kind::Integer(number) => number as f64,
            Kind::Float(number) => number,
            _ => f64::NAN,
        };
        if (0.0..=100.0).contains(&number) { Some(number) } else { self.wrong("a number from 0 to 100") }
    }

    /// One of the given texts.
    pub(super) fn choice<T: Clone>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        choices.iter().find(|(name, _)| *name == text).map(|(_, value)| value.clone()).or_else(|| {
            let help = nearest(text, choices.iter().map(|(name, _)| *name));
            self.note(format!("`{text}` is not a valid value"), help.as_deref())
        })
    }

    /// The value as JSON.
    pub(super) fn json(&self) -> Option<Value> {
        Some(match &self.kind {
            Kind::Text(text) => Value::String(text.clone()),
            Kind::Integer(number) => Value::from(*number),
            Kind::Float(number) if number.is_finite() => Value::from(*number),
            Kind::Float(_) => return self.wrong("a finite number (JSON has no other)"),
            Kind::Boolean(value) => Value::Bool(*value),
            Kind::Array(_) => Value::Array(self.list(Node::json)?),
            Kind::Table(entries) => {
                let fields: Vec<_> =
                    entries.iter().map(|entry| Some((entry.name.clone(), entry.node.json()?))).collect();
                Value::Object(fields.into_iter().collect::<Option<_>>()?)
            }
            Kind::Unusable => return None,
        })
    }
}

impl<'n> Slot<'n> {
    /// The value, or a note that it is missing.
    pub(super) fn required<T>(&self, read: impl FnOnce(&'n Node<'n>) -> Option<T>) -> Option<T> {
        match self.entry {
            Some(entry) => read(&entry.node),
            None if !matches!(self.table.kind, Kind::Table(_)) => None,
            None => self.table.note(format!("the key `{}` is missing", self.name), None),
        }
    }

    /// The value, or the default when the key is not there.
    pub(super) fn or<T>(&self, default: T, read: impl FnOnce(&'n Node<'n>) -> Option<T>) -> Option<T> {
        self.entry.map_or(Some(default), |entry| read(&entry.node))
    }

    /// The value when the key is there; the outer `None` is a value that was noted.
    #[expect(clippy::option_option, reason = "absent and wrong are different things")]
    pub(super) fn optional<T>(&self, read: impl FnOnce(&'n Node<'n>) -> Option<T>) -> Option<Option<T>> {
        self.entry.map_or(Some(None), |entry| read(&entry.node).map(Some))
    }

    pub(super) fn node(&self) -> Option<&'n Node<'n>> {
        self.entry.map(|entry| &entry.node)
    }

    /// Notes the key as one that does not belong here, if it is there.
    pub(super) fn refuse(&self, message: &str) {
        if let Some(entry) = self.entry {
            self.table.reader.note::<()>(&entry.node.place, &entry.span, message, None);
        }
    }
}
