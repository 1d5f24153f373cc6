//! The place of the object that holds a batch's rows of one output.
//!
//! The key follows from the batch, so that a batch that runs again replaces its own object and no other. Rows that are divided
//! by the values of some columns lie under a `column=value/` folder for each, as Hive names them and as Athena, Spark and DuckDB
//! read them.

use std::fmt::Write as _;

use crate::dataset::Format;
use crate::job::BatchId;
use crate::object::Location;

/// One column that divides the rows, and the value that all rows of the object have in it. None is a null.
pub(super) type PartitionValue<'a> = (&'a str, Option<&'a str>);

/// The name that Hive gives the folder of rows without a value. An empty text gets it too, because a folder needs a name.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// The place of a batch's object below the output's prefix.
pub(super) fn object_place(
    prefix: &Location,
    partition: &[PartitionValue<'_>],
    batch: &BatchId,
    format: Format,
) -> Location {
    let mut key = prefix.key.clone();
    for (column, value) in partition {
        escape(column, &mut key);
        key.push('=');
        escape(value.filter(|value| !value.is_empty()).unwrap_or(NO_VALUE), &mut key);
        key.push('/');
    }
    key.push_str(&batch.object_name());
    key.push('.');
    key.push_str(format.extension());
    prefix.with_key(key)
}

/// Appends a name or a value, with `%` and two digits for each character that Hive escapes (`FileUtils.escapePathName`).
fn escape(text: &str, into: &mut String) {
    for character in text.chars() {
        if character.is_ascii_control() || r##""#%'*/:=?\{[]^"##.contains(character) {
            // Writing to memory does not fail.
            let _ = write!(into, "%{:02X}", u32::from(character));
        } else {
            into.push(character);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{FORMATS, PARQUET};
    use super::*;

    fn place(partition: &[PartitionValue<'_>]) -> String {
        let batch = BatchId { execution: "arn:x:child".into(), state: "s".into() };
        let at = object_place(&"s3://b/daily/".parse().unwrap(), partition, &batch, PARQUET);
        assert_eq!(at.bucket, "b");
        at.key.strip_suffix(&format!("{}.parquet", batch.object_name())).unwrap().to_owned()
    }

    #[test]
    fn the_ending_says_how_an_object_is_read() {
        let batch = BatchId { execution: "arn:x:child".into(), state: "s".into() };
        let ending = |format| {
            let at = object_place(&"s3://b/daily/".parse().unwrap(), &[], &batch, format);
            at.key.strip_prefix(&format!("daily/{}", batch.object_name())).unwrap().to_owned()
        };
        let parquet = [".parquet"; 4];
        let texts = [".jsonl", ".jsonl.gz", ".jsonl.zst", ".csv", ".csv.gz", ".csv.zst"];
        assert_eq!(FORMATS.map(ending).to_vec(), [&texts[..], &parquet].concat());
    }

    #[test]
    fn each_value_is_a_folder() {
        assert_eq!(place(&[]), "daily/");
        assert_eq!(place(&[("year", Some("2024")), ("country", Some("DE"))]), "daily/year=2024/country=DE/");
    }

    #[test]
    fn a_missing_value_has_the_folder_that_hive_gives_it() {
        for value in [None, Some("")] {
            assert_eq!(place(&[("day", value)]), "daily/day=__HIVE_DEFAULT_PARTITION__/");
        }
    }

    #[test]
    fn what_hive_escapes_is_escaped() {
        assert_eq!(place(&[("a=b", Some("c/d"))]), "daily/a%3Db=c%2Fd/");
        assert_eq!(place(&[("a", Some("12:30 é_-.~,$&+"))]), "daily/a=12%3A30 é_-.~,$&+/");
        let all = (0..128_u8).map(char::from).filter(|character| !character.is_ascii_alphanumeric());
        let escaped: String = all.filter(|c| place(&[("a", Some(&c.to_string()))]).contains('%')).collect();
        let visible: String = escaped.chars().filter(|character| !character.is_ascii_control()).collect();
        assert_eq!(visible, r##""#%'*/:=?[\]^{"##);
        assert_eq!(escaped.len() - visible.len(), 33, "every control character is escaped");
        assert_eq!(place(&[("a", Some("\n\u{7f}"))]), "daily/a=%0A%7F/");
    }

    proptest! {
        #[test]
        fn other_values_are_other_folders(one in ".{1,20}", other in ".{1,20}") {
            let of = |value: &str| place(&[("a", Some(value))]);
            prop_assert_eq!(of(&one) == of(&other), one == other);
            prop_assert_eq!(of(&one).matches('/').count(), 2, "a value adds one folder");
        }
    }
}
