//! What every [`DataCatalog`] has to do, as a suite that runs against the local one and against the AWS Glue Data Catalog.

// A failed check is what this is for.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use time::{Date, Month};

use super::{CatalogError, Change, Column, DataCatalog, Definition, Published, Storage, Table, Values};
use crate::dataset::{Format, PageCompression, Part, TextCompression};

/// A catalog that somebody looks at, and changes behind our back.
pub trait Subject: Sync {
    /// The catalog.
    fn catalog(&self) -> &dyn DataCatalog;

    /// What it knows of a table.
    fn seen(&self, table: &Table) -> impl Future<Output = Option<Seen>> + Send;

    /// Makes that of the table that somebody wants of it, or takes it away.
    fn put(&self, table: &Table, seen: Option<&Seen>) -> impl Future<Output = ()> + Send;

    /// Publishes with a catalog whose process ends after so many of its steps. Whether it ended before it was done.
    fn interrupted(&self, change: &Change, steps: usize) -> impl Future<Output = bool> + Send;
}

/// What people find of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The table.
    pub definition: Definition,
    /// Where each registered partition lies, by its values.
    pub partitions: BTreeMap<Vec<String>, String>,
}

/// Runs the suite, in a database of this name.
pub async fn suite(subject: &impl Subject, database: &str) {
    a_new_table_is_known_whole(subject, database).await;
    publishing_again_changes_nothing(subject, database).await;
    partitions_come_and_go(subject, database).await;
    partitions_are_many(subject, database).await;
    columns_are_added_at_the_end(subject, database).await;
    what_was_changed_by_hand_is_refused(subject, database).await;
    whole_numbers_widen(subject, database).await;
    a_projected_table_registers_nothing(subject, database).await;
    who_ended_between_two_steps_is_cured_by_repetition(subject, database).await;
}

/// A table of Parquet with these columns, by year and month.
pub fn table(database: &str, name: &str, columns: &[(&str, &str)]) -> Table {
    Table {
        database: database.into(),
        name: name.into(),
        location: format!("s3://lake/{name}/").parse().unwrap(),
        columns: columns.iter().map(|(name, kind)| Column::new(*name, *kind)).collect(),
        partition_keys: vec!["year".into(), "month".into()],
        format: Format::Parquet(PageCompression::Zstd),
        projection: None,
    }
}

const COLUMNS: [(&str, &str); 2] = [("id", "bigint"), ("mean", "double")];

/// A change with partitions of these years and months.
pub fn change(table: &Table, present: &[(&str, &str)], gone: &[(&str, &str)]) -> Change {
    let values = |(year, month): &(&str, &str)| vec![Some((*year).to_owned()), Some((*month).to_owned())];
    let present = present.iter().map(|partition| table.partition(values(partition))).collect();
    Change { table: table.clone(), present, gone: gone.iter().map(values).collect(), files: Vec::new() }
}

fn partitions(table: &Table, known: &[(&str, &str)]) -> BTreeMap<Vec<String>, String> {
    let partition = |(year, month): &(&str, &str)| {
        let at = format!("{}year={year}/month={month}/", table.location);
        (vec![(*year).to_owned(), (*month).to_owned()], at)
    };
    known.iter().map(partition).collect()
}

async fn published(subject: &impl Subject, change: &Change) -> Published {
    let published = subject.catalog().publish(change).await.unwrap();
    let again = subject.catalog().publish(change).await.unwrap();
    let unchanged = (change.present.len() + change.gone.len()) as u64;
    assert_eq!(again, Published { unchanged, ..Published::default() }, "the second time nothing is left to do");
    published
}

async fn refused(subject: &impl Subject, change: &Change) -> String {
    let before = subject.seen(&change.table).await;
    let refused = subject.catalog().publish(change).await.unwrap_err();
    let CatalogError::Refused(why) = refused else { panic!("{refused:?}") };
    assert_eq!(subject.seen(&change.table).await, before, "a refusal changes nothing");
    why
}

async fn a_new_table_is_known_whole(subject: &impl Subject, database: &str) {
    let table = table(database, "created", &COLUMNS);
    assert_eq!(subject.seen(&table).await, None);
    let change = change(&table, &[("2024", "01"), ("2024", "__HIVE_DEFAULT_PARTITION__")], &[]);
    let made = published(subject, &change).await;
    assert_eq!(made, Published { created: true, added: 2, ..Published::default() });
    let seen = subject.seen(&table).await.unwrap();
    assert_eq!(seen.definition, table.definition());
    assert_eq!(seen.partitions, partitions(&table, &[("2024", "01"), ("2024", "__HIVE_DEFAULT_PARTITION__")]));

    // Texts, without partitions, and with names that Hive writes otherwise.
    for format in [Format::JsonLines(TextCompression::Gzip), Format::Csv(TextCompression::None)] {
        let name = format!("created_{}", if matches!(format, Format::Csv(_)) { "csv" } else { "json" });
        let columns = vec![Column::new("uniqueId", "string"), Column::new("größe", "string")];
        let table = Table { columns, partition_keys: vec![], format, ..self::table(database, &name, &[]) };
        let change = Change { table: table.clone(), present: vec![], gone: vec![], files: vec![] };
        assert_eq!(published(subject, &change).await, Published { created: true, ..Published::default() });
        let seen = subject.seen(&table).await.unwrap().definition;
        assert_eq!(seen.storage, Storage::of(format));
        let names: Vec<String> = seen.columns.iter().map(Column::hive_name).collect();
        assert_eq!(names, ["uniqueid", "größe"]);
    }
}

async fn publishing_again_changes_nothing(subject: &impl Subject, database: &str) {
    let table = table(database, "created", &COLUMNS);
    let before = subject.seen(&table).await;
    published(subject, &change(&table, &[("2024", "01")], &[("1999", "12")])).await;
    assert_eq!(subject.seen(&table).await, before);
}

async fn partitions_come_and_go(subject: &impl Subject, database: &str) {
    let table = table(database, "partitions", &COLUMNS);
    published(subject, &change(&table, &[("2024", "01"), ("2024", "02"), ("2024", "03")], &[])).await;
    // Somebody moved one, and added another one, which is nobody's business.
    let mut seen = subject.seen(&table).await.unwrap();
    let moved = vec!["2024".to_owned(), "02".to_owned()];
    seen.partitions.insert(moved, "s3://elsewhere/02/".into());
    seen.partitions.insert(vec!["1970".to_owned(), "01".to_owned()], "s3://lake/by-hand/".into());
    subject.put(&table, Some(&seen)).await;
    let change = change(&table, &[("2024", "02"), ("2024", "03"), ("2024", "04")], &[("2024", "01"), ("1999", "12")]);
    let made = published(subject, &change).await;
    assert_eq!(made, Published { added: 1, moved: 1, removed: 1, unchanged: 2, ..Published::default() });
    let mut expected = partitions(&table, &[("2024", "02"), ("2024", "03"), ("2024", "04")]);
    expected.insert(vec!["1970".to_owned(), "01".to_owned()], "s3://lake/by-hand/".into());
    assert_eq!(subject.seen(&table).await.unwrap().partitions, expected);
}

/// More than one call of any kind takes.
async fn partitions_are_many(subject: &impl Subject, database: &str) {
    let table = table(database, "many", &COLUMNS);
    let numbers: Vec<String> = (0..130).map(|n| format!("{n:04}")).collect();
    let all: Vec<(&str, &str)> = numbers.iter().map(|n| (n.as_str(), "01")).collect();
    let made = published(subject, &change(&table, &all, &[])).await;
    assert_eq!(made, Published { created: true, added: 130, ..Published::default() });
    let made = published(subject, &change(&table, &all[..70], &all[70..])).await;
    assert_eq!(made, Published { removed: 60, unchanged: 70, ..Published::default() });
    assert_eq!(subject.seen(&table).await.unwrap().partitions, partitions(&table, &all[..70]));
}

async fn columns_are_added_at_the_end(subject: &impl Subject, database: &str) {
    let old = table(database, "evolved", &COLUMNS);
    published(subject, &change(&old, &[("2024", "01"), ("2024", "02")], &[])).await;
    let new =
        table(database, "evolved", &[("first", "string"), ("mean", "double"), ("id", "bigint"), ("last", "date")]);
    let made = published(subject, &change(&new, &[("2024", "02"), ("2024", "03")], &[])).await;
    // The partition that has files with more columns now: a catalog that describes partitions one by one has to say so.
    assert_eq!((made.evolved, made.created, made.added, made.updated + made.unchanged), (true, false, 1, 1));
    let columns = [COLUMNS[0], COLUMNS[1], ("first", "string"), ("last", "date")];
    assert_eq!(subject.seen(&new).await.unwrap().definition, table(database, "evolved", &columns).definition());
    let why = refused(subject, &change(&old, &[], &[])).await;
    assert!(why.contains("column `first` is `string` in the catalog and not in the output at all"), "{why}");
}

async fn what_was_changed_by_hand_is_refused(subject: &impl Subject, database: &str) {
    let table = table(database, "by_hand", &COLUMNS);
    let with = |change: &dyn Fn(&mut Definition)| {
        let mut definition = table.definition();
        change(&mut definition);
        Seen { definition, partitions: BTreeMap::new() }
    };
    let cases: [(Seen, &[&str]); 8] = [
        (with(&|it| it.location = "s3://lake/other/".into()), &["s3://lake/other/", "s3://lake/by_hand/"]),
        (with(&|it| it.storage = Storage::Other("com.example.SerDe".into())), &["com.example.SerDe", "Parquet"]),
        (with(&|it| it.storage = Storage::Csv), &["CSV", "Parquet"]),
        (
            with(&|it| it.partition_keys.reverse()),
            &["`month` `string`, `year` `string`", "`year` `string`, `month` `string`"],
        ),
        (with(&|it| it.partition_keys[1].kind = "int".into()), &["`month` `int`"]),
        (with(&|it| it.partition_keys.clear()), &["none", "`year` `string`"]),
        (with(&|it| it.columns[0].kind = "string".into()), &["column `id` is `string`", "`bigint` in the output"]),
        (with(&|it| it.columns[1].kind = "float".into()), &["column `mean` is `float`", "`double` in the output"]),
    ];
    for (seen, words) in cases {
        subject.put(&table, Some(&seen)).await;
        let why = refused(subject, &change(&table, &[("2024", "01")], &[])).await;
        assert!(why.starts_with(&format!("table `{database}.by_hand`: ")), "{why}");
        assert!(words.iter().all(|word| why.contains(word)) && why.contains("publish under another name"), "{why}");
    }
}

async fn whole_numbers_widen(subject: &impl Subject, database: &str) {
    let old = table(database, "widened", &[("id", "int"), ("mean", "double")]);
    let new = table(database, "widened", &COLUMNS);
    subject.put(&old, Some(&Seen { definition: old.definition(), partitions: BTreeMap::new() })).await;
    let made = published(subject, &change(&new, &[], &[])).await;
    assert_eq!(made, Published { evolved: true, ..Published::default() });
    assert_eq!(subject.seen(&new).await.unwrap().definition, new.definition());
    let why = refused(subject, &change(&old, &[], &[])).await;
    assert!(why.contains("column `id` is `bigint` in the catalog and `int` in the output"), "{why}");
}

async fn a_projected_table_registers_nothing(subject: &impl Subject, database: &str) {
    let projected = |to| Table {
        projection: [Part::Year, Part::Month].map(|part| Values::of(part, 2020..=to)).into_iter().collect(),
        ..table(database, "projected", &COLUMNS)
    };
    let table = projected(2030);
    let made = published(subject, &change(&table, &[("2024", "01")], &[("2024", "02")])).await;
    assert_eq!(made, Published { created: true, unchanged: 2, ..Published::default() });
    let seen = subject.seen(&table).await.unwrap();
    assert_eq!(seen, Seen { definition: table.definition(), partitions: BTreeMap::new() });
    let of = |name: &str| seen.definition.projection[name].as_str();
    assert_eq!((of("projection.enabled"), of("projection.month.digits")), ("true", "2"));
    assert_eq!(of("storage.location.template"), "s3://lake/projected/year=${year}/month=${month}/");

    for (year, month) in [("2031", "01"), ("2024", "1"), ("2024", "13"), ("2024", "__HIVE_DEFAULT_PARTITION__")] {
        let why = refused(subject, &change(&table, &[(year, month)], &[])).await;
        assert!(why.contains(&format!("nobody would find partition ({year}, {month})")), "{why}");
    }
    let made = published(subject, &change(&projected(2040), &[("2031", "01")], &[])).await;
    assert_eq!(made, Published { evolved: true, unchanged: 1, ..Published::default() });
    let why = refused(subject, &change(&table, &[], &[])).await;
    assert!(why.contains("range=2020,2040") && why.contains("range=2020,2030"), "{why}");
    let why = refused(subject, &change(&Table { projection: None, ..table.clone() }, &[], &[])).await;
    assert!(why.contains("its partitions are projected, and now they are to be registered"), "{why}");
    let days = Values::Days { from: Date::from_calendar_date(2024, Month::January, 1).unwrap(), to: None };
    let other = Table { projection: Some(vec![days, Values::OneOf(vec!["01".into()])]), ..table.clone() };
    let why = refused(subject, &change(&other, &[], &[])).await;
    assert!(why.contains("type=integer") && why.contains("type=date"), "{why}");
}

/// For every number of steps after which a process may end: the repetition leaves what one run without an end leaves.
async fn who_ended_between_two_steps_is_cured_by_repetition(subject: &impl Subject, database: &str) {
    let old = table(database, "interrupted", &COLUMNS);
    let new = table(database, "interrupted", &[COLUMNS[0], COLUMNS[1], ("last", "date")]);
    let mut before =
        Seen { definition: old.definition(), partitions: partitions(&old, &[("2024", "01"), ("2024", "03")]) };
    before.partitions.insert(vec!["2024".into(), "02".into()], "s3://elsewhere/".into());
    let change = change(&new, &[("2024", "02"), ("2024", "03"), ("2024", "04")], &[("2024", "01")]);
    let after = Seen {
        definition: new.definition(),
        partitions: partitions(&new, &[("2024", "02"), ("2024", "03"), ("2024", "04")]),
    };
    for start in [None, Some(&before)] {
        let mut steps = 0;
        loop {
            subject.put(&new, start).await;
            let ended = subject.interrupted(&change, steps).await;
            if !ended {
                assert_eq!(subject.seen(&new).await.as_ref(), Some(&after), "without an end");
                break;
            }
            published(subject, &change).await;
            assert_eq!(subject.seen(&new).await.as_ref(), Some(&after), "after {steps} steps");
            steps += 1;
        }
        assert!(steps > 1, "nothing was interrupted");
    }
}
