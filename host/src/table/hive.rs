//! Columns in a key, as Hive names partitions: `name=value/`.

use percent_encoding::percent_decode_str;

/// How Hive writes a null.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The columns in a key, in their order, unescaped. The last part is the file's name and has none.
pub(crate) fn columns(key: &str) -> Vec<(String, Option<String>)> {
    let folders = key.rsplit_once('/').map_or("", |(folders, _)| folders);
    let pairs = folders.split('/').filter_map(|part| part.split_once('='));
    let text = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    pairs
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (text(name), (value != NULL).then(|| text(value))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_columns() {
        let found = columns("t/year=2018/device%3Did=d%201%2F=2/day=__HIVE_DEFAULT_PARTITION__/=x/file=1.parquet");
        let text = |value: &str| Some(value.to_owned());
        let expected = [("year".into(), text("2018")), ("device=id".into(), text("d 1/=2")), ("day".into(), None)];
        assert_eq!(found, expected);
        assert_eq!(columns("a=1"), []);
    }
}
