//! The query of a slice. Names are quoted and values are parameters: nothing that a file or a table says becomes SQL.

use serde::Serialize;

use crate::dataset::TableName;

/// A part of a `WHERE`, with a `?` for each of its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// The text.
    pub(super) text: String,
    /// The values, as texts that the server reads as the type of what they are compared with.
    pub(super) values: Vec<String>,
}

/// A query with its parameters, which the server gets side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Statement {
    /// The text, with `$1`, `$2`, … for the parameters.
    pub(super) query: String,
    /// The parameters.
    pub(super) parameters: Vec<String>,
}

impl Condition {
    /// A condition on a column.
    pub(super) fn compare(column: &str, operator: &str, value: impl Into<String>) -> Self {
        Self { text: format!("{} {operator} ?", quoted(column)), values: vec![value.into()] }
    }

    /// The rows without a value in the column.
    pub(super) fn is_null(column: &str) -> Self {
        Self { text: format!("{} IS NULL", quoted(column)), values: Vec::new() }
    }

    /// The rows that meet this one or the other one.
    pub(super) fn or(self, other: Self) -> Self {
        let Self { text, mut values } = self;
        values.extend(other.values);
        Self { text: format!("({text} OR {})", other.text), values }
    }
}

impl Statement {
    /// The rows of a table that meet all conditions.
    pub(super) fn select(columns: &[String], table: &TableName, conditions: &[Condition]) -> Self {
        let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
        Self::of(&format!("SELECT {}", columns.join(", ")), table, conditions)
    }

    /// `what` of the rows of a table that meet all conditions.
    pub(super) fn of(what: &str, table: &TableName, conditions: &[Condition]) -> Self {
        let mut query = format!("{what} FROM {}", quoted_table(table));
        let mut parameters = Vec::new();
        for (n, condition) in conditions.iter().enumerate() {
            query += if n == 0 { " WHERE " } else { " AND " };
            // Texts of conditions come from `compare` and its like: a `?` in a name is part of a quoted name.
            let mut in_name = false;
            let mut values = condition.values.iter();
            for character in condition.text.chars() {
                in_name ^= character == '"';
                match character {
                    '?' if !in_name => {
                        parameters.extend(values.next().cloned());
                        query += &format!("${}", parameters.len());
                    }
                    _ => query.push(character),
                }
            }
        }
        Self { query, parameters }
    }
}

/// A name as PostgreSQL takes it literally ("Identifiers and Key Words").
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table's name, quoted.
pub(super) fn quoted_table(table: &TableName) -> String {
    match &table.schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(&table.name)),
        None => quoted(&table.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> TableName {
        TableName { schema: Some("public".into()), name: name.into() }
    }

    #[test]
    fn names_are_quoted_and_values_are_parameters() {
        let from = Condition::compare("at", ">=", "2024-01-01");
        let slice = Condition::compare("n", "<", "2").or(Condition::is_null("n"));
        let statement = Statement::select(&["id".into(), "select".into()], &table("order"), &[from, slice]);
        assert_eq!(
            statement.query,
            r#"SELECT "id", "select" FROM "public"."order" WHERE "at" >= $1 AND ("n" < $2 OR "n" IS NULL)"#
        );
        assert_eq!(statement.parameters, ["2024-01-01", "2"]);
    }

    #[test]
    fn no_name_gets_out_of_its_quotes() {
        let name = r#"a"; DROP TABLE x; -- ? "#;
        let conditions = [Condition::compare(name, "<", "1"), Condition::compare("b", ">", "2")];
        let statement = Statement::select(&[name.into()], &table(name), &conditions);
        let quoted = r#""a""; DROP TABLE x; -- ? ""#;
        assert_eq!(
            statement.query,
            format!(r#"SELECT {quoted} FROM "public".{quoted} WHERE {quoted} < $1 AND "b" > $2"#)
        );
        assert_eq!(statement.parameters, ["1", "2"]);
    }
}
