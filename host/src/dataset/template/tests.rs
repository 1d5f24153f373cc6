use super::*;
use proptest::prelude::*;
use serde_json::json;

fn evaluated(template: Value) -> Result<Value, String> {
    let input = json!({"bucket": "b", "days": ["x", "y"], "n": 2.5, "none": null});
    let context = json!({"Map": {"Item": {"Index": 3, "Value": {"Key": "k/1"}}}});
    Template(template).evaluate(&input, &context).map_err(|error| error.to_string())
}

fn field(value: Value) -> Result<(String, Value), String> {
    Template(value).payload_field("f", "$").map_err(|error| error.to_string())
}

#[test]
fn a_sole_placeholder_keeps_the_type_and_a_longer_text_is_text() {
    assert_eq!(evaluated(json!("{$.days}")).unwrap(), json!(["x", "y"]));
    assert_eq!(evaluated(json!("{$.none}")).unwrap(), json!(null));
    assert_eq!(evaluated(json!("s3://{$.bucket}/{$$.Map.Item.Value.Key}?{$.n}")).unwrap(), json!("s3://b/k/1?2.5"));
    assert_eq!(
        evaluated(json!({"i": ["{$$.Map.Item.Index}", {"d": "{$.days[1]}"}], "{$.n}": true})).unwrap(),
        json!({"i": [3, {"d": "y"}], "{$.n}": true}),
        "names are not templates"
    );
}

#[test]
fn what_cannot_be_evaluated_is_named() {
    assert_eq!(evaluated(json!("{$.x.y}")).unwrap_err(), "`{$.x.y}`: there is no such field in the input");
    assert_eq!(
        evaluated(json!("{$$.Map.X}")).unwrap_err(),
        "`{$$.Map.X}`: there is no such field in the context object"
    );
    assert_eq!(
        evaluated(json!("day {$.days}")).unwrap_err(),
        "`{$.days}` is an array; within a longer text only a string or a number can stand"
    );
    assert_eq!(
        evaluated(json!("{$.a b}")).unwrap_err(),
        "`{$.a b}` holds a placeholder that cannot be read: `}` is missing after `$.a`"
    );
}

#[test]
fn a_field_comes_out_as_it_went_in() {
    let raw = |text: &str| RawValue::from_string(text.into()).unwrap();
    let input = raw(r#"{"n": 123456789012345678901234567890, "huge": 1e400, "x": {"z": 1.0, "a" : -0, "a": 1E5}}"#);
    let scope = Scope::new(&input).with_context("Map", raw(r#"{"Item":{"Value":{"id":98765432109876543210.5}}}"#));
    for (template, expected) in [
        (json!("{$.n}"), "123456789012345678901234567890"),
        (json!("{$.huge}"), "1e400"),
        (
            json!({"y": "{$.x}", "b": [1, "{$$.Map.Item.Value.id}"]}),
            r#"{"b":[1,98765432109876543210.5],"y":{"z": 1.0, "a" : -0, "a": 1E5}}"#,
        ),
        (json!("id-{$.n}/{$.x.z}/\"{$.x.a}"), r#""id-123456789012345678901234567890/1.0/\"100000.0""#),
    ] {
        assert_eq!(Template(template).render(&scope).unwrap().get(), expected);
    }
}

#[test]
fn what_is_meant_as_a_field_and_is_none_is_said() {
    for (text, help) in [
        ("$.stations", "a field is written in braces, `{$.stations}`"),
        ("$$.Map.Item.Value.Key", "a field is written in braces, `{$$.Map.Item.Value.Key}`"),
        (
            "{% $states.input.stations %}",
            "templates are JSONPath and not JSONata; a field of the input is written `{$.stations}`",
        ),
        (
            "{% $uppercase($states.input.a) %}",
            "templates are JSONPath and not JSONata; a field of the input is written `{$.field}`",
        ),
        ("s3://b/$.day/x", "a field is written in braces, `{$.day}`"),
        ("{ $.a }", "a field is written without blanks in the braces, `{$.a}`"),
        ("x/{\t$.a}/", "a field is written without blanks in the braces, `{$.a}`"),
        (
            "States.Format('{}', $.a)",
            "`States.Format` is not evaluated; write the text with its fields in braces, `a/{$.field}`",
        ),
    ] {
        let expected = format!("`{text}` is a text like any other: {help}");
        assert_eq!(evaluated(json!(text)).unwrap_err(), expected);
        assert_eq!(field(json!([text])).unwrap_err(), expected);
        assert_eq!(Template(json!({"a": [text]})).paths().unwrap_err().to_string(), expected);
    }
    for text in ["$", "$5", "costs $", "{ a }", "States.", "a $.b", "US$.x y", "s3://b/{x$}/$5/$", "{\"a\": \"{%\"}"] {
        assert_eq!(evaluated(json!(text)).unwrap(), json!(text));
    }
}

#[test]
fn payloads_are_what_step_functions_reads() {
    for (value, name, payload) in [
        (json!("{$.days}"), "f.$", json!("$.days")),
        (
            json!("a {$.n}'s {\\} {$$.Map.Item.Index}"),
            "f.$",
            json!(r"States.Format('a {}\'s \{\\\} {}', $.n, $$.Map.Item.Index)"),
        ),
        (json!("plain {} '"), "f", json!("plain {} '")),
        (
            json!({"a": {"b": "{$.n}"}, "c": [1, {"d": "{$.n}"}]}),
            "f",
            json!({"a": {"b.$": "$.n"}, "c": [1, {"d.$": "$.n"}]}),
        ),
        (
            json!(["{$.n}", "it's", 1, null, ["x {$.n}"]]),
            "f.$",
            json!(r"States.Array($.n, 'it\'s', 1, null, States.Array(States.Format('x {}', $.n)))"),
        ),
    ] {
        assert_eq!(field(value).unwrap(), (name.into(), payload));
    }
    assert_eq!(Template(json!({"a": "{$.n}"})).payload_field("f", "$.input").unwrap().1, json!({"a.$": "$.input.n"}));
}

#[test]
fn what_jsonpath_cannot_say_is_refused() {
    assert!(field(json!(["{$.n}", true])).unwrap_err().starts_with("true or false cannot stand in an array"));
    assert!(field(json!(["{$.n}", {"a": 1}])).unwrap_err().starts_with("an object cannot stand in an array"));
    assert!(field(json!({"a.$": 1})).unwrap_err().contains("`a.$`"));
}

#[test]
fn uris_are_split_outside_of_placeholders() {
    let split = |uri: &str| Template(json!(uri)).split_uri().map(|(bucket, key)| (written(&bucket.0), written(&key.0)));
    assert_eq!(split("s3://b/k/x").unwrap(), ("b".into(), "k/x".into()));
    assert_eq!(split("s3://b/").unwrap(), ("b".into(), String::new()));
    assert_eq!(split("s3://x-{$['a/b']}-y/{$.k}/z").unwrap(), ("x-{$['a/b']}-y".into(), "{$.k}/z".into()));
    for wrong in ["{$.uri}", "s3://b", "s3:///k", "b/k", "s3://{$.b}"] {
        assert!(split(wrong).is_err(), "{wrong}");
    }
}

/// What Step Functions makes of an expression, from its specification and not from the code above.
fn states_format(call: &str, input: &Value) -> String {
    let mut chars = call.strip_prefix("States.Format('").unwrap().chars();
    let mut pieces = vec![String::new()];
    loop {
        match chars.next().unwrap() {
            '\\' => pieces.last_mut().unwrap().push(chars.next().unwrap()),
            '{' => {
                assert_eq!(chars.next(), Some('}'), "an unescaped brace");
                pieces.push(String::new());
            }
            '}' => panic!("an unescaped brace"),
            '\'' => break,
            c => pieces.last_mut().unwrap().push(c),
        }
    }
    let arguments = chars.as_str().strip_suffix(')').unwrap();
    let mut values =
        arguments.split(", ").skip(1).map(|path| input[path.strip_prefix("$.").unwrap()].as_str().unwrap());
    let mut text = pieces.remove(0);
    for piece in pieces {
        text.push_str(values.next().unwrap());
        text.push_str(&piece);
    }
    text
}

/// Whether a text is refused because JSONata expressions begin like it.
fn is_jsonata(text: &str) -> bool {
    text.trim_start().starts_with("{%")
}

proptest! {
    #[test]
    fn here_and_in_step_functions_a_text_means_the_same(
        before in "[^$]{0,12}", after in "[^$]{1,12}", a in ".{0,8}", b in ".{0,8}"
    ) {
        prop_assume!(!is_jsonata(&before));
        let template = Template(Value::String(format!("{before}{{$.a}}{after}{{$.b}}")));
        let input = json!({"a": a, "b": b});
        let (_, call) = template.payload_field("f", "$").unwrap();
        prop_assert_eq!(template.evaluate(&input, &Value::Null).unwrap(), states_format(call.as_str().unwrap(), &input));
    }

    #[test]
    fn a_value_without_placeholders_stays(text in "[^$]*", n in any::<i64>()) {
        prop_assume!(!is_jsonata(&text));
        let value = json!({"a": [text, n], "b": {"c": text}});
        prop_assert_eq!(evaluated(value.clone()).unwrap(), value.clone());
        prop_assert_eq!(field(value.clone()).unwrap(), ("f".into(), value));
    }

    #[test]
    fn no_text_panics(text in r"[{}$.a\[\]'\\0-9 /s:]*") {
        let template = Template(json!([text]));
        let _ = (template.evaluate(&Value::Null, &Value::Null), template.payload_field("f", "$"));
        let _ = Template(json!(format!("s3://{text}"))).split_uri();
    }
}
