//! How a table may change while people query it. Columns are added at the end, and that is nearly all: the files of earlier runs
//! stay what they are, and every reader has to make sense of both. Pure, and the same for all catalogs.

use std::collections::BTreeMap;

use super::CatalogError;
use super::definition::{Column, Definition, Storage};
use super::projection::{ENABLED, TEMPLATE, Values};

/// What the table becomes, if it has to change at all. The name is for people.
pub(super) fn evolve(
    name: &str,
    existing: &Definition,
    wanted: &Definition,
) -> Result<Option<Definition>, CatalogError> {
    let refused = |why: String| CatalogError::Refused(format!("table `{name}`: {why}"));
    same_table(existing, wanted).map_err(refused)?;
    let columns = columns(existing, wanted).map_err(refused)?;
    let projection = projection(existing, wanted).map_err(refused)?;
    let evolved = Definition { columns, projection, ..existing.clone() };
    Ok((evolved != *existing).then_some(evolved))
}

/// What to do about a table that is another one.
const ANOTHER: &str = "publish under another name, or take the table out of the catalog (its files stay)";

fn same_table(existing: &Definition, wanted: &Definition) -> Result<(), String> {
    if existing.location.trim_end_matches('/') != wanted.location.trim_end_matches('/') {
        let (there, here) = (&existing.location, &wanted.location);
        return Err(format!("in the catalog it lies at {there}, and the output writes to {here}: {ANOTHER}"));
    }
    if existing.storage != wanted.storage {
        let (there, here) = (existing.storage.name(), wanted.storage.name());
        return Err(format!("in the catalog its files are {there}, and the output writes {here}: {ANOTHER}"));
    }
    let keys = |definition: &Definition| definition.partition_keys.iter().map(plain).collect::<Vec<_>>();
    if keys(existing) != keys(wanted) {
        let (there, here) = (list(&existing.partition_keys), list(&wanted.partition_keys));
        return Err(format!(
            "in the catalog its partition keys are {there}, and those of the output are {here}: {ANOTHER}"
        ));
    }
    Ok(())
}

/// The existing columns in their order, and behind them those that are new.
fn columns(existing: &Definition, wanted: &Definition) -> Result<Vec<Column>, String> {
    let new: BTreeMap<String, &Column> = wanted.columns.iter().map(|column| (column.hive_name(), column)).collect();
    let mut columns = Vec::with_capacity(wanted.columns.len());
    for (n, old) in existing.columns.iter().enumerate() {
        let Some(new) = new.get(&old.hive_name()) else {
            return Err(format!(
                "column `{}` is `{}` in the catalog and not in the output at all: queries for it would find nothing; keep the \
                 column, with nulls if need be, or publish under another name",
                old.name, old.kind
            ));
        };
        if wanted.storage == Storage::Csv && wanted.columns.get(n).is_none_or(|column| column.name != new.name) {
            return Err(format!(
                "column `{}` is the {} in the catalog and not in the output, and CSV is read by the places of columns: keep the \
                 columns in their order and add others at the end",
                old.name,
                ordinal(n + 1)
            ));
        }
        columns.push(match (plain(old), plain(new)) {
            (there, here) if there == here => old.clone(),
            (there, here) if widens(&there.1, &here.1) && reads_both(existing) => Column::new(&old.name, &new.kind),
            _ => {
                return Err(format!(
                    "column `{}` is `{}` in the catalog and `{}` in the output: the files of earlier runs would be read wrongly, \
                     or not at all; give the output's column another name, or publish under another name",
                    old.name, old.kind, new.kind
                ));
            }
        });
    }
    let known: Vec<String> = columns.iter().map(Column::hive_name).collect();
    let added = wanted.columns.iter().filter(|column| !known.contains(&column.hive_name()));
    columns.extend(added.cloned());
    Ok(columns)
}

/// Whether whoever reads Parquet reads the narrower type as the wider one. All whole numbers up to 32 bits are the same in a file
/// (`INT32`); Hive reads them as `bigint` since 2.0 (HIVE-12080), and DuckDB, Arrow and Trino do. Hive reads `float` as `double`,
/// too, but Trino, which Athena is made of, fails on it as soon as a query filters by the column (trino#30544).
fn widens(from: &str, to: &str) -> bool {
    matches!(from, "tinyint" | "smallint" | "int") && to == "bigint"
}

/// Whether the partitions keep the types that their files have. Athena reads a type of Parquet as another one only so: not in a
/// table without partitions, and where partitions are projected none has types of its own.
fn reads_both(table: &Definition) -> bool {
    table.storage == Storage::Parquet && !table.partition_keys.is_empty() && table.projection.is_empty()
}

fn projection(existing: &Definition, wanted: &Definition) -> Result<BTreeMap<String, String>, String> {
    let (old, new) = (&existing.projection, &wanted.projection);
    if old.is_empty() != new.is_empty() {
        let how = |projection: &BTreeMap<_, _>| if projection.is_empty() { "registered" } else { "projected" };
        return Err(format!(
            "in the catalog its partitions are {}, and now they are to be {}: partitions could not be found any more; {ANOTHER}",
            how(old),
            how(new)
        ));
    }
    for name in [ENABLED, TEMPLATE] {
        if old.get(name) != new.get(name) {
            let value = |of: &BTreeMap<String, String>| of.get(name).cloned().unwrap_or_else(|| "nothing".into());
            return Err(format!("`{name}` is {} in the catalog and {} here: {ANOTHER}", value(old), value(new)));
        }
    }
    for key in wanted.partition_keys.iter().map(Column::hive_name).filter(|_| !new.is_empty()) {
        let (there, here) = (Values::read(&key, old), Values::read(&key, new));
        if !there.zip(here).is_some_and(|(there, here)| here.covers(&there)) {
            return Err(format!(
                "the values that are projected for `{key}` are ({}) in the catalog and ({}) here: partitions could not be found any \
                 more; project all that is projected there, too",
                said(&key, old),
                said(&key, new)
            ));
        }
    }
    Ok(new.clone())
}

/// A column by what is compared.
fn plain(column: &Column) -> (String, String) {
    let kind = column.kind.trim().to_lowercase();
    let kind = match &*kind {
        "integer" => "int",
        "real" => "float",
        other => other,
    };
    (column.hive_name(), kind.to_owned())
}

fn list(columns: &[Column]) -> String {
    let shown: Vec<String> = columns.iter().map(|column| format!("`{}` `{}`", column.name, column.kind)).collect();
    if shown.is_empty() { "none".into() } else { shown.join(", ") }
}

fn ordinal(n: usize) -> String {
    let ending = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

fn said(key: &str, properties: &BTreeMap<String, String>) -> String {
    let start = format!("projection.{key}.");
    let own = properties.iter().filter_map(|(name, value)| Some((name.strip_prefix(&start)?, value)));
    own.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn definition(storage: Storage, columns: &[(&str, &str)], keys: &[&str]) -> Definition {
        Definition {
            location: "s3://lake/days/".into(),
            storage,
            columns: columns.iter().map(|(name, kind)| Column::new(*name, *kind)).collect(),
            partition_keys: keys.iter().map(|name| Column::new(*name, "string")).collect(),
            projection: BTreeMap::new(),
        }
    }

    fn parquet(columns: &[(&str, &str)]) -> Definition {
        definition(Storage::Parquet, columns, &["year"])
    }

    fn refused(existing: &Definition, wanted: &Definition) -> String {
        match evolve("lake.days", existing, wanted) {
            Err(CatalogError::Refused(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_the_same_in_other_letters_is_the_same() {
        let mut existing = parquet(&[("uniqueid", "BIGINT"), ("n", "integer"), ("x", "real")]);
        existing.location = "s3://lake/days".into();
        existing.partition_keys = vec![Column::new("YEAR", " String")];
        let wanted = parquet(&[("x", "float"), ("uniqueId", "bigint"), ("n", "int")]);
        assert_eq!(evolve("lake.days", &existing, &wanted), Ok(None));
    }

    #[test]
    fn whole_numbers_widen_where_partitions_keep_their_types() {
        let wanted = [("n", "bigint"), ("m", "bigint")];
        for narrow in ["tinyint", "smallint", "int", "integer"] {
            let evolved = evolve("lake.days", &parquet(&[("n", narrow), ("m", "bigint")]), &parquet(&wanted));
            assert_eq!(evolved, Ok(Some(parquet(&wanted))), "{narrow}");
        }
        let json = |columns| definition(Storage::JsonLines, columns, &["year"]);
        assert!(refused(&json(&[("n", "int"), ("m", "bigint")]), &json(&wanted)).contains("column `n`"));
        let plain = |columns| definition(Storage::Parquet, columns, &[]);
        assert!(refused(&plain(&[("n", "int"), ("m", "bigint")]), &plain(&wanted)).contains("column `n`"));
    }

    #[test]
    fn another_type_is_refused_with_all_that_one_has_to_know() {
        insta::assert_snapshot!(refused(&parquet(&[("a", "string"), ("n", "bigint")]), &parquet(&[("a", "string"), ("n", "int")])), @"table `lake.days`: column `n` is `bigint` in the catalog and `int` in the output: the files of earlier runs would be read wrongly, or not at all; give the output's column another name, or publish under another name");
        for (from, to) in [
            ("float", "double"),
            ("double", "float"),
            ("string", "bigint"),
            ("bigint", "string"),
            ("date", "timestamp"),
        ] {
            let why = refused(&parquet(&[("n", from)]), &parquet(&[("n", to)]));
            assert!(why.contains(&format!("column `n` is `{from}` in the catalog and `{to}` in the output")), "{why}");
        }
    }

    #[test]
    fn a_column_that_is_missing_is_refused() {
        insta::assert_snapshot!(refused(&parquet(&[("a", "string"), ("n", "bigint")]), &parquet(&[("a", "string")])), @"table `lake.days`: column `n` is `bigint` in the catalog and not in the output at all: queries for it would find nothing; keep the column, with nulls if need be, or publish under another name");
    }

    #[test]
    fn csv_has_its_columns_in_places() {
        let csv = |names: &[&str]| {
            let columns: Vec<_> = names.iter().map(|name| (*name, "string")).collect();
            definition(Storage::Csv, &columns, &[])
        };
        assert_eq!(evolve("lake.days", &csv(&["a", "b"]), &csv(&["a", "b", "c"])), Ok(Some(csv(&["a", "b", "c"]))));
        insta::assert_snapshot!(refused(&csv(&["a", "b"]), &csv(&["a", "c", "b"])), @"table `lake.days`: column `b` is the 2nd in the catalog and not in the output, and CSV is read by the places of columns: keep the columns in their order and add others at the end");
        assert_eq!(["1st", "2nd", "3rd", "4th", "11th", "13th", "22nd"], [1, 2, 3, 4, 11, 13, 22].map(ordinal)[..]);
    }

    #[test]
    fn another_table_is_refused() {
        let here = parquet(&[("a", "string")]);
        let there = Definition { location: "s3://old/days/".into(), ..here.clone() };
        insta::assert_snapshot!(refused(&there, &here), @"table `lake.days`: in the catalog it lies at s3://old/days/, and the output writes to s3://lake/days/: publish under another name, or take the table out of the catalog (its files stay)");
        let there = Definition { storage: Storage::Other("x.y.AvroSerDe".into()), ..here.clone() };
        insta::assert_snapshot!(refused(&there, &here), @"table `lake.days`: in the catalog its files are x.y.AvroSerDe, and the output writes Parquet: publish under another name, or take the table out of the catalog (its files stay)");
        let there = definition(Storage::Parquet, &[("a", "string")], &["month", "year"]);
        insta::assert_snapshot!(refused(&there, &here), @"table `lake.days`: in the catalog its partition keys are `month` `string`, `year` `string`, and those of the output are `year` `string`: publish under another name, or take the table out of the catalog (its files stay)");
    }

    fn some_columns() -> impl Strategy<Value = Vec<(String, &'static str)>> {
        let kinds = prop::sample::select(vec!["int", "bigint", "float", "double", "string"]);
        prop::collection::btree_map("[a-e]", kinds, 1..5)
            .prop_map(|columns| columns.into_iter().collect())
            .prop_shuffle()
    }

    proptest! {
        #[test]
        fn no_reader_loses_anything(old in some_columns(), new in some_columns(), csv in any::<bool>()) {
            let of = |columns: &[(String, &'static str)]| {
                let columns: Vec<_> = columns.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
                definition(if csv { Storage::Csv } else { Storage::Parquet }, &columns, &["year"])
            };
            let (old, new) = (of(&old), of(&new));
            let Ok(evolved) = evolve("t", &old, &new) else { return Ok(()) };
            let evolved = evolved.unwrap_or_else(|| old.clone());
            for (before, after) in old.columns.iter().zip(&evolved.columns) {
                prop_assert_eq!(&before.name, &after.name, "what was there keeps its place");
                prop_assert!(before.kind == after.kind || (&*before.kind, &*after.kind) == ("int", "bigint"));
            }
            prop_assert_eq!(evolved.columns.len(), new.columns.len());
            prop_assert!(new.columns.iter().all(|column| evolved.columns.contains(column)));
            prop_assert!(!csv || evolved.columns == new.columns);
            prop_assert_eq!(evolve("t", &evolved, &new), Ok(None), "and then nothing is left to do");
        }
    }
}
