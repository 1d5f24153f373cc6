//! What an item becomes (`ItemSelector`): a value made of the state's input and the context object, item by item.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::reader::Item;
use crate::dataset::{Scope, Template};
use crate::job::item_name;

/// An item selector with all values that it may use.
pub struct Selector<'p> {
    template: &'p Template,
    input: &'p RawValue,
    /// The execution's ARN, until it is in the scope.
    execution: Option<String>,
    scope: Scope<'p>,
}

/// An item selector does not fit an item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the item selector does not fit item {index}{}: {reason}", name.as_deref().map_or_else(String::new, |name| format!(" ({name})")))]
pub struct SelectError {
    /// The item's place in the dataset, from 0.
    pub index: u64,
    /// The item's own name.
    pub name: Option<String>,
    /// What does not fit.
    pub reason: String,
}

/// `$$.Map`, with Step Functions' own names.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MapObject<'i> {
    item: MapItem<'i>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MapItem<'i> {
    index: u64,
    /// Only where items are the fields of an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'i str>,
    value: &'i RawValue,
}

/// `$$.Execution`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Execution<'i> {
    id: &'i str,
    name: &'i str,
    input: &'i RawValue,
}

impl<'p> Selector<'p> {
    /// `input` is what `$` means; `execution` is the execution's ARN. The context object has `Execution` (`Id`, `Name`,
    /// `Input`) and, for each item, `Map.Item` (`Index`, `Value`, and `Key` where items are the fields of an object). It has
    /// no time: an interrupted run that goes on must make the same items.
    pub fn new(template: &'p Template, input: &'p RawValue, execution: &str) -> Self {
        Self { template, input, execution: Some(execution.into()), scope: Scope::new(input) }
    }

    /// Makes the item at this place of the dataset.
    pub fn apply(&mut self, index: u64, item: &Item) -> Result<Box<RawValue>, SelectError> {
        let refuse = |reason: String| {
            let name = item.key.clone().or_else(|| item_name(item.value.get()));
            SelectError { index, name, reason }
        };
        self.look_at(index, item).map_err(|error| refuse(error.to_string()))?;
        self.template.render(&self.scope).map_err(|error| refuse(error.to_string()))
    }

    fn look_at(&mut self, index: u64, item: &Item) -> Result<(), serde_json::Error> {
        if let Some(id) = self.execution.take() {
            self.scope.set_context("Execution", execution(&id, self.input)?);
        }
        let map = MapObject { item: MapItem { index, key: item.key.as_deref(), value: &item.value } };
        self.scope.set_context("Map", to_raw_value(&map)?);
        Ok(())
    }
}

/// The context object's `Execution`, of an execution with this ARN.
pub fn execution(id: &str, input: &RawValue) -> Result<Box<RawValue>, serde_json::Error> {
    to_raw_value(&Execution { id, name: id.rsplit(':').next().unwrap_or_default(), input })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.into()).unwrap()
    }

    fn applied(template: serde_json::Value, input: &str, item: Item) -> Result<String, String> {
        let (template, input) = (Template(template), raw(input));
        let mut selector = Selector::new(&template, &input, "arn:x:execution:d:run");
        let made = selector.apply(7, &item).map_err(|error| error.to_string())?;
        // Nothing of an item is left for the one after.
        assert_eq!(selector.apply(7, &item).unwrap().get(), made.get());
        Ok(made.get().into())
    }

    #[test]
    fn an_item_is_made_of_input_and_context() {
        let template = json!([
            "{$.day}",
            "{$$.Map.Item.Index}",
            "{$$.Map.Item.Value.Key}",
            "{$$.Execution.Name}",
            "{$$.Execution.Input.day}"
        ]);
        let made = applied(template, r#"{"day": "2018-01-01"}"#, raw(r#"{"Key":"a"}"#).into());
        assert_eq!(made.unwrap(), r#"["2018-01-01",7,"a","run","2018-01-01"]"#);
    }

    #[test]
    fn numbers_and_objects_are_taken_as_they_are_written() {
        let template = json!({"item": "{$$.Map.Item.Value}", "id": "{$$.Map.Item.Value.id}", "limit": "{$.limit}"});
        let item = r#"{ "id": 123456789012345678901234567890, "z": 1.0, "a": 1e400 }"#;
        let made = applied(template, r#"{"limit": 18446744073709551616}"#, raw(item).into());
        let expected = format!(r#"{{"id":123456789012345678901234567890,"item":{item},"limit":18446744073709551616}}"#);
        assert_eq!(made.unwrap(), expected);
    }

    #[test]
    fn a_field_of_an_object_has_its_name_as_key() {
        let template = json!(["{$$.Map.Item.Key}", "{$$.Map.Item.Value.x}"]);
        let item = |key: Option<&str>| Item { key: key.map(str::to_owned), value: raw(r#"{"x":1}"#) };
        assert_eq!(applied(template.clone(), "{}", item(Some("a\"b"))).unwrap(), r#"["a\"b",1]"#);
        let error = applied(template, "{}", item(None)).unwrap_err();
        assert!(error.ends_with("`{$$.Map.Item.Key}`: there is no such field in the context object"), "{error}");
    }

    #[test]
    fn an_error_names_the_item() {
        let error = |item: Item| applied(json!({"a": "{$.x}"}), "{}", item).unwrap_err();
        let missing = "`{$.x}`: there is no such field in the input";
        assert_eq!(
            error(raw(r#"{"Key":"a.csv"}"#).into()),
            format!("the item selector does not fit item 7 (a.csv): {missing}")
        );
        assert_eq!(error(raw("{}").into()), format!("the item selector does not fit item 7: {missing}"));
        let entry = Item { key: Some("k".into()), value: raw("{}") };
        assert_eq!(error(entry), format!("the item selector does not fit item 7 (k): {missing}"));
    }
}
