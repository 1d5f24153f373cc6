//! Names that a catalog takes, and that people can write in their queries.

use super::CatalogError;

/// The longest name in AWS Glue, in bytes.
const MAX_NAME: usize = 255;

/// Refuses a database that nobody could write. Its name may have hyphens, because it may be older than the table.
pub(super) fn database(name: &str) -> Result<(), CatalogError> {
    check("database", name, |c| c == '-')
}

/// Refuses a table's name that nobody could write.
pub(super) fn table(name: &str) -> Result<(), CatalogError> {
    check("table", name, |_| false)
}

/// Refuses a column that readers of Hive's tables would not find: they keep the names of all columns in one text, with commas.
pub(super) fn column(table: &str, name: &str) -> Result<(), CatalogError> {
    let why = match name {
        "" => "it is empty",
        name if name.len() > MAX_NAME => "it has more than 255 bytes",
        name if name.contains(',') => "it has a comma",
        name if name.chars().any(char::is_control) => "it has characters that nobody sees",
        name if name != name.trim() => "it begins or ends with a blank",
        _ => return Ok(()),
    };
    Err(CatalogError::Refused(format!(
        "table `{table}`: no column of a data catalog can have the name {name:?}: {why}; give the output's column another name"
    )))
}

fn check(what: &str, name: &str, further: impl Fn(char) -> bool) -> Result<(), CatalogError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || further(c);
    if !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(fits) {
        return Ok(());
    }
    let better: String =
        name.to_ascii_lowercase().chars().map(|c| if fits(c) { c } else { '_' }).take(MAX_NAME).collect();
    let such = if better.is_empty() { String::new() } else { format!(", such as `{better}`") };
    Err(CatalogError::Refused(format!(
        "{name:?} is no name of a {what}: it has 1 to 255 lower-case letters, digits and `_`{such}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_queries_can_write() {
        for good in ["a", "station_days_2", "_x", "9", &"x".repeat(255)] {
            assert_eq!((database(good), table(good)), (Ok(()), Ok(())), "{good}");
        }
        assert_eq!(database("my-lake"), Ok(()));
        for (bad, better) in
            [("Days", "`days`"), ("a-b", "`a_b`"), ("a.b", "`a_b`"), ("é", "`_`"), ("x\"; DROP", "`x___drop`")]
        {
            let said = table(bad).unwrap_err().to_string();
            assert!(said.contains(better) && said.contains(&format!("{bad:?}")), "{said}");
        }
        assert!(table("").is_err() && table(&"x".repeat(256)).is_err() && database("a b").is_err());
    }

    #[test]
    fn names_of_columns_are_what_readers_can_find() {
        for good in ["a", "größe in m²", "a\"b'c", &"x".repeat(255)] {
            assert_eq!(column("d.t", good), Ok(()), "{good}");
        }
        for bad in ["", "a,b", "a\nb", " a", &"é".repeat(128)] {
            assert!(column("d.t", bad).unwrap_err().to_string().starts_with("table `d.t`: no column"), "{bad}");
        }
    }
}
