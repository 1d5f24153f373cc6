//! What a run reads of a table: the query of each slice, as the items of a Distributed Map.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::ask::{Ask, SourceError, senseless, value};
use super::history::Window;
use super::planned::written;
use super::slices;
use super::statement::{Condition, Statement, quoted, quoted_table};
use crate::dataset::{Slices, TableName, TableSpec, WindowSpec};

/// Columns that whole numbers can be compared with.
const NUMBERS: [&str; 6] = ["smallint", "integer", "bigint", "numeric", "real", "double precision"];

/// Columns that an instant can be compared with.
const TIMES: [&str; 3] = ["timestamp with time zone", "timestamp without time zone", "date"];

/// A column of a table.
struct Column {
    name: String,
    kind: String,
}

/// A table that is there.
pub struct Table<'s> {
    source: &'s dyn Ask,
    spec: &'s TableSpec,
    /// The columns that are asked for, in their order.
    columns: Vec<String>,
}

impl<'s> Table<'s> {
    /// Looks whether the table has what the dataset file says of it.
    pub async fn open(source: &'s dyn Ask, spec: &'s TableSpec) -> Result<Self, SourceError> {
        let there = columns(source, &spec.table).await?;
        let find = |name: &str| match there.iter().find(|column| column.name == name) {
            Some(column) => Ok(column),
            None => {
                let known: Vec<&str> = there.iter().map(|column| column.name.as_str()).collect();
                let known = known.join(", ");
                Err(SourceError::Refused(format!("the table {} has no column `{name}`; it has {known}", spec.table)))
            }
        };
        let expect = |name: &str, kinds: &[&str], what: &str| {
            let kind = find(name)?.kind.as_str();
            match kinds.contains(&kind) {
                true => Ok(()),
                false => Err(SourceError::Refused(format!(
                    "the column `{name}` of {} is of the type {kind}: {what}",
                    spec.table
                ))),
            }
        };
        if let Some(window) = &spec.window {
            expect(&window.column, &TIMES, "the column of a window is a timestamp or a date")?;
            if find(&window.column)?.kind != TIMES[0] && window.lag.is_none() {
                return Err(SourceError::Refused(format!(
                    "the column `{}` of {} has no time zone, and is taken for UTC: rows of sessions west of it would lie below the stop \
                     when they come, and be lost without a word. Make it a `timestamptz`; or give the window a `lag` that is longer than \
                     the clocks of those who write are behind UTC",
                    window.column, spec.table
                )));
            }
            if window.lag.is_none()
                && let Some(why) = comes_late(source, &spec.table).await?
            {
                return Err(SourceError::Refused(format!(
                    "rows that come late would be lost without a word: {} is {why}. Read the table where it is written; or give the \
                     window a `lag` that is longer than rows take to come",
                    spec.table
                )));
            }
        }
        match &spec.slices {
            Slices::Strides { column, .. } => expect(
                column,
                &NUMBERS,
                "`lower` and `upper` divide numbers. Leave them out to have the table divided by rows",
            )?,
            Slices::Quantiles { column, .. } => find(column).map(|_| ())?,
            Slices::Pages { .. } => {}
        }
        let columns = match &spec.columns {
            Some(wanted) => {
                wanted.iter().try_for_each(|name| find(name).map(|_| ()))?;
                wanted.clone()
            }
            None => there.into_iter().map(|column| column.name).collect(),
        };
        Ok(Self { source, spec, columns })
    }

    /// The items of a run, each the query of a slice.
    pub async fn items(&self, window: Option<&Window>) -> Result<Vec<Value>, SourceError> {
        let inside = match (&self.spec.window, window) {
            (Some(spec), Some(window)) => inside(spec, window),
            _ => Vec::new(),
        };
        let slices = self.slices(&inside).await?;
        let count = slices.len();
        let item = |(n, slice): (usize, Vec<Condition>)| {
            let conditions: Vec<Condition> = inside.iter().cloned().chain(slice).collect();
            let statement = Statement::select(&self.columns, &self.spec.table, &conditions);
            let mut item = json!({
                "connection": self.spec.connection,
                "table": self.spec.table.to_string(),
                "slice": n + 1,
                "slices": count,
                "query": statement.query,
                "parameters": statement.parameters,
            });
            if let Some(window) = window {
                item["window"] = json!({"start": window.start.map(written), "stop": written(window.stop)});
            }
            item
        };
        Ok(slices.into_iter().enumerate().map(item).collect())
    }

    async fn slices(&self, inside: &[Condition]) -> Result<Vec<Vec<Condition>>, SourceError> {
        match &self.spec.slices {
            Slices::Strides { column, lower, upper, count } => {
                Ok(slices::between(column, &slices::strides(*lower, *upper, *count)))
            }
            Slices::Quantiles { column, count } => {
                let column_name = quoted(column);
                let fractions: Vec<String> =
                    (1..*count).map(|n| (f64::from(n) / f64::from(*count)).to_string()).collect();
                let what = format!(
                    "SELECT unnest(percentile_disc(ARRAY[{}]::float8[]) WITHIN GROUP (ORDER BY {column_name}))::text",
                    fractions.join(", ")
                );
                let Statement { query, parameters } = Statement::of(&what, &self.spec.table, inside);
                let rows = self.source.ask(&query, &parameters).await?;
                let mut bounds: Vec<String> =
                    rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
                bounds.dedup();
                Ok(slices::between(column, &bounds))
            }
            Slices::Pages { count: 1 } => Ok(vec![Vec::new()]),
            Slices::Pages { count } => Ok(slices::pages(self.pages().await?, *count)),
        }
    }

    /// How many pages the table has.
    async fn pages(&self) -> Result<u64, SourceError> {
        let table = [quoted_table(&self.spec.table)];
        let kind = value(self.source, "SELECT relkind::text FROM pg_class WHERE oid = to_regclass($1)", &table).await?;
        if !matches!(kind.as_deref(), Some("r" | "m")) {
            return Err(SourceError::Refused(format!(
                "{} is a view, a partitioned or a foreign table, which has no pages of its own: name a `column` in `slices`",
                self.spec.table
            )));
        }
        let size = "SELECT (pg_relation_size(to_regclass($1)) / current_setting('block_size')::bigint)::text";
        let pages = value(self.source, size, &table).await?;
        pages.as_deref().and_then(|text| text.parse().ok()).ok_or_else(|| senseless("a table's size", pages.as_deref()))
    }

    /// How many rows have come into earlier windows, or were changed there, by transactions that were not over in this snapshot.
    pub async fn late(&self, start: OffsetDateTime, seen: &str) -> Result<Option<u64>, SourceError> {
        let Some(window) = self.spec.window.as_ref().filter(|window| window.count_late) else { return Ok(None) };
        let next = value(self.source, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text", &[]).await?;
        let Some(next) = next else { return Ok(None) };
        let before = Condition::compare(&window.column, "<", written(start)).or(Condition::is_null(&window.column));
        // A row has the last 32 bits of its transaction's number, which is not above the next one.
        let since = Condition {
            text: "NOT pg_visible_in_snapshot((?::int8 - ((?::int8 - xmin::text::int8) & 4294967295))::text::xid8, ?::pg_snapshot)"
                .into(),
            values: vec![next.clone(), next, seen.into()],
        };
        let Statement { query, parameters } =
            Statement::of("SELECT count(*)::text", &self.spec.table, &[before, since]);
        let late = value(self.source, &query, &parameters).await?;
        Ok(late.and_then(|text| text.parse().ok()))
    }
}

/// Why rows of a table may come later than their transactions say, if they may.
async fn comes_late(source: &dyn Ask, table: &TableName) -> Result<Option<&'static str>, SourceError> {
    let statement = "SELECT relkind::text, EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = pg_class.oid)::text
         FROM pg_class WHERE oid = to_regclass($1)";
    let rows = source.ask(statement, &[quoted_table(table)]).await?;
    let row = rows.first().map(Vec::as_slice).unwrap_or_default();
    let is = |at: usize, what: &str| row.get(at).is_some_and(|text| text.as_deref() == Some(what));
    Ok(match () {
        () if is(0, "f") => Some("a foreign table, whose rows another server commits"),
        () if is(0, "m") => Some("a materialized view, whose rows come with a `REFRESH`"),
        () if is(1, "true") => Some("replicated from another server, with the times of that one"),
        () => None,
    })
}

/// The rows of a window. A run from the beginning takes those without a time too.
fn inside(spec: &WindowSpec, window: &Window) -> Vec<Condition> {
    let before = Condition::compare(&spec.column, "<", written(window.stop));
    match window.start {
        Some(start) => vec![Condition::compare(&spec.column, ">=", written(start)), before],
        None => vec![before.or(Condition::is_null(&spec.column))],
    }
}

/// The columns of a table in their order, if this role may read it.
async fn columns(source: &dyn Ask, table: &TableName) -> Result<Vec<Column>, SourceError> {
    let name = [quoted_table(table)];
    let statement = "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
         WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
    let rows = source.ask(statement, &name).await?;
    let columns: Vec<Column> = rows
        .into_iter()
        .filter_map(|row| {
            let mut texts = row.into_iter().flatten();
            Some(Column { name: texts.next()?, kind: texts.next()? })
        })
        .collect();
    if columns.is_empty() {
        return Err(SourceError::Refused(format!(
            "there is no table {table} that this role can see: names are taken as they are written, with their case"
        )));
    }
    let allowed = "SELECT (has_table_privilege(to_regclass($1), 'SELECT')
         OR has_any_column_privilege(to_regclass($1), 'SELECT'))::text";
    match value(source, allowed, &name).await?.as_deref() {
        Some("true") => Ok(columns),
        _ => Err(SourceError::Refused(format!(
            "this role may not read the table {table}: have it granted (`GRANT SELECT ON {} TO …`)",
            quoted_table(table)
        ))),
    }
}
