//! Items, and what can be told of one without its plugin.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

/// One item, exactly as Step Functions passed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its place in the batch, from 0.
    pub index: u32,
    /// Its JSON text, byte for byte.
    pub body: Arc<str>,
}

/// What an item calls itself, for people: an object's key, or the item itself if it is a short text or number.
pub fn item_name(item: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Named {
        Object {
            #[serde(rename = "Key")]
            key: String,
        },
        Text(String),
        Number(serde_json::Number),
    }
    let name = match serde_json::from_str(item).ok()? {
        Named::Object { key: text } | Named::Text(text) => text,
        Named::Number(number) => number.to_string(),
    };
    (name.len() <= 1024).then_some(name)
}

/// Why a listed object is nothing that a plugin could read, if it is: it was deleted or replaced since, or it is a "folder"
/// that somebody made in a console, without bytes and with a key that ends in `/`. What a listing has as a number, an
/// inventory has as a text.
pub fn left_out(item: &str) -> Option<&'static str> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Listed {
        key: String,
        size: Option<Value>,
        is_latest: Option<String>,
        is_delete_marker: Option<String>,
    }
    // Hardly any item of a listing has one of these in it, and the search is cheap.
    if !["/\"", "\"IsLatest\"", "\"IsDeleteMarker\""].iter().any(|part| item.contains(part)) {
        return None;
    }
    let listed: Listed = serde_json::from_str(item).ok()?;
    if listed.is_delete_marker.as_deref() == Some("true") {
        Some("it marks that an object was deleted")
    } else if listed.is_latest.as_deref() == Some("false") {
        Some("it is a version that is not the latest one")
    } else if listed.key.ends_with('/') && listed.size.is_some_and(|size| size == 0 || size == "0") {
        Some("it marks a folder and has no bytes")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_marks_a_folder_is_told_from_objects() {
        let listed =
            |key: &str, size: u64| format!(r#"{{"Etag":"\"e\"","Key":"{key}","Size":{size},"StorageClass":"X"}}"#);
        for item in [&*listed("csv/", 0), r#"{"Size" : 0,"Key" : "a/b/"}"#, r#"{"Key":"a/","Size":"0"}"#] {
            assert_eq!(left_out(item), Some("it marks a folder and has no bytes"), "{item}");
        }
        for item in [
            &*listed("csv/", 1),
            &listed("csv/a", 0),
            r#"{"Key":"a/"}"#,
            r#"{"Key":"a/","Size":""}"#,
            r#""a/""#,
            r#"{"Size":0,"x":"a/"}"#,
            "{",
        ] {
            assert_eq!(left_out(item), None, "{item}");
        }
    }

    #[test]
    fn what_is_not_there_any_more_is_told_from_objects() {
        let listed = |latest: &str, marker: &str| {
            left_out(&format!(r#"{{"Key":"k","IsLatest":"{latest}","IsDeleteMarker":"{marker}"}}"#))
        };
        assert_eq!(listed("true", "false"), None);
        assert_eq!(listed("", ""), None);
        assert_eq!(listed("false", "false"), Some("it is a version that is not the latest one"));
        assert_eq!(listed("true", "true"), Some("it marks that an object was deleted"));
    }

    #[test]
    fn items_have_names() {
        assert_eq!(item_name(r#"{"Size":1,"Key":"k"}"#).as_deref(), Some("k"));
        assert_eq!(item_name(r#""2018-01-01""#).as_deref(), Some("2018-01-01"));
        assert_eq!(item_name("17").as_deref(), Some("17"));
        assert_eq!(item_name(r#"{"a":1}"#), None);
    }
}
