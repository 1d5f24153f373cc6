use proptest::prelude::*;

use super::super::{CatalogError, Change, Column, Table, Values};
use crate::dataset::{ColumnType, Format, Layout, PageCompression, Part, Target, TextCompression};
use crate::object::Location;
use crate::sink::OutputSchema;

fn at(text: &str) -> Location {
    text.parse().unwrap()
}

fn table(keys: &[&str]) -> Table {
    Table {
        database: "lake".into(),
        name: "days".into(),
        location: at("s3://b/days/"),
        columns: vec![Column::new("id", "bigint")],
        partition_keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        format: Format::Parquet(PageCompression::Zstd),
        projection: None,
    }
}

fn why<T: std::fmt::Debug>(result: Result<T, CatalogError>) -> String {
    match result {
        Err(CatalogError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn change(table: Table) -> Change {
    Change { table, present: vec![], gone: vec![], files: vec![] }
}

#[test]
fn an_output_is_a_table() {
    use ColumnType::{Boolean, Date, Float64, Int64, Json, Text, Timestamp};
    let kinds = [
        ("flag", Boolean),
        ("n", Int64),
        ("x", Float64),
        ("id", Text),
        ("day", Date),
        ("at", Timestamp),
        ("extra", Json),
    ];
    let columns: Vec<_> =
        kinds.map(|(name, kind)| crate::dataset::Column { name: name.into(), kind, nullable: true }).into();
    let layout = Layout {
        partition_by: ["id", "year(at)", "month(at)"].map(|by| by.parse().unwrap()).into(),
        ..Layout::default()
    };
    let types = |format| {
        let target = Target::Objects { prefix: "s3://b/out/".parse().unwrap(), format, layout: layout.clone() };
        let schema = OutputSchema::new("rows", columns.clone(), target).unwrap();
        let table = Table::of_output(&schema, &at("s3://b/out/"), "lake", "rows").unwrap();
        assert_eq!(table.partition_keys, ["id", "year", "month"]);
        table.columns.iter().map(|column| format!("{} {}", column.name, column.kind)).collect::<Vec<_>>().join(", ")
    };
    insta::assert_snapshot!(types(Format::Parquet(PageCompression::Snappy)), @"flag boolean, n bigint, x double, day date, at timestamp, extra string");
    insta::assert_snapshot!(types(Format::JsonLines(TextCompression::None)), @"flag boolean, n bigint, x double, day string, at string, extra string");
    insta::assert_snapshot!(types(Format::Csv(TextCompression::None)), @"flag string, n string, x string, day string, at string, extra string");
    let target = Target::Table { table: "t".into(), key: vec!["id".into()] };
    let schema = OutputSchema::new("rows", columns.clone(), target).unwrap();
    assert!(
        why(Table::of_output(&schema, &at("s3://b/out/"), "lake", "rows")).contains("output `rows` writes no objects")
    );
}

#[test]
fn what_no_catalog_could_hold_is_refused() {
    let refused = |change_it: &dyn Fn(&mut Table)| {
        let mut table = table(&["year"]);
        change_it(&mut table);
        why(change(table).plan())
    };
    for (said, expected) in [
        (refused(&|it| it.name = "Days".into()), "such as `days`"),
        (refused(&|it| it.database = "la ke".into()), "such as `la_ke`"),
        (refused(&|it| it.columns.push(Column::new("ID", "string"))), "two columns are called `id`"),
        (refused(&|it| it.columns.push(Column::new("Year", "string"))), "two columns are called `year`"),
        (refused(&|it| it.columns.push(Column::new("a,b", "string"))), "it has a comma"),
        (refused(&|it| it.columns.clear()), "it has no columns"),
        (refused(&|it| it.location = at("s3://b/days")), "end the prefix with `/`"),
        (refused(&|it| it.projection = Some(vec![])), "1 partition keys cannot be projected by 0"),
        (refused(&|it| it.projection = Some(vec![Values::OneOf(vec![])])), "make no projection: there is none"),
        (
            refused(&|it| {
                it.partition_keys = vec!["a.b".into()];
                it.projection = Some(vec![Values::OneOf(vec!["x".into()])]);
            }),
            "no projection can name `a.b`",
        ),
    ] {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_change_that_contradicts_itself_is_refused() {
    let table = table(&["year"]);
    let value = |year: &str| vec![Some(year.to_owned())];
    let partition = table.partition(value("2024"));
    let plan = |change: Change| why(change.plan());
    let both = Change { present: vec![partition.clone()], gone: vec![value("2024")], ..change(table.clone()) };
    assert_eq!(plan(both), "table `lake.days`: partition (2024) cannot be present and gone");
    let mut other = partition.clone();
    other.location = at("s3://b/days/2024/");
    let elsewhere = Change { present: vec![other], ..change(table.clone()) };
    assert!(plan(elsewhere).contains("cannot lie at s3://b/days/2024/: readers look for it at s3://b/days/year=2024/"));
    let more = Change { gone: vec![vec![None, None]], ..change(table.clone()) };
    assert!(plan(more).contains("its partition keys are `year`"));
    let none = Change { gone: vec![vec![]], ..change(self::table(&[])) };
    assert!(plan(none).contains("is no partition of it"));
    let escaped = Table { projection: Some(vec![Values::OneOf(vec!["a/b".into(), "c".into()])]), ..table };
    let of =
        |value: &str| Change { present: vec![escaped.partition(vec![Some(value.into())])], ..change(escaped.clone()) };
    assert!(of("c").plan().is_ok());
    assert!(plan(of("a/b")).contains("in the path `a/b` is escaped"));
}

#[test]
fn the_folders_of_a_projected_table_have_the_names_that_the_files_have() {
    let mut table = table(&["Region", "year"]);
    table.projection = Some(vec![Values::OneOf(vec!["NL".into()]), Values::of(Part::Year, 2020..=2021).unwrap()]);
    let properties = table.definition().projection;
    assert_eq!(properties["storage.location.template"], "s3://b/days/Region=${region}/year=${year}/");
    assert_eq!(properties["projection.region.values"], "NL");
}

#[test]
fn objects_lie_in_partitions() {
    let partition = |keys: &[&str], key: &str| table(keys).partition_of(&at("s3://b/").with_key(key));
    let found = partition(&["year", "device=id"], "days/year=2018/device%3Did=d 1%2F%3D2/x.parquet").unwrap();
    assert_eq!(found.values, [Some("2018".to_owned()), Some("d 1/=2".to_owned())]);
    assert_eq!(found.location.key, "days/year=2018/device%3Did=d 1%2F%3D2/");
    assert_eq!(partition(&["y"], "days/y=__HIVE_DEFAULT_PARTITION__/x").unwrap().values, [None]);
    assert_eq!(partition(&[], "days/x.parquet").unwrap().values, []);
    for (keys, key) in [
        (&["year"][..], "days/x.parquet"),
        (&["year"], "days/month=1/x.parquet"),
        (&["year"], "days/year=1/month=1/x.parquet"),
        (&["year", "month"], "days/month=1/year=1/x.parquet"),
        (&["year"], "days/year=1/deeper/x.parquet"),
        (&["year"], "days/Year=1/x.parquet"),
        (&["year"], "days/year=%41/x.parquet"),
        (&["year"], "other/year=1/x.parquet"),
        (&[], "days/year=1/x.parquet"),
    ] {
        assert!(why(partition(keys, key)).contains("does not lie in a partition of it"), "{key}");
    }
}

#[test]
fn files_say_which_partitions_are_present() {
    let files = ["year=2024/a", "year=2024/b", "year=2023/a"].map(|name| (at(&format!("s3://b/days/{name}")), 10, 2));
    let change = Change::of_files(table(&["year"]), files, vec![]).unwrap();
    let years: Vec<_> = change.present.iter().map(|partition| partition.values[0].clone().unwrap()).collect();
    assert_eq!((years, change.files.len()), (vec!["2023".to_owned(), "2024".to_owned()], 3));
    assert_eq!(change.files[2].partition, change.present[0].values);
    let plain = Change::of_files(table(&[]), [(at("s3://b/days/a"), 1, 1)], vec![]).unwrap();
    assert!(plain.present.is_empty() && plain.plan().is_ok());
}

proptest! {
    /// As the sink writes folders, and as readers of tables read them.
    #[test]
    fn values_come_back_from_paths(values in prop::collection::vec(prop::option::of("[^\\p{Cc}]{1,20}"), 2), name in "[^\\p{Cc},]{1,9}") {
        let table = table(&[&name, "k"]);
        let partition = table.partition(values);
        let object = partition.location.with_key(format!("{}x.parquet", partition.location.key));
        prop_assert_eq!(table.partition_of(&object), Ok(partition));
    }
}
