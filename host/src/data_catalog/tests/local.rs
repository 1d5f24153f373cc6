use std::fs;

use super::super::contract::{Seen, Subject, change, suite, table};
use super::super::known::{Entry, Known};
use super::super::local::LocalCatalog;
use super::super::{CatalogError, Change, DataCatalog, Table};

struct Folder {
    folder: tempfile::TempDir,
    catalog: LocalCatalog,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let catalog = LocalCatalog::new(folder.path(), folder.path().join("s3"));
        Self { folder, catalog }
    }
}

impl Subject for Folder {
    fn catalog(&self) -> &dyn DataCatalog {
        &self.catalog
    }

    async fn seen(&self, table: &Table) -> Option<Seen> {
        let mut known = self.catalog.read().unwrap();
        let Entry { definition, partitions, .. } = known.databases.get_mut(&table.database)?.remove(&table.name)?;
        Some(Seen { definition, partitions })
    }

    async fn put(&self, table: &Table, seen: Option<&Seen>) {
        let mut known = self.catalog.read().unwrap();
        let tables = known.databases.entry(table.database.clone()).or_default();
        tables.remove(&table.name);
        if let Some(Seen { definition, partitions }) = seen.cloned() {
            tables.insert(table.name.clone(), Entry { definition, ending: "parquet".into(), partitions });
        }
        self.catalog.write(&known).unwrap();
    }

    /// Its steps are the two files.
    async fn interrupted(&self, change: &Change, steps: usize) -> bool {
        if steps == 1 {
            // No file takes the place of a directory.
            let sql = self.catalog.sql();
            let _ = fs::remove_file(&sql);
            fs::create_dir(&sql).unwrap();
            let cut = self.catalog.publish(change).await;
            fs::remove_dir(&sql).unwrap();
            assert!(matches!(&cut, Err(CatalogError::Refused(why)) if why.contains("data_catalog.sql")), "{cut:?}");
        } else if steps > 1 {
            self.catalog.publish(change).await.unwrap();
        }
        steps <= 1
    }
}

#[tokio::test]
async fn a_folder_keeps_the_contract() {
    suite(&Folder::new(), "lake").await;
}

#[tokio::test]
async fn people_can_read_it() {
    let Folder { folder, catalog } = Folder::new();
    let table = table("lake", "days", &[("id", "bigint"), ("at", "timestamp")]);
    let at = folder.path().join("s3/lake/days/year=2024/month=01");
    fs::create_dir_all(&at).unwrap();
    fs::write(at.join("a.parquet"), "").unwrap();
    catalog.publish(&change(&table, &[("2024", "01"), ("2024", "02")], &[])).await.unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    insta::assert_snapshot!(read("data_catalog.json"), @r#"
    {
      "databases": {
        "lake": {
          "days": {
            "location": "s3://lake/days/",
            "storage": "parquet",
            "columns": [
              {
                "name": "id",
                "type": "bigint"
              },
              {
                "name": "at",
                "type": "timestamp"
              }
            ],
            "partition_keys": [
              {
                "name": "year",
                "type": "string"
              },
              {
                "name": "month",
                "type": "string"
              }
            ],
            "ending": "parquet",
            "partitions": [
              {
                "values": [
                  "2024",
                  "01"
                ],
                "location": "s3://lake/days/year=2024/month=01/"
              },
              {
                "values": [
                  "2024",
                  "02"
                ],
                "location": "s3://lake/days/year=2024/month=02/"
              }
            ]
          }
        }
      }
    }
    "#);
    // The partition without a file is none for DuckDB.
    let sql = read("data_catalog.sql").replace(folder.path().to_str().unwrap(), "FOLDER");
    insta::assert_snapshot!(sql, @r#"
    -- The tables of data_catalog.json for DuckDB. Written anew with every publish.
    CREATE SCHEMA IF NOT EXISTS "lake";
    CREATE OR REPLACE VIEW "lake"."days" AS
    SELECT "id", "at", "year", "month" FROM (
      SELECT NULL::BIGINT AS "id", NULL::TIMESTAMP WITH TIME ZONE AS "at", NULL::VARCHAR AS "year", NULL::VARCHAR AS "month" WHERE false
      UNION ALL BY NAME
      SELECT * FROM read_parquet([
        'FOLDER/s3/lake/days/year=2024/month=01/*.parquet'
      ], union_by_name = true, hive_partitioning = true, hive_types_autocast = false)
    );
    "#);
}

#[tokio::test]
async fn what_is_no_catalog_is_left_alone() {
    let Folder { folder, catalog } = Folder::new();
    let path = folder.path().join("data_catalog.json");
    fs::write(&path, "{\"databases\": 1}").unwrap();
    let change = change(&table("lake", "days", &[("id", "bigint")]), &[], &[]);
    let refused = catalog.publish(&change).await.unwrap_err();
    assert!(matches!(&refused, CatalogError::Refused(why) if why.contains("it is no data catalog")), "{refused:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"databases\": 1}");
    fs::remove_file(&path).unwrap();
    catalog.publish(&change).await.unwrap();
    assert_ne!(catalog.read().unwrap(), Known::default());
}

/// DuckDB takes it for a `/` in patterns.
#[tokio::test]
async fn a_folder_that_duckdb_cannot_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a\\b");
    let catalog = LocalCatalog::new(&root, root.join("s3"));
    let change = change(&table("lake", "days", &[("id", "bigint")]), &[("2024", "01")], &[]);
    catalog.publish(&change).await.unwrap();
    let at = root.join("s3/lake/days/year=2024/month=01");
    fs::create_dir_all(&at).unwrap();
    fs::write(at.join("a.parquet"), "").unwrap();
    let refused = catalog.publish(&change).await.unwrap_err();
    assert!(
        matches!(&refused, CatalogError::Refused(why) if why.contains("move the folder of `--local`")),
        "{refused:?}"
    );
}

/// Two runs into one folder: neither forgets what the other one made known.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_who_publish_at_once_wait_for_each_other() {
    let Folder { catalog, .. } = &Folder::new();
    let publish = async |n: usize| {
        let table = table("lake", &format!("t{n}"), &[("id", "bigint")]);
        catalog.publish(&change(&table, &[("2024", "01")], &[])).await.unwrap();
    };
    futures::future::join_all((0..8).map(publish)).await;
    assert_eq!(catalog.read().unwrap().databases["lake"].len(), 8);
}
