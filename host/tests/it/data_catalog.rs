//! Tables that others find: the contract of data catalogs against two emulators of the AWS Glue Data Catalog, and what DuckDB
//! reads by way of the local one.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use gristmill::data_catalog::contract::{Seen, Subject, change, suite, table};
use gristmill::data_catalog::glue::Glue;
use gristmill::data_catalog::local::LocalCatalog;
use gristmill::data_catalog::{CatalogError, Change, Column, DataCatalog, Table, Values};
use gristmill::dataset::{Format, PageCompression, TextCompression};
use serde_json::{Value, json};

use crate::emulator::{Emulator, config, shared};
use crate::proxy::{Answer, Call, Policy, Proxy, Service};
use crate::support::project;

/// A Data Catalog on an emulator.
struct OnEmulator {
    endpoint: String,
    glue: Glue,
}

impl OnEmulator {
    fn at(endpoint: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), glue: Glue::new(&config(endpoint)) }
    }
}

/// Passes so many calls on, and breaks the connections of all others: what a service sees of a process that ended.
struct EndsAfter(AtomicUsize);

#[async_trait]
impl Policy for EndsAfter {
    async fn relay(&self, call: &Call, service: &Service) -> Option<Answer> {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() { Some(service.ask(call).await) } else { None }
    }
}

impl Subject for OnEmulator {
    fn catalog(&self) -> &dyn DataCatalog {
        &self.glue
    }

    async fn seen(&self, table: &Table) -> Option<Seen> {
        self.glue.seen(table).await
    }

    async fn put(&self, table: &Table, seen: Option<&Seen>) {
        self.glue.put(table, seen).await;
    }

    async fn interrupted(&self, change: &Change, steps: usize) -> bool {
        let proxy = Proxy::before(&self.endpoint, Arc::new(EndsAfter(steps.into()))).await;
        let once =
            config(&proxy.endpoint).into_builder().retry_config(aws_config::retry::RetryConfig::disabled()).build();
        match Glue::new(&once).publish(change).await {
            Ok(_) => false,
            Err(CatalogError::Unavailable(_)) => true,
            Err(refused) => panic!("{refused}"),
        }
    }
}

/// What only a service of its own can say, and how partitions are described in it.
async fn keeps_the_contract(on: &OnEmulator, database: &str) {
    let days = table(database, "days", &[("id", "bigint")]);
    let refused = on.glue.publish(&change(&days, &[], &[])).await.unwrap_err();
    let CatalogError::Refused(why) = refused else { panic!("{refused:?}") };
    assert!(why.contains(&format!("aws glue create-database --database-input Name={database}")), "{why}");
    on.glue.make_database(&days).await;
    suite(on, database).await;

    // A partition has the columns that its table had, until a run leaves files in it.
    let months = [("2024", "01"), ("2024", "02")];
    on.glue.publish(&change(&days, &months, &[])).await.unwrap();
    let more = table(database, "days", &[("id", "bigint"), ("last", "date")]);
    let made = on.glue.publish(&change(&more, &months[1..], &[])).await.unwrap();
    assert_eq!((made.evolved, made.updated), (true, 1));
    let partitions = on.glue.partitions(&more).await.into_values();
    let columns: Vec<usize> = partitions.map(|storage| storage["Columns"].as_array().unwrap().len()).collect();
    assert_eq!(columns, [1, 2]);

    // What people added to a table stays.
    let mut raw = on.glue.raw(&more).await;
    let mut input = json!({"Name": "days", "TableType": "EXTERNAL_TABLE", "Description": "by hand"});
    for name in ["StorageDescriptor", "PartitionKeys", "Parameters"] {
        input[name] = raw[name].take();
    }
    input["StorageDescriptor"]["Columns"][0]["Comment"] = "the station".into();
    on.glue.overwrite(&more, input).await;
    let most = table(database, "days", &[("id", "bigint"), ("last", "date"), ("note", "string")]);
    on.glue.publish(&change(&most, &[], &[])).await.unwrap();
    let raw = on.glue.raw(&most).await;
    let columns = &raw["StorageDescriptor"]["Columns"];
    assert_eq!((&raw["Description"], &columns[0]["Comment"]), (&json!("by hand"), &json!("the station")));
    assert_eq!(columns.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn the_glue_of_ministack_keeps_the_contract() {
    keeps_the_contract(&OnEmulator::at(shared()), "contract_catalog").await;
}

/// As it is: it takes any `VersionId`, so that of races it knows nothing.
#[tokio::test]
async fn the_glue_of_moto_keeps_the_contract() {
    let moto = Emulator::moto();
    keeps_the_contract(&OnEmulator::at(&moto.endpoint), "contract_catalog").await;
}

/// Nobody there, or nobody who answers: again later.
#[tokio::test]
async fn a_service_that_is_away_is_no_refusal() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let once =
        config(&format!("http://{nobody}")).into_builder().retry_config(aws_config::retry::RetryConfig::disabled());
    let away = Glue::new(&once.build()).publish(&change(&table("lake", "days", &[("id", "bigint")]), &[], &[])).await;
    assert!(matches!(&away, Err(CatalogError::Unavailable(why)) if why.contains("table `lake.days`")), "{away:?}");
}

/// Writes the files of tables, then reads them by the names that the SQL gives them.
const WRITE: &str = r#"
import gzip, os, sys
import pyarrow as pa, pyarrow.parquet as pq
root = sys.argv[1]
def path(*parts):
    at = os.path.join(root, *parts)
    os.makedirs(os.path.dirname(at), exist_ok=True)
    return at
def parquet(parts, /, **columns):
    pq.write_table(pa.table(columns), path(*parts))
utc = pa.timestamp("us", "UTC")
parquet(["lake", "days", "year=2024", "k%3Dey=a%2Fb", "a.parquet"], id=pa.array([1, 2], pa.int64()))
parquet(["lake", "days", "year=2024", "k%3Dey=__HIVE_DEFAULT_PARTITION__", "a.parquet"],
        id=pa.array([3], pa.int64()), at=pa.array([0], utc), **{'na"me\'': pa.array(["x"])})
parquet(["lake", "days", "year=0099", "k%3Dey=01", "a.parquet"], id=pa.array([4], pa.int64()))
parquet(["lake", "days", "year=1970", "k%3Dey=01", "a.parquet"], id=pa.array([99], pa.int64()))
parquet(["lake", "plain", "a.parquet"], id=pa.array([5], pa.int32()))
parquet(["lake", "plain", "b.parquet"], id=pa.array([1 << 40], pa.int64()))
parquet(["lake", "plain", "year=1970", "c.parquet"], id=pa.array([99], pa.int64()))
parquet(["lake", "projected", "month=01", "a.parquet"], id=pa.array([6], pa.int64()))
with gzip.open(path("lake", "lines", "Day=01", "a.jsonl.gz"), "wt") as lines:
    lines.write('{"Id":7,"extra":{"z":[1,null,"é"]},"at":"2024-01-31T12:00:00.5Z"}\n{"Id":8,"extra":"te\'xt"}\n')
with open(path("lake", "values", "a.csv"), "w") as values:
    values.write('id,name\n9,"a ""q"" b"\n')
with open(path("lake", "values", "b.csv"), "w") as values:
    values.write("id,name,more\n10,,007\n")
"#;

const READ: &str = r#"
import json, sys
import duckdb
connection = duckdb.connect()
for _ in range(2):
    connection.execute(open(sys.argv[1]).read())
connection.execute("SET TimeZone = 'UTC'")
found = {}
for schema, name in connection.execute(
        "SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal ORDER BY ALL").fetchall():
    quoted = '"' + schema + '"."' + name + '"'
    types = [(column, kind) for column, kind, *_ in connection.execute("DESCRIBE " + quoted).fetchall()]
    texts = ", ".join('"' + column.replace('"', '""') + '"::VARCHAR' for column, _ in types)
    rows = connection.execute("SELECT " + texts + " FROM " + quoted + " ORDER BY ALL").fetchall()
    found[name] = {"columns": [" ".join(column) for column in types], "rows": rows}
found["asked"] = connection.execute(
    "SELECT count(*), min(id) FROM lake.days WHERE year = '2024' AND \"k=ey\" = 'a/b' AND id > 1").fetchall()
print(json.dumps(found))
"#;

fn python(script: &str, argument: &Path) -> Vec<u8> {
    let run =
        Command::new(project("target/venv-emulator/bin/python")).args(["-c", script]).arg(argument).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    run.stdout
}

#[tokio::test]
async fn duckdb_finds_the_tables_of_a_local_catalog() {
    let folder = tempfile::tempdir().unwrap();
    // Each of these characters means something to a pattern or to a text in SQL.
    let root = folder.path().join("we[ir]d 'root'*? {x} \"q\"");
    let objects = root.join("s3");
    python(WRITE, &objects);
    let catalog = LocalCatalog::new(&root, &objects);
    let of = |name: &str, columns: &[(&str, &str)], keys: &[&str], format| Table {
        partition_keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        format,
        ..table("lake", name, columns)
    };
    let parquet = Format::Parquet(PageCompression::Zstd);
    let publish = async |table: Table, partitions: &[&[Option<&str>]]| {
        let values = |values: &&[Option<&str>]| values.iter().map(|value| value.map(str::to_owned)).collect();
        let present = partitions.iter().map(|partition| table.partition(values(partition))).collect();
        catalog.publish(&Change { table, present, gone: vec![], files: vec![] }).await.unwrap();
    };
    let columns = [("id", "bigint"), ("at", "timestamp"), ("na\"me'", "string"), ("later", "double")];
    let days = of("days", &columns, &["year", "k=ey"], parquet);
    let partitions: [&[Option<&str>]; 4] = [
        &[Some("2024"), Some("a/b")],
        &[Some("2024"), None],
        &[Some("0099"), Some("01")],
        // Nobody wrote anything there.
        &[Some("2025"), Some("01")],
    ];
    publish(days, &partitions).await;
    publish(of("plain", &[("id", "bigint")], &[], parquet), &[]).await;
    publish(of("empty", &[("id", "bigint"), ("day", "date")], &["year"], parquet), &[]).await;
    let projection = Some(vec![Values::Integers { from: 1, to: 12, digits: 2 }]);
    publish(Table { projection, ..of("projected", &[("id", "bigint")], &["month"], parquet) }, &[&[Some("01")]]).await;
    let lines = [("Id", "bigint"), ("extra", "string"), ("at", "string")];
    publish(of("lines", &lines, &["Day"], Format::JsonLines(TextCompression::Gzip)), &[&[Some("01")]]).await;
    let values = ["id", "name", "more"].map(|name| Column::new(name, "string")).to_vec();
    publish(Table { columns: values, ..of("values", &[], &[], Format::Csv(TextCompression::None)) }, &[]).await;

    let found: Value = serde_json::from_slice(&python(READ, &catalog.sql())).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&found).unwrap(), @r#"
    {
      "asked": [
        [
          1,
          2
        ]
      ],
      "days": {
        "columns": [
          "id BIGINT",
          "at TIMESTAMP WITH TIME ZONE",
          "na\"me' VARCHAR",
          "later DOUBLE",
          "year VARCHAR",
          "k=ey VARCHAR"
        ],
        "rows": [
          [
            "1",
            null,
            null,
            null,
            "2024",
            "a/b"
          ],
          [
            "2",
            null,
            null,
            null,
            "2024",
            "a/b"
          ],
          [
            "3",
            "1970-01-01 00:00:00+00",
            "x",
            null,
            "2024",
            null
          ],
          [
            "4",
            null,
            null,
            null,
            "0099",
            "01"
          ]
        ]
      },
      "empty": {
        "columns": [
          "id BIGINT",
          "day DATE",
          "year VARCHAR"
        ],
        "rows": []
      },
      "lines": {
        "columns": [
          "Id BIGINT",
          "extra VARCHAR",
          "at VARCHAR",
          "Day VARCHAR"
        ],
        "rows": [
          [
            "7",
            "{\"z\":[1,null,\"é\"]}",
            "2024-01-31T12:00:00.5Z",
            "01"
          ],
          [
            "8",
            "te'xt",
            null,
            "01"
          ]
        ]
      },
      "plain": {
        "columns": [
          "id BIGINT"
        ],
        "rows": [
          [
            "1099511627776"
          ],
          [
            "5"
          ]
        ]
      },
      "projected": {
        "columns": [
          "id BIGINT",
          "month VARCHAR"
        ],
        "rows": [
          [
            "6",
            "01"
          ]
        ]
      },
      "values": {
        "columns": [
          "id VARCHAR",
          "name VARCHAR",
          "more VARCHAR"
        ],
        "rows": [
          [
            "10",
            null,
            "007"
          ],
          [
            "9",
            "a \"q\" b",
            null
          ]
        ]
      }
    }
    "#);
}
