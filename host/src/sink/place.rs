//! The place of the object that holds a batch's rows of one output.
//!
//! The key follows from the batch, so that a batch that runs again replaces its own object and no other. Rows that are divided
//! by the values of some columns lie under a `column=value/` folder for each, as Hive names them and as Athena, Spark and DuckDB
//! read them.

use std::fmt::Write as _;

use crate::dataset::Format;
use crate::job::BatchId;
use crate::object::Location;

/// The name that Hive gives the folder of rows without a value. An empty text gets it too, because a folder needs a name.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// The place of a batch's object below the output's prefix: in the folder of its rows, and the how manieth it is there, from 0.
pub(super) fn object_place(
    prefix: &Location,
    folder: &str,
    batch: &BatchId,
    number: usize,
    format: Format,
) -> Location {
    let name = batch.object_name();
    let number = if number == 0 { String::new() } else { format!(".{}", number + 1) };
    prefix.with_key(format!("{}{folder}{name}{number}.{}", prefix.key, format.extension()))
}

/// Appends the folder of rows that have this value in this column. None is a null.
pub(crate) fn append_folder(into: &mut String, column: &str, value: Option<&str>) {
    escape(column, into);
    into.push('=');
    escape(value.filter(|value| !value.is_empty()).unwrap_or(NO_VALUE), into);
    into.push('/');
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

    fn place(partition: &[(&str, Option<&str>)]) -> String {
        let batch = BatchId { execution: "arn:x:child".into(), state: "s".into() };
        let mut folder = String::new();
        partition.iter().for_each(|(column, value)| append_folder(&mut folder, column, *value));
        let at = object_place(&"s3://b/daily/".parse().unwrap(), &folder, &batch, 0, PARQUET);
        assert_eq!(at.bucket, "b");
        at.key.strip_suffix(&format!("{}.parquet", batch.object_name())).unwrap().to_owned()
    }

    #[test]
    fn the_ending_says_how_an_object_is_read() {
        let batch = BatchId { execution: "arn:x:child".into(), state: "s".into() };
        let ending = |format| {
            let at = object_place(&"s3://b/daily/".parse().unwrap(), "", &batch, 0, format);
            at.key.strip_prefix(&format!("daily/{}", batch.object_name())).unwrap().to_owned()
        };
        let parquet = [".parquet"; 4];
        let texts = [".jsonl", ".jsonl.gz", ".jsonl.zst", ".csv", ".csv.gz", ".csv.zst"];
        assert_eq!(FORMATS.map(ending).to_vec(), [&texts[..], &parquet].concat());
    }

    #[test]
    fn further_files_have_numbers() {
        let batch = BatchId { execution: "arn:x:child".into(), state: "s".into() };
        let at = |number| object_place(&"s3://b/".parse().unwrap(), "day=1/", &batch, number, PARQUET);
        assert_eq!(at(0).key, format!("day=1/{}.parquet", batch.object_name()));
        assert_eq!(at(1).key, format!("day=1/{}.2.parquet", batch.object_name()));
        assert_eq!(at(9).name(), batch.object_name());
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
