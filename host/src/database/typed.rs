//! PostgreSQL's types as the few of blocks. What is not one of a handful that are read as they come, the server itself turns into
//! text or JSON: nobody knows better how it prints its types.

use tokio_postgres::types::{Kind, Type};

use super::classify::Fault;
use crate::table::{Column, ValueType};

/// How the server's bytes of a column are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Boolean,
    Int16,
    Int32,
    Int64,
    /// Without a sign, in 32 bits.
    Oid,
    Float32,
    Float64,
    Text,
    /// A byte for the version, and a JSON text.
    Jsonb,
    Binary,
    Uuid,
    Date,
    Timestamp,
}

/// How a column comes into a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    AsItIs(Read, ValueType),
    /// The server prints it.
    Printed,
    /// The server makes JSON of it.
    Json,
}

/// What a statement gives, and what is to be asked for it.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) columns: Vec<Column>,
    pub(super) reads: Vec<Read>,
    /// The statement in which the server turns columns into text and JSON; none if it has none of these.
    pub(super) wrapped: Option<String>,
}

/// The columns of a statement, as the server describes it.
pub(super) fn typed(name: &str, statement: &str, columns: &[tokio_postgres::Column]) -> Result<Typed, Fault> {
    let invalid = |why: String| Err(Fault::invalid(format!("connection `{name}`: {why}")));
    if columns.is_empty() {
        return invalid("the statement gives no columns: only queries can be asked".into());
    }
    for (place, column) in columns.iter().enumerate() {
        if columns[..place].iter().any(|before| before.name() == column.name()) {
            return invalid(format!("two columns are called `{0}`: give one another name (`as \"…\"`)", column.name()));
        }
    }
    let ways: Vec<Way> = columns.iter().map(|column| way(column.type_())).collect();
    let read = |way: &Way| match way {
        Way::AsItIs(read, value_type) => (*read, *value_type),
        Way::Printed => (Read::Text, ValueType::Text),
        Way::Json => (Read::Text, ValueType::Json),
    };
    let (reads, types): (Vec<Read>, Vec<ValueType>) = ways.iter().map(read).unzip();
    let column = |(column, value_type): (&tokio_postgres::Column, ValueType)| Column {
        name: column.name().to_owned(),
        value_type,
        nullable: true,
    };
    Ok(Typed { columns: columns.iter().zip(types).map(column).collect(), reads, wrapped: wrapped(statement, &ways) })
}

fn way(of: &Type) -> Way {
    let (read, value_type) = match *of {
        Type::BOOL => (Read::Boolean, ValueType::Boolean),
        Type::INT2 => (Read::Int16, ValueType::Int64),
        Type::INT4 => (Read::Int32, ValueType::Int64),
        Type::INT8 => (Read::Int64, ValueType::Int64),
        Type::OID => (Read::Oid, ValueType::Int64),
        Type::FLOAT4 => (Read::Float32, ValueType::Float64),
        Type::FLOAT8 => (Read::Float64, ValueType::Float64),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => (Read::Text, ValueType::Text),
        Type::JSON => (Read::Text, ValueType::Json),
        Type::JSONB => (Read::Jsonb, ValueType::Json),
        Type::BYTEA => (Read::Binary, ValueType::Binary),
        Type::UUID => (Read::Uuid, ValueType::Text),
        Type::DATE => (Read::Date, ValueType::Date),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => (Read::Timestamp, ValueType::Timestamp),
        Type::RECORD => return Way::Json,
        _ => match of.kind() {
            Kind::Enum(_) => (Read::Text, ValueType::Text),
            Kind::Array(_) | Kind::Composite(_) => return Way::Json,
            _ => return Way::Printed,
        },
    };
    Way::AsItIs(read, value_type)
}

/// The columns have names of ours, whatever theirs are.
fn wrapped(statement: &str, ways: &[Way]) -> Option<String> {
    if ways.iter().all(|way| matches!(way, Way::AsItIs(..))) {
        return None;
    }
    let names: Vec<String> = (1..=ways.len()).map(|place| format!("c{place}")).collect();
    let asked = names.iter().zip(ways).map(|(name, way)| match way {
        Way::AsItIs(..) => name.clone(),
        Way::Printed => format!("{name}::text"),
        Way::Json => format!("to_json({name})"),
    });
    let asked = asked.collect::<Vec<_>>().join(", ");
    let statement = statement.trim_end_matches(|end: char| end == ';' || end.is_whitespace());
    // The line break ends a comment that the statement may end with.
    Some(format!("select {asked} from (\n{statement}\n) as gristmill({})", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_prints_what_is_not_read_as_it_comes() {
        let ways = [Type::INT4, Type::NUMERIC, Type::INT4_ARRAY, Type::TIMETZ, Type::RECORD].map(|of| way(&of));
        let wrapped = wrapped("select 1 -- ;\n ; ", &ways).unwrap();
        insta::assert_snapshot!(wrapped, @r"
        select c1, c2::text, to_json(c3), c4::text, to_json(c5) from (
        select 1 --
        ) as gristmill(c1, c2, c3, c4, c5)
        ");
    }

    #[test]
    fn a_statement_that_needs_nothing_is_left_as_it_is() {
        assert_eq!(wrapped("select 1;", &[way(&Type::INT8), way(&Type::JSONB), way(&Type::DATE)]), None);
    }
}
