//! A TOML text as a tree of values with their places, variables put in. What it holds is read through [`Table`] and
//! [`Node`], which note what is wrong instead of stopping at it.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;

use serde_json::Value;
use toml_edit::{Document, Item, TableLike};

use super::Variables;
use super::findings::{Finding, Findings, Place, Position, nearest};

/// A file that is being read, and what was found wrong so far.
pub(super) struct Reader<'f> {
    file: &'f Path,
    text: &'f str,
    findings: RefCell<Vec<Finding>>,
}

impl<'f> Reader<'f> {
    pub(super) fn new(file: &'f Path, text: &'f str) -> Self {
        Self {
            file,
            text,
            findings: RefCell::default(),
        }
    }

    /// Notes what is wrong at a place. Returns nothing, for the value that is not there.
    pub(super) fn note<T>(
        &self,
        place: &Place,
        at: &Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Option<T> {
        self.findings.borrow_mut().push(Finding {
            file: self.file.into(),
            position: Some(Position::of(self.text, at.start)),
            place: place.clone(),
            message: message.into(),
            help,
        });
        None
    }

    /// The value, or everything that is wrong.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Findings> {
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|finding| finding.position);
        match value {
            Some(value) if findings.is_empty() => Ok(value),
            _ => Err(Findings(findings)),
        }
    }

    /// Reads the text. With `variables`, every `${NAME}` in it is put in; one that is not set makes its text unusable.
    pub(super) fn parse(&self, variables: Option<&Variables>) -> Option<Node<'_>> {
        let document = match Document::parse(self.text) {
            Ok(document) => document,
            Err(error) => {
                let message = format!("this is not TOML: {}", error.message().trim().replace('\n', ", "));
                return self.note(&Place::default(), &error.span().unwrap_or_default(), message, None);
            }
        };
        Some(self.table(document.as_table(), Place::default(), 0..0, variables))
    }

    fn item(&self, item: &Item, place: Place, near: Range<usize>, variables: Option<&Variables>) -> Node<'_> {
        match item {
            Item::None => Node {
                reader: self,
                place,
                span: near,
                kind: Kind::Unusable,
            },
            Item::Value(value) => self.value(value, place, near, variables),
            Item::Table(table) => self.table(table, place, table.span().unwrap_or(near), variables),
            Item::ArrayOfTables(tables) => {
                let span = tables.span().unwrap_or(near);
                let tables = tables.iter().enumerate().map(|(n, table)| {
                    self.table(table, place.index(n), table.span().unwrap_or(span.clone()), variables)
                });
                Node {
                    reader: self,
                    kind: Kind::Array(tables.collect()),
                    place: place.clone(),
                    span: span.clone(),
                }
            }
        }
    }

    fn value(
        &self,
        value: &toml_edit::Value,
        place: Place,
        near: Range<usize>,
        variables: Option<&Variables>,
    ) -> Node<'_> {
        use toml_edit::Value;
        let span = value.span().unwrap_or(near);
        let kind = match value {
            Value::String(text) => match variables.map(|known| known.expand(text.value())) {
                None => Kind::Text(text.value().clone()),
                Some(Ok(expanded)) => Kind::Text(expanded),
                Some(Err(errors)) => {
                    for error in errors {
                        self.note::<()>(&place, &span, error.to_string(), Some(error.help()));
                    }
                    Kind::Unusable
                }
            },
            Value::Integer(number) => Kind::Integer(*number.value()),
            Value::Float(number) => Kind::Float(*number.value()),
            Value::Boolean(value) => Kind::Boolean(*value.value()),
            // JSON has no dates: they become the text that they were written as.
            Value::Datetime(datetime) => Kind::Text(datetime.value().to_string()),
            Value::InlineTable(table) => return self.table(table, place, span, variables),
            Value::Array(elements) => {
                let elements = elements.iter().enumerate();
                let elements = elements.map(|(n, value)| self.value(value, place.index(n), span.clone(), variables));
                Kind::Array(elements.collect())
            }
        };
        Node {
            reader: self,
            place,
            span,
            kind,
        }
    }

    fn table(
        &self,
        table: &dyn TableLike,
        place: Place,
        span: Range<usize>,
        variables: Option<&Variables>,
    ) -> Node<'_> {
        let entries = table.iter().map(|(name, item)| {
            let key = table.key(name).and_then(toml_edit::Key::span).unwrap_or(span.clone());
            Entry {
                name: name.into(),
                node: self.item(item, place.key(name), key.clone(), variables),
                span: key,
            }
        });
        Node {
            reader: self,
            kind: Kind::Table(entries.collect()),
            place: place.clone(),
            span: span.clone(),
        }
    }
}

/// A value at a place.
pub(super) struct Node<'r> {
    pub(super) reader: &'r Reader<'r>,
    pub(super) place: Place,
    pub(super) span: Range<usize>,
    pub(super) kind: Kind<'r>,
}

pub(super) enum Kind<'r> {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Array(Vec<Node<'r>>),
    Table(Vec<Entry<'r>>),
    /// What is wrong with it has been noted.
    Unusable,
}

/// A key of a table.
pub(super) struct Entry<'r> {
    pub(super) name: String,
    pub(super) span: Range<usize>,
    pub(super) node: Node<'r>,
}

/// A key that a table may have, there or not.
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
    /// See [`keys!`]. A value that is no table has none of the keys, and is noted.
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
            self.reader
                .note::<()>(&node.place, span, format!("unknown key `{name}`"), nearest(name, names));
        }
        names.map(|name| Slot {
            table: self,
            name,
            entry: entries.iter().find(|entry| entry.name == name),
        })
    }

    /// Notes what is wrong with this value.
    pub(super) fn note<T>(&self, message: impl Into<String>, help: Option<&str>) -> Option<T> {
        self.reader
            .note(&self.place, &self.span, message, help.map(str::to_owned))
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
        if (0.0..=100.0).contains(&number) {
            Some(number)
        } else {
            self.wrong("a number from 0 to 100")
        }
    }

    /// One of the given texts.
    pub(super) fn choice<T: Clone>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        choices
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, value)| value.clone())
            .or_else(|| {
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
                let fields: Vec<_> = entries
                    .iter()
                    .map(|entry| Some((entry.name.clone(), entry.node.json()?)))
                    .collect();
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
            self.table
                .reader
                .note::<()>(&entry.node.place, &entry.span, message, None);
        }
    }
}
