//! What an item becomes (`ItemSelector`): a value made of the state's input and the context object, item by item.

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::job::item_name;

/// Makes an item: from the state's input (`$`) and the context object (`$$`). The error is a sentence.
pub type Select = dyn Fn(&Value, &Value) -> Result<Value, String> + Send + Sync;

/// An item selector with everything it may look at.
pub struct Selector {
    select: Box<Select>,
    input: Value,
    context: Value,
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

impl Selector {
    /// `input` is what `$` means; `execution` is the execution's name. The context object has `Execution` (`Id`, `Name`,
    /// `Input`) and, for each item, `Map.Item` (`Index`, `Value`). It has no time: an interrupted run that goes on must
    /// make the same items.
    pub fn new(select: Box<Select>, input: Value, execution: &str) -> Self {
        let name = execution.rsplit(':').next().unwrap_or_default();
        let context = json!({
            "Execution": {"Id": execution, "Name": name, "Input": input},
            "Map": {"Item": {"Index": 0, "Value": null}}
        });
        Self { select, input, context }
    }

    /// Makes the item at this place of the dataset.
    pub fn apply(&mut self, index: u64, item: &RawValue) -> Result<Box<RawValue>, SelectError> {
        let refuse = |reason: String| SelectError { index, name: item_name(item.get()), reason };
        let value: Value = serde_json::from_str(item.get()).map_err(|error| refuse(error.to_string()))?;
        self.context["Map"]["Item"] = json!({"Index": index, "Value": value});
        let made = (self.select)(&self.input, &self.context).map_err(refuse)?;
        to_raw_value(&made).map_err(|error| refuse(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.into()).unwrap()
    }

    #[test]
    fn an_item_is_made_of_input_and_context() {
        let select = |input: &Value, context: &Value| -> Result<Value, String> {
            let item = &context["Map"]["Item"];
            Ok(json!([input["day"], item["Index"], item["Value"]["Key"], context["Execution"]["Name"]]))
        };
        let mut selector = Selector::new(Box::new(select), json!({"day": "2018-01-01"}), "arn:x:execution:d:run");
        assert_eq!(selector.apply(7, &raw(r#"{"Key":"a"}"#)).unwrap().get(), r#"["2018-01-01",7,"a","run"]"#);
        assert_eq!(selector.apply(8, &raw(r#"{"Key":"b"}"#)).unwrap().get(), r#"["2018-01-01",8,"b","run"]"#);
    }

    #[test]
    fn an_error_names_the_item() {
        let mut selector = Selector::new(Box::new(|_, _| Err("no field `x`".into())), Value::Null, "run");
        let error = selector.apply(3, &raw(r#"{"Key":"a.csv"}"#)).unwrap_err().to_string();
        assert_eq!(error, "the item selector does not fit item 3 (a.csv): no field `x`");
        let error = selector.apply(4, &raw("{}")).unwrap_err().to_string();
        assert_eq!(error, "the item selector does not fit item 4: no field `x`");
    }
}
