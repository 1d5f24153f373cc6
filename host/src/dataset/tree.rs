//! A TOML text as a tree of values with their places, variables put in.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;

use toml_edit::{Document, Item, TableLike};

use super::Variables;
use super::findings::{Finding, Place, Position};

/// A file that is being read, and what was found wrong so far.
pub(super) struct Reader<'f> {
    file: &'f Path,
    text: &'f str,
    findings: RefCell<Vec<Finding>>,
}

impl<'f> Reader<'f> {
    pub(super) fn new(file: &'f Path, text: &'f str) -> Self {
        Self { file, text, findings: RefCell::default() }
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

    /// Everything that is wrong, in the file's order.
    pub(super) fn finish(self) -> Vec<Finding> {
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|finding| finding.position);
        findings
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
            Item::None => Node { reader: self, place, span: near, kind: Kind::Unusable },
            Item::Value(value) => self.value(value, place, near, variables),
            Item::Table(table) => self.table(table, place, table.span().unwrap_or(near), variables),
            Item::ArrayOfTables(tables) => {
                let span = tables.span().unwrap_or(near);
                let tables = tables.iter().enumerate().map(|(n, table)| {
                    self.table(table, place.index(n), table.span().unwrap_or(span.clone()), variables)
                });
                Node { reader: self, kind: Kind::Array(tables.collect()), place: place.clone(), span: span.clone() }
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
        Node { reader: self, place, span, kind }
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
            Entry { name: name.into(), node: self.item(item, place.key(name), key.clone(), variables), span: key }
        });
        Node { reader: self, kind: Kind::Table(entries.collect()), place: place.clone(), span: span.clone() }
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
