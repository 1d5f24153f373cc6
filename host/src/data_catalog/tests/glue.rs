use serde_json::{Value, json};

use super::super::contract::{change, table};
use super::super::glue::Glue;
use super::super::{CatalogError, Change, DataCatalog, Published, Table};
use crate::aws::recorded::{Recorded, Response};

fn days() -> Table {
    table("lake", "days", &[("id", "bigint"), ("PRCP", "double")])
}

fn ok(body: Value) -> Response {
    Response::json(200, &body.to_string())
}

fn error(status: u16, code: &str) -> Response {
    Response::json(status, &json!({"__type": code, "Message": "why"}).to_string())
}

fn missing() -> Response {
    error(400, "EntityNotFoundException")
}

/// One entry of `Errors`.
fn fault(values: [&str; 2], code: &str) -> Value {
    json!({"PartitionValues": values, "ErrorDetail": {"ErrorCode": code, "ErrorMessage": "why"}})
}

/// The table as the service has it, after what was asked to make it.
async fn made() -> Value {
    let (_, asked) = publish(vec![missing(), ok(json!({}))], &change(&days(), &[], &[])).await;
    let mut table = asked[1].1["TableInput"].clone();
    table["VersionId"] = "7".into();
    table
}

/// What comes of it, and the calls with their bodies.
async fn publish(answers: Vec<Response>, change: &Change) -> (Result<Published, CatalogError>, Vec<(String, Value)>) {
    let replay = Recorded::start(answers).await;
    let published = Glue::new(&replay.config).publish(change).await;
    let call =
        |head: &str| head.lines().find_map(|line| line.strip_prefix("x-amz-target: AWSGlue.").map(str::to_owned));
    let requests = replay.requests().into_iter();
    let asked = requests.map(|asked| (call(&asked.head).unwrap(), serde_json::from_str(&asked.body).unwrap()));
    (published, asked.collect())
}

fn why(result: Result<Published, CatalogError>, refused: bool) -> String {
    match result {
        Err(CatalogError::Refused(why)) if refused => why,
        Err(CatalogError::Unavailable(why)) if !refused => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_table_is_made_as_readers_of_parquet_expect_it() {
    let (published, asked) =
        publish(vec![missing(), ok(json!({})), ok(json!({"Errors": []}))], &change(&days(), &[("2024", "01")], &[]))
            .await;
    assert_eq!(published, Ok(Published { created: true, added: 1, ..Published::default() }));
    insta::assert_snapshot!(serde_json::to_string_pretty(&asked).unwrap(), @r#"
    [
      [
        "GetTable",
        {
          "DatabaseName": "lake",
          "Name": "days"
        }
      ],
      [
        "CreateTable",
        {
          "DatabaseName": "lake",
          "TableInput": {
            "Name": "days",
            "Parameters": {
              "EXTERNAL": "TRUE",
              "classification": "parquet",
              "compressionType": "none"
            },
            "PartitionKeys": [
              {
                "Name": "year",
                "Type": "string"
              },
              {
                "Name": "month",
                "Type": "string"
              }
            ],
            "StorageDescriptor": {
              "Columns": [
                {
                  "Name": "id",
                  "Type": "bigint"
                },
                {
                  "Name": "prcp",
                  "Type": "double"
                }
              ],
              "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
              "Location": "s3://lake/days/",
              "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
              "SerdeInfo": {
                "Parameters": {
                  "serialization.format": "1"
                },
                "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
              }
            },
            "TableType": "EXTERNAL_TABLE"
          }
        }
      ],
      [
        "BatchCreatePartition",
        {
          "DatabaseName": "lake",
          "PartitionInputList": [
            {
              "StorageDescriptor": {
                "Columns": [
                  {
                    "Name": "id",
                    "Type": "bigint"
                  },
                  {
                    "Name": "prcp",
                    "Type": "double"
                  }
                ],
                "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                "Location": "s3://lake/days/year=2024/month=01/",
                "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
                "SerdeInfo": {
                  "Parameters": {
                    "serialization.format": "1"
                  },
                  "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
                }
              },
              "Values": [
                "2024",
                "01"
              ]
            }
          ],
          "TableName": "days"
        }
      ]
    ]
    "#);
}

#[tokio::test]
async fn texts_are_described_by_what_reads_them() {
    use crate::dataset::{Format, TextCompression};
    for (format, expected) in [
        (Format::JsonLines(TextCompression::Gzip), json!(["json", "gzip", null, "org.openx.data.jsonserde.JsonSerDe"])),
        (Format::Csv(TextCompression::None), json!(["csv", "none", "1", "org.apache.hadoop.hive.serde2.OpenCSVSerde"])),
    ] {
        let text = Table { format, ..days() };
        let (_, asked) = publish(vec![missing(), ok(json!({}))], &change(&text, &[], &[])).await;
        let input = &asked[1].1["TableInput"];
        let (of, serde) = (&input["Parameters"], &input["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"]);
        assert_eq!(json!([of["classification"], of["compressionType"], of["skip.header.line.count"], serde]), expected);
    }
}

#[tokio::test]
async fn what_somebody_wrote_about_a_table_stays() {
    let mut found = made().await;
    found["Description"] = "days of rain".into();
    found["Parameters"]["owner"] = "ana".into();
    found["StorageDescriptor"]["Columns"][0]["Comment"] = "of the station".into();
    found["CreateTime"] = 1.into();
    found["ViewOriginalText"] = Value::Null;
    let wider = table("lake", "days", &[("id", "bigint"), ("PRCP", "double"), ("note", "string")]);
    let answers = vec![ok(json!({"Table": found})), ok(json!({}))];
    let (published, asked) = publish(answers, &change(&wider, &[], &[])).await;
    assert_eq!(published, Ok(Published { evolved: true, ..Published::default() }));
    let (call, body) = &asked[1];
    assert_eq!((call.as_str(), &body["VersionId"], &body["SkipArchive"]), ("UpdateTable", &json!("7"), &json!(true)));
    let input = &body["TableInput"];
    assert_eq!((&input["Description"], &input["Parameters"]["owner"]), (&json!("days of rain"), &json!("ana")));
    assert_eq!(
        input["StorageDescriptor"]["Columns"],
        json!([
            {"Name": "id", "Type": "bigint", "Comment": "of the station"},
            {"Name": "prcp", "Type": "double"},
            {"Name": "note", "Type": "string"},
        ])
    );
    // None of them is taken by UpdateTable.
    assert!(["VersionId", "CreateTime", "ViewOriginalText"].iter().all(|name| input.get(name).is_none()), "{input}");
}

#[tokio::test]
async fn of_two_who_change_a_table_one_reads_again() {
    let mut old = made().await;
    let wanted = change(&days(), &[], &[]);
    let new = old.clone();
    old["StorageDescriptor"]["Columns"].as_array_mut().unwrap().pop();
    for race in ["ConcurrentModificationException", "VersionMismatchException"] {
        let answers = vec![ok(json!({"Table": old})), error(400, race), ok(json!({"Table": new}))];
        let (published, asked) = publish(answers, &wanted).await;
        assert_eq!((published, asked.len()), (Ok(Published::default()), 3));
    }
    // It was made in between, or our own request was, and its answer was lost.
    let answers = vec![missing(), error(400, "AlreadyExistsException"), ok(json!({"Table": new}))];
    assert_eq!(publish(answers, &wanted).await.0, Ok(Published::default()));
    let again = (0..4).flat_map(|_| [ok(json!({"Table": old})), error(400, "ConcurrentModificationException")]);
    let said = why(publish(again.collect(), &wanted).await.0, false);
    insta::assert_snapshot!(said, @"table `lake.days`: somebody else changes it in the AWS Glue Data Catalog again and again");
}

#[tokio::test]
async fn a_missing_database_is_named_with_what_makes_it() {
    let (refused, _) = publish(vec![missing(), missing()], &change(&days(), &[], &[])).await;
    insta::assert_snapshot!(why(refused, true), @"table `lake.days`: there is no database `lake` in the AWS Glue Data Catalog of this account and region: make it with `aws glue create-database --database-input Name=lake`");
}

#[tokio::test]
async fn tables_whose_files_others_manage_are_refused() {
    let of = async |change_it: &dyn Fn(&mut Value)| {
        let mut found = made().await;
        change_it(&mut found);
        why(publish(vec![ok(json!({"Table": found}))], &change(&days(), &[], &[])).await.0, true)
    };
    assert!(of(&|it| it["TableType"] = "VIRTUAL_VIEW".into()).await.contains("in the catalog it is a view"));
    assert!(of(&|it| it["Parameters"]["table_type"] = "iceberg".into()).await.contains("a table of ICEBERG"));
    assert!(
        of(&|it| it["Parameters"]["spark.sql.sources.provider"] = "delta".into()).await.contains("a table of DELTA")
    );
    assert!(of(&|it| it["StorageDescriptor"] = json!({})).await.contains("in the catalog it lies at , "));
}

#[tokio::test]
async fn a_partition_that_is_described_otherwise_is_described_anew() {
    let found = made().await;
    let storage = |columns: usize, at: &str| {
        let mut storage = found["StorageDescriptor"].clone();
        storage["Columns"].as_array_mut().unwrap().truncate(columns);
        storage["Location"] = at.into();
        storage
    };
    let month = |month: &str| format!("s3://lake/days/year=2024/month={month}/");
    let there = json!([
        {"Values": ["2024", "01"], "StorageDescriptor": storage(2, &month("01"))},
        {"Values": ["2024", "02"], "StorageDescriptor": storage(1, &month("02")), "Parameters": {"note": "x"}},
        {"Values": ["2024", "03"], "StorageDescriptor": storage(2, "s3://elsewhere")},
    ]);
    let known = ["01", "02", "03"].map(|month| fault(["2024", month], "AlreadyExistsException"));
    let months = ["01", "02", "03", "04"].map(|month| ("2024", month));
    let answers = |update: Value| {
        vec![
            ok(json!({"Table": found})),
            ok(json!({"Errors": known})),
            ok(json!({"Partitions": there, "UnprocessedKeys": []})),
            ok(json!({"Errors": update})),
        ]
    };
    let (published, asked) = publish(answers(json!([])), &change(&days(), &months, &[])).await;
    assert_eq!(published, Ok(Published { added: 1, moved: 1, updated: 1, unchanged: 1, ..Published::default() }));
    let calls: Vec<_> = asked.iter().map(|(call, _)| call.as_str()).collect();
    assert_eq!(calls, ["GetTable", "BatchCreatePartition", "BatchGetPartition", "BatchUpdatePartition"]);
    let entries = asked[3].1["Entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["PartitionValueList"], json!(["2024", "02"]));
    assert_eq!(entries[0]["PartitionInput"]["StorageDescriptor"], storage(2, &month("02")));
    assert_eq!(entries[0]["PartitionInput"]["Parameters"], json!({"note": "x"}));
    assert_eq!(entries[1]["PartitionInput"]["StorageDescriptor"]["Location"], json!(month("03")));

    let failed = json!([{"PartitionValueList": ["2024", "02"], "ErrorDetail": {"ErrorCode": "InvalidInputException", "ErrorMessage": "why"}}]);
    let (refused, _) = publish(answers(failed), &change(&days(), &months, &[])).await;
    insta::assert_snapshot!(why(refused, true), @"table `lake.days`: partition (2024, 02): BatchUpdatePartition of AWS Glue: why (InvalidInputException)");
}

#[tokio::test]
async fn each_partition_that_was_not_done_is_read() {
    let table = made().await;
    let of = async |errors: Value| {
        let answers = vec![ok(json!({"Table": table})), ok(json!({"Errors": errors}))];
        publish(answers, &change(&days(), &[("2024", "01"), ("2024", "02")], &[])).await.0
    };
    let refused = of(json!([fault(["2024", "02"], "ResourceNumberLimitExceededException")])).await;
    assert!(why(refused, true).contains("partition (2024, 02): BatchCreatePartition of AWS Glue: why (ResourceNumber"));
    for passing in
        ["InternalServiceException", "ThrottlingException", "OperationTimeoutException", "EntityNotFoundException"]
    {
        why(of(json!([fault(["2024", "02"], passing)])).await, false);
    }
    why(of(json!([{}])).await, false);
}

#[tokio::test]
async fn a_partition_that_vanishes_meanwhile_is_no_refusal() {
    let answers = vec![
        ok(json!({"Table": made().await})),
        ok(json!({"Errors": [fault(["2024", "01"], "AlreadyExistsException")]})),
        ok(json!({"Partitions": []})),
    ];
    let said = why(publish(answers, &change(&days(), &[("2024", "01")], &[])).await.0, false);
    insta::assert_snapshot!(said, @"table `lake.days`: partition (2024, 01) was there a moment ago, and AWS Glue does not say where it lies");
}

#[tokio::test]
async fn partitions_are_taken_away_twenty_five_at_a_time() {
    let names: Vec<String> = (0..60).map(|n| format!("{n:02}")).collect();
    let gone: Vec<(&str, &str)> = names.iter().map(|name| ("2024", name.as_str())).collect();
    let unknown = json!([fault(["2024", "00"], "EntityNotFoundException")]);
    let answers =
        vec![ok(json!({"Table": made().await})), ok(json!({"Errors": unknown})), ok(json!({})), ok(json!({}))];
    let (published, asked) = publish(answers, &change(&days(), &[], &gone)).await;
    assert_eq!(published, Ok(Published { removed: 59, unchanged: 1, ..Published::default() }));
    let sizes: Vec<_> =
        asked[1..].iter().map(|(_, body)| body["PartitionsToDelete"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [25, 25, 10]);
}

#[tokio::test]
async fn a_refusal_is_told_from_silence() {
    for (answer, refused, words) in [
        (error(400, "AccessDeniedException"), true, "allow `glue:GetTable` on the catalog, the database and the table"),
        (error(400, "InvalidInputException"), true, "GetTable of AWS Glue: why (InvalidInputException, HTTP 400)"),
        (error(400, "GlueEncryptionException"), true, "why"),
        (error(400, "ThrottlingException"), false, "why"),
        (error(400, "OperationTimeoutException"), false, "why"),
        (error(400, "FederationSourceRetryableException"), false, "why"),
        (error(500, "InternalServiceException"), false, "why"),
        (Response::json(200, "{}").cut(1), false, "GetTable of AWS Glue"),
    ] {
        let said = why(publish(vec![answer], &change(&days(), &[], &[])).await.0, refused);
        assert!(said.starts_with("table `lake.days`: ") && said.contains(words), "{said}");
    }
}

/// The service's own wish for fewer calls costs time, and no run.
#[tokio::test(start_paused = true)]
async fn a_throttled_call_is_repeated() {
    let throttled = || error(400, "ThrottlingException");
    let answers = vec![throttled(), throttled(), ok(json!({"Table": made().await})), throttled(), ok(json!({}))];
    let replay = Recorded::start(answers).await;
    let published = Glue::new(&replay.retrying()).publish(&change(&days(), &[("2024", "01")], &[])).await;
    assert_eq!((published, replay.requests().len()), (Ok(Published { added: 1, ..Published::default() }), 5));
}
