use proptest::prelude::*;

use super::super::{BatchFailure, RunError};
use super::*;
use crate::job::{Digest, FailureKind, ItemFailure};
use crate::report::{BatchReport, Component, Failures, ItemCounts};
use crate::sink::Written;
use crate::text::hostile::{self, assert_tame, edges};

fn report(batch: u64, rejected: u64) -> BatchReport {
    let failure = |index: u64| ItemFailure {
        index: index as u32,
        item: Some(format!("csv/by_station/{batch}-{index}.csv")),
        code: "no-header".into(),
        message: "the object is empty".into(),
        kind: FailureKind::Rejected,
    };
    let written = |output: &str, place: String| Written {
        output: output.into(),
        place,
        files: None,
        rows: 100,
        bytes: 4_000,
        digest: None,
    };
    BatchReport {
        dataset: "noaa".into(),
        component: Component { name: "noaa".into(), version: "0.1.0".into(), digest: Digest::of(b""), release: None },
        items: ItemCounts { total: 100, succeeded: 100 - rejected, rejected },
        bytes_read: 10_000_000,
        outputs: vec![
            written("stations", "table:noaa".into()),
            written("daily", format!("s3://results/daily/r-00000{batch}-ab.parquet")),
        ],
        failures: Failures {
            by_code: (rejected > 0).then(|| ("no-header".to_owned(), rejected)).into_iter().collect(),
            first: (0..rejected).map(failure).collect(),
        },
        report: None,
        from_receipt: false,
    }
}

fn summary(fill: impl FnOnce(&mut Summary)) -> Summary {
    let mut summary = Summary::new("noaa", "the objects under s3://data/csv/".into());
    summary.items.total = 200;
    fill(&mut summary);
    summary.finish(Duration::from_secs(4));
    summary
}

/// A summary with this text wherever a plugin, a key or a store may choose one.
fn told_by(text: &str) -> String {
    let mut told = summary(|summary| {
        let mut strange = report(0, 1);
        strange.component.name = text.into();
        strange.component.version = text.into();
        strange.outputs.iter_mut().for_each(|output| output.place = format!("s3://{text}"));
        strange.failures.by_code = [(format!("a{text}"), 1)].into();
        strange.failures.first[0].code = format!("a{text}");
        strange.failures.first[0].item = Some(text.into());
        strange.failures.first[0].message = text.into();
        strange.report = Some(text.into());
        summary.succeeded(0, strange);
        summary.failed(1, 9, BatchFailure { error: format!("b{text}"), cause: text.into() }, None);
        summary.status = Status::Failed;
        summary.error = Some(RunError { name: "States.ItemReaderFailed", cause: text.into() });
    });
    told.items.total = 9;
    let mut none = told.clone();
    (none.items.total, none.status, none.source) = (0, Status::Succeeded, text.into());
    format!("{told}{none}")
}

proptest! {
    #[test]
    fn nobody_fakes_a_line_of_the_summary(text in hostile::text()) {
        let printed = told_by(&format!("x{text}"));
        assert_tame(&printed);
        // Further lines of messages are deeper than any line of ours.
        prop_assert_eq!(edges(&printed, 17), edges(&told_by("honest"), 17), "{}", printed);
    }
}

#[test]
fn all_good() {
    let mut all_good = summary(|summary| {
        summary.succeeded(0, report(0, 0));
        summary.succeeded(1, report(1, 0));
    });
    all_good.locate(|place| place.starts_with("table:").then(|| "work/demo/tables.sqlite".into()));
    insta::assert_snapshot!(all_good, @"
        noaa: succeeded in 4.0 s
          component  noaa 0.1.0 (sha256:e3b0c44298fc…)
          items      200: 200 succeeded
          batches    2 done now, 0 already done before, 0 failed
          output     stations: 200 rows, 8.00 kB, in work/demo/tables.sqlite
                     daily: 200 rows, 8.00 kB, in s3://results/daily/ (2 objects)
          speed      50 items/s, 5.00 MB/s (20.00 MB read)
        ");
}

#[test]
fn with_failures() {
    let with_failures = summary(|summary| {
        summary.succeeded(0, report(0, 4));
        let failure = BatchFailure { error: "Gristmill.BadPlugin".into(), cause: "no component\nat x.wasm".into() };
        summary.failed(1, 100, failure, None);
    });
    insta::assert_snapshot!(with_failures, @"
        noaa: succeeded in 4.0 s
          component  noaa 0.1.0 (sha256:e3b0c44298fc…)
          items      200: 96 succeeded, 4 rejected, 100 in failed batches
          batches    1 done now, 0 already done before, 1 failed
          output     stations: 100 rows, 4.00 kB, in table:noaa
                     daily: 100 rows, 4.00 kB, in s3://results/daily/r-000000-ab.parquet
          failures   100 × Gristmill.BadPlugin
                       batch 000001: no component
                         at x.wasm
                     4 × no-header
                       csv/by_station/0-0.csv: the object is empty
                       csv/by_station/0-1.csv: the object is empty
                       csv/by_station/0-2.csv: the object is empty
          speed      25 items/s, 2.50 MB/s (10.00 MB read)
        ");
}

#[test]
fn nothing_to_do() {
    let replayed = |batch| BatchReport { from_receipt: true, ..report(batch, 0) };
    insta::assert_snapshot!(summary(|summary| {
            summary.succeeded(0, replayed(0));
            summary.succeeded(1, replayed(1));
        }), @"
        noaa: nothing new to do; everything had been done before
          component  noaa 0.1.0 (sha256:e3b0c44298fc…)
          items      200: 200 succeeded
          batches    0 done now, 2 already done before, 0 failed
          output     stations: 200 rows, 8.00 kB, in table:noaa
                     daily: 200 rows, 8.00 kB, in s3://results/daily/ (2 objects)
        ");
}

#[test]
fn done_again() {
    insta::assert_snapshot!(summary(|summary| {
            let without_rows = |batch| {
                let mut report = report(batch, 0);
                report.outputs[1].rows = 0;
                report
            };
            summary.succeeded(0, without_rows(0));
            summary.succeeded(1, without_rows(1));
            summary.redone(1, Cause::InputsChanged, "s3://data/csv/1.csv");
            summary.redone(0, Cause::InputsChanged, "s3://data/csv/0.csv");
            summary.redone(2, Cause::OutputsGone, "table:noaa");
            summary.redone(3, Cause::RulesChanged, "");
            summary.locate(|place| Some(format!("local/{place}")));
        }), @"
        noaa: succeeded in 4.0 s
          component  noaa 0.1.0 (sha256:e3b0c44298fc…)
          items      200: 200 succeeded
          batches    2 done now, 0 already done before, 0 failed
          again      2 batches again: their inputs changed (s3://data/csv/0.csv, ...)
                     1 batch again: its outputs were gone or changed (table:noaa)
                     1 batch again: its items were rejected under other grants or limits
          output     stations: 200 rows, 8.00 kB, in local/table:noaa
                     daily: no rows, no file
          speed      50 items/s, 5.00 MB/s (20.00 MB read)
        ");
}

#[test]
fn an_output_is_where_its_rows_are() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let text = summary(|summary| {
            for batch in order {
                let mut report = report(batch, 0);
                report.outputs[1].rows *= u64::from(batch == 1);
                summary.succeeded(batch, report);
            }
        });
        assert!(
            text.to_string().contains("daily: 100 rows, 12.00 kB, in s3://results/daily/r-000001-ab.parquet"),
            "{text}"
        );
    }
}

#[test]
fn no_items() {
    insta::assert_snapshot!(summary(|summary| summary.items.total = 0), @"
        noaa: there are no items: the objects under s3://data/csv/
          items      0: 0 succeeded
          batches    0 done now, 0 already done before, 0 failed
        ");
}

#[test]
fn a_failed_run() {
    insta::assert_snapshot!(summary(|summary| {
            let failure = BatchFailure { error: "Gristmill.ItemsRejected".into(), cause: String::new() };
            summary.failed(0, 100, failure, Some(BatchReport { report: Some("s3://r/full.json".into()), ..report(0, 1) }));
            summary.status = Status::Failed;
            let cause = "100 of 200 items failed, tolerated_failure_percentage is 10".into();
            summary.error = Some(RunError { name: "States.ExceedToleratedFailureThreshold", cause });
        }), @"
        noaa: FAILED after 4.0 s
          States.ExceedToleratedFailureThreshold: 100 of 200 items failed, tolerated_failure_percentage is 10
          What is done stays done; the same command runs only the rest.
          component  noaa 0.1.0 (sha256:e3b0c44298fc…)
          items      200: 99 succeeded, 1 rejected, 100 not run
          batches    0 done now, 0 already done before, 1 failed
          output     stations: 100 rows, 4.00 kB, in table:noaa
                     daily: 100 rows, 4.00 kB, in s3://results/daily/r-000000-ab.parquet
          failures   1 × no-header
                       csv/by_station/0-0.csv: the object is empty
          report     s3://r/full.json
          speed      25 items/s, 2.50 MB/s (10.00 MB read)
        ");
}

#[test]
fn an_interrupted_run() {
    insta::assert_snapshot!(summary(|summary| {
            summary.succeeded(0, report(0, 0));
            summary.status = Status::Interrupted;
        }), @"
        noaa: interrupted after 4.0 s; the same command goes on from here
          component  noaa 0.1.0 (sha256:e3b0c44298fc…)
          items      200: 100 succeeded, 100 not run
          batches    1 done now, 0 already done before, 0 failed
          output     stations: 100 rows, 4.00 kB, in table:noaa
                     daily: 100 rows, 4.00 kB, in s3://results/daily/r-000000-ab.parquet
          speed      25 items/s, 2.50 MB/s (10.00 MB read)
        ");
}

#[test]
fn for_programs() {
    insta::assert_json_snapshot!(summary(|summary| summary.succeeded(0, report(0, 1))), @r#"
        {
          "dataset": "noaa",
          "status": "succeeded",
          "source": "the objects under s3://data/csv/",
          "components": [
            {
              "name": "noaa",
              "version": "0.1.0",
              "digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            }
          ],
          "items": {
            "total": 200,
            "succeeded": 99,
            "rejected": 1,
            "failed": 0,
            "replayed": 0
          },
          "batches": {
            "done": 1,
            "replayed": 0,
            "failed": 0
          },
          "outputs": [
            {
              "output": "stations",
              "place": "table:noaa",
              "objects": 0,
              "rows": 100,
              "bytes": 4000
            },
            {
              "output": "daily",
              "place": "s3://results/daily/r-000000-ab.parquet",
              "objects": 1,
              "rows": 100,
              "bytes": 4000
            }
          ],
          "failures": {
            "by_code": {
              "no-header": 1
            },
            "first": [
              {
                "batch": 0,
                "item": "csv/by_station/0-0.csv",
                "code": "no-header",
                "message": "the object is empty"
              }
            ]
          },
          "reports": [],
          "bytes_read": 10000000,
          "elapsed_seconds": 4.0,
          "bytes_per_second": 2500000.0,
          "items_per_second": 25.0
        }
        "#);
}
