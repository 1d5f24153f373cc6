//! A row as a DynamoDB item. Pure: what DynamoDB would refuse is found here, before anything is sent.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::value::RawValue;

use super::super::cells::{self, Cell, Cells};
use super::super::schema::OutputSchema;

/// The largest item, names and values together, in bytes (Amazon DynamoDB, "Constraints").
pub(super) const MAX_ITEM_BYTES: usize = 400 * 1024;

/// How deep lists and maps may be nested (the same page).
const MAX_DEPTH: usize = 32;

/// The digits that a number keeps, and the powers of ten of its first digit (the same page).
const MAX_DIGITS: usize = 38;
const POWERS: std::ops::RangeInclusive<i64> = -130..=125;

/// Attributes by name.
pub(super) type Item = HashMap<String, AttributeValue>;

/// Makes the item of a row; a null is left out. The error is a clause such as "column `x` holds ...".
pub(super) fn item(schema: &OutputSchema, cells: &Cells<'_>, row: usize) -> Result<Item, String> {
    let mut item = Item::with_capacity(schema.columns.len());
    let mut bytes = 0;
    for (column, cell) in schema.columns.iter().zip(cells.row(row)) {
        let Some(value) = attribute(cell).map_err(|why| format!("column `{}` holds {why}", column.name))? else {
            continue;
        };
        bytes += column.name.len() + size(&value);
        item.insert(column.name.clone(), value);
    }
    if bytes > MAX_ITEM_BYTES {
        return Err(format!("it has {bytes} bytes; an item of DynamoDB has at most {MAX_ITEM_BYTES}"));
    }
    Ok(item)
}

fn attribute(cell: Cell<'_>) -> Result<Option<AttributeValue>, String> {
    Ok(Some(match cell {
        Cell::Null => return Ok(None),
        Cell::Boolean(value) => AttributeValue::Bool(value),
        Cell::Int64(value) => AttributeValue::N(value.to_string()),
        Cell::Float64(value) => AttributeValue::N(number(&serde_json::Value::from(value).to_string())?),
        Cell::Text(text) => AttributeValue::S(text.into()),
        Cell::Date(days) => AttributeValue::S(cells::date(days)),
        Cell::Timestamp(micros) => AttributeValue::S(cells::timestamp(micros)),
        Cell::Json(text) => json(text, 0)?,
    }))
}

/// Goes down through raw values, so that a number keeps all digits that it was written with.
fn json(text: &str, depth: usize) -> Result<AttributeValue, String> {
    let unreadable = |error: serde_json::Error| format!("JSON that cannot be read: {error}");
    if depth > MAX_DEPTH {
        return Err(format!("JSON that is deeper than the {MAX_DEPTH} levels of DynamoDB"));
    }
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(unreadable)?;
            let fields = fields.into_iter().map(|(name, value)| Ok((name, json(value.get(), depth + 1)?)));
            AttributeValue::M(fields.collect::<Result<_, String>>()?)
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(unreadable)?;
            let elements = elements.into_iter().map(|value| json(value.get(), depth + 1));
            AttributeValue::L(elements.collect::<Result<_, _>>()?)
        }
        Some(b'"') => AttributeValue::S(serde_json::from_str(text).map_err(unreadable)?),
        Some(b't') => AttributeValue::Bool(true),
        Some(b'f') => AttributeValue::Bool(false),
        Some(b'n') => AttributeValue::Null(true),
        _ => AttributeValue::N(number(text)?),
    })
}

/// A JSON number, if DynamoDB takes it.
fn number(text: &str) -> Result<String, String> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let mantissa = mantissa.trim_start_matches('-');
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let significant = digits.trim_matches('0').len();
    if significant == 0 {
        return Ok("0".into());
    }
    if significant > MAX_DIGITS {
        return Err(format!("the number {text} of {significant} digits; DynamoDB keeps {MAX_DIGITS}"));
    }
    let power = exponent.parse::<i64>().ok().and_then(|e| e.checked_add(whole.len() as i64 - 1 - leading as i64));
    match power {
        Some(power) if POWERS.contains(&power) => Ok(text.into()),
        _ => Err(format!("the number {text}; DynamoDB's numbers go from 1E-130 to 9.99E+125")),
    }
}

/// How DynamoDB counts a value, in bytes ("DynamoDB item sizes and formats"); numbers are rounded up.
fn size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len() / 2 + 2,
        AttributeValue::M(fields) => 3 + fields.iter().map(|(name, value)| 1 + name.len() + size(value)).sum::<usize>(),
        AttributeValue::L(elements) => 3 + elements.iter().map(|value| 1 + size(value)).sum::<usize>(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use AttributeValue::{Bool, L, M, N, Null, S};

    use super::super::super::tests::{all_types, rows, table};
    use super::*;

    fn convert(line: &str) -> Result<Item, String> {
        let schema = OutputSchema::new("daily", all_types(), table(&["id"])).unwrap();
        let rows = rows(&schema, line);
        item(&schema, &Cells::of(&schema, &rows).unwrap(), 0)
    }

    #[test]
    fn every_type_becomes_the_attribute_that_the_contract_names() {
        let item = convert(concat!(
            r#"{"id":"a","flag":false,"count":-3,"mean":0.1,"day":"2024-01-31","at":"2024-01-31T12:00:00Z","#,
            r#""extra":{"s":"","n":12345678901234567890.125,"l":[true,null],"m":{}}}"#
        ));
        let expected = [
            ("id", S("a".into())),
            ("flag", Bool(false)),
            ("count", N("-3".into())),
            ("mean", N("0.1".into())),
            ("day", S("2024-01-31".into())),
            ("at", S("2024-01-31T12:00:00.000000Z".into())),
            (
                "extra",
                M([
                    ("s".into(), S(String::new())),
                    ("n".into(), N("12345678901234567890.125".into())),
                    ("l".into(), L(vec![Bool(true), Null(true)])),
                    ("m".into(), M(HashMap::new())),
                ]
                .into()),
            ),
        ];
        assert_eq!(item.unwrap(), expected.map(|(name, value)| (name.to_owned(), value)).into());
    }

    #[test]
    fn a_null_is_left_out() {
        assert_eq!(convert(r#"{"id":"a","count":null}"#).unwrap(), [("id".to_owned(), S("a".into()))].into());
    }

    #[test]
    fn numbers_are_checked_against_what_dynamodb_keeps() {
        for fine in
            ["0", "-0.0", "1e125", "9.99e125", "1e-130", "0.00001", "12300000000000000000000000000000000000000e3"]
        {
            assert!(number(fine).is_ok(), "{fine}");
        }
        for beyond in ["1e126", "10e125", "1e-131", "0.01e-129", "1e99999999999999999999", &"7".repeat(39)] {
            assert!(number(beyond).is_err(), "{beyond}");
        }
        assert_eq!(
            convert(r#"{"id":"a","mean":1e300}"#).unwrap_err(),
            "column `mean` holds the number 1e+300; DynamoDB's numbers go from 1E-130 to 9.99E+125"
        );
    }

    #[test]
    fn what_is_too_large_or_too_deep_is_refused() {
        let row = |bytes: usize| format!("{{\"id\":\"{}\"}}", "x".repeat(bytes));
        assert!(convert(&row(MAX_ITEM_BYTES - 2)).is_ok());
        assert_eq!(
            convert(&row(MAX_ITEM_BYTES - 1)).unwrap_err(),
            "it has 409601 bytes; an item of DynamoDB has at most 409600"
        );
        let deep = |levels: usize| format!("{{\"id\":\"a\",\"extra\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(convert(&deep(32)).is_ok());
        assert!(convert(&deep(100)).unwrap_err().starts_with("column `extra` holds JSON that is deeper"));
    }

    #[test]
    fn a_lone_surrogate_is_no_text() {
        let error = convert(r#"{"id":"a","extra":["\ud800"]}"#).unwrap_err();
        assert!(error.starts_with("column `extra` holds JSON that cannot be read"), "{error}");
    }
}
