//! Items, and what can be told of one without its plugin.

use std::sync::Arc;

use serde::Deserialize;

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

/// Whether an item of a listing is a "folder" that somebody made in a console: an object without bytes whose key ends in `/`.
pub fn is_folder_marker(item: &str) -> bool {
    #[derive(Deserialize)]
    struct Listed {
        #[serde(rename = "Key")]
        key: String,
        #[serde(rename = "Size")]
        size: u64,
    }
    // Hardly any item has this in it, and the search is cheap.
    item.contains("/\"") && serde_json::from_str::<Listed>(item).is_ok_and(|it| it.size == 0 && it.key.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_marks_a_folder_is_told_from_objects() {
        let listed =
            |key: &str, size: u64| format!(r#"{{"Etag":"\"e\"","Key":"{key}","Size":{size},"StorageClass":"X"}}"#);
        assert!(is_folder_marker(&listed("csv/", 0)) && is_folder_marker(r#"{"Size" : 0,"Key" : "a/b/"}"#));
        for item in
            [&*listed("csv/", 1), &listed("csv/a", 0), r#"{"Key":"a/"}"#, r#""a/""#, r#"{"Size":0,"x":"a/"}"#, "{"]
        {
            assert!(!is_folder_marker(item), "{item}");
        }
    }

    #[test]
    fn items_have_names() {
        assert_eq!(item_name(r#"{"Size":1,"Key":"k"}"#).as_deref(), Some("k"));
        assert_eq!(item_name(r#""2018-01-01""#).as_deref(), Some("2018-01-01"));
        assert_eq!(item_name("17").as_deref(), Some("17"));
        assert_eq!(item_name(r#"{"a":1}"#), None);
    }
}
