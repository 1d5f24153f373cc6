//! What became of a run: for people as text, for programs as JSON (`--json`).

use std::fmt::{self, Write as _};
use std::time::Duration;

use indicatif::{DecimalBytes, HumanCount};
use serde::Serialize;

use super::progress::{duration, per_second, rate};
use crate::report::{BatchReport, ComponentRef, Failures};

/// How many failures are shown, over all batches, and of one code.
const MAX_EXAMPLES: usize = 10;
const MAX_EXAMPLES_PER_CODE: usize = 3;

/// How many other things are listed of which there could be one per batch.
const MAX_LISTED: usize = 10;

/// What became of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The dataset's name.
    pub dataset: String,
    /// How it ended.
    pub status: Status,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// Where the items came from, for people.
    pub source: String,
    /// What ran. More than one if an interrupted run went on with another component.
    pub components: Vec<ComponentRef>,
    /// Items by outcome.
    pub items: Items,
    /// Batches by outcome.
    pub batches: Batches,
    /// What was written, per output.
    pub outputs: Vec<Output>,
    /// The items without a result.
    pub failures: FailureSummary,
    /// The first full reports, where batches had more failures than they could answer.
    pub reports: Vec<String>,
    /// What the items that ran now read, in bytes.
    pub bytes_read: u64,
    /// How long the run took, in seconds.
    pub elapsed_seconds: f64,
    /// What was read a second.
    pub bytes_per_second: f64,
    /// How many items ran a second.
    pub items_per_second: f64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// No more failures than are tolerated.
    Succeeded,
    /// As Step Functions would have failed it; [`Summary::error`] says why.
    Failed,
    /// The user stopped it. The same command goes on.
    Interrupted,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunError {
    /// Step Functions' name for it: `States.…`.
    pub name: &'static str,
    /// What happened.
    pub cause: String,
}

/// Items by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Items {
    /// Read so far: all, unless the run ended early.
    pub total: u64,
    /// Their rows count.
    pub succeeded: u64,
    /// They have no result and never will.
    pub rejected: u64,
    /// They were in batches that failed as a whole.
    pub failed: u64,
    /// Of the succeeded and rejected: what an earlier run had done already.
    pub replayed: u64,
}

/// Batches by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Batches {
    /// Succeeded now.
    pub done: u64,
    /// Had succeeded in an earlier run.
    pub replayed: u64,
    /// Failed.
    pub failed: u64,
}

/// What was written to one output, by this run and by the earlier ones that it went on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Its name.
    pub output: String,
    /// Where: `table:NAME`, an object, or the prefix of several.
    pub place: String,
    /// The same under `--local`, as the caller filled it in: a file or folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<String>,
    /// How many objects with rows; none for a table.
    pub objects: u64,
    /// How many rows.
    pub rows: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// The items without a result, counted in full and shown in part.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FailureSummary {
    /// How many items per code. A batch that failed as a whole counts with all its items, by the error's name.
    pub by_code: std::collections::BTreeMap<String, u64>,
    /// The first ones.
    pub first: Vec<Example>,
}

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The batch's number, from 0, as in its child execution's name.
    pub batch: u64,
    /// The item's name, or its place in the batch; none if the batch failed as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// What it is counted by.
    pub code: String,
    /// What happened.
    pub message: String,
}

/// How a batch failed as a whole.
pub(super) struct BatchFailure {
    pub(super) error: String,
    pub(super) cause: String,
}

impl Summary {
    pub(super) fn new(dataset: &str, source: String) -> Self {
        Self {
            dataset: dataset.into(),
            status: Status::Succeeded,
            error: None,
            source,
            components: Vec::new(),
            items: Items::default(),
            batches: Batches::default(),
            outputs: Vec::new(),
            failures: FailureSummary::default(),
            reports: Vec::new(),
            bytes_read: 0,
            elapsed_seconds: 0.0,
            bytes_per_second: 0.0,
            items_per_second: 0.0,
        }
    }

    /// Counts a batch that succeeded.
    pub(super) fn succeeded(&mut self, batch: u64, report: BatchReport) {
        if report.replayed {
            self.batches.replayed += 1;
        } else {
            self.batches.done += 1;
        }
        self.add(batch, report);
    }

    /// Counts a batch that failed. With a report its other items' rows count all the same.
    pub(super) fn failed(&mut self, batch: u64, items: u64, failure: BatchFailure, report: Option<BatchReport>) {
        self.batches.failed += 1;
        let Some(report) = report else {
            self.items.failed += items;
            *self.failures.by_code.entry(failure.error.clone()).or_default() += items;
            self.failures.show(Example {
                batch,
                item: None,
                code: failure.error,
                message: failure.cause,
            });
            return;
        };
        self.add(batch, report);
    }

    fn add(&mut self, batch: u64, report: BatchReport) {
        self.items.succeeded += report.items.succeeded;
        self.items.rejected += report.items.rejected;
        if report.replayed {
            self.items.replayed += report.items.total;
        } else {
            self.bytes_read += report.bytes_read;
        }
        if !self.components.contains(&report.component) && self.components.len() < MAX_LISTED {
            self.components.push(report.component);
        }
        for written in report.outputs {
            let objects = u64::from(written.rows > 0 && !written.place.starts_with("table:"));
            let (rows, bytes) = (written.rows, written.bytes);
            match self.outputs.iter_mut().find(|known| known.output == written.output) {
                None => self.outputs.push(Output {
                    output: written.output,
                    place: written.place,
                    local: None,
                    objects,
                    rows,
                    bytes,
                }),
                Some(known) => {
                    known.objects += objects;
                    known.rows += rows;
                    known.bytes += bytes;
                    keep_common_prefix(&mut known.place, &written.place);
                }
            }
        }
        if let Some(uri) = report.report
            && self.reports.len() < MAX_LISTED
        {
            self.reports.push(uri);
        }
        self.failures.add(batch, report.failures);
    }

    pub(super) fn finish(&mut self, elapsed: Duration) {
        let ran = (self.items.succeeded + self.items.rejected).saturating_sub(self.items.replayed);
        self.elapsed_seconds = elapsed.as_secs_f64();
        self.bytes_per_second = per_second(self.bytes_read, elapsed);
        self.items_per_second = per_second(ran, elapsed);
    }

    /// Says where each place is on this machine; `local` gives the file or folder of a place.
    pub fn locate(&mut self, local: impl Fn(&str) -> Option<String>) {
        for output in &mut self.outputs {
            output.local = local(&output.place);
        }
    }

    /// Whether everything had been done before, so that nothing was written.
    pub fn nothing_new(&self) -> bool {
        self.status == Status::Succeeded && self.batches.done == 0 && self.batches.failed == 0
    }
}

/// Cuts the place after its last `/` that both have in common.
fn keep_common_prefix(place: &mut String, other: &str) {
    if place == other {
        return;
    }
    let common = place.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    // Both are UTF-8 and equal up to here, and `/` is ASCII, so that this is between characters.
    let end = place.as_bytes()[..common]
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    place.truncate(end);
}

impl FailureSummary {
    fn add(&mut self, batch: u64, failures: Failures) {
        for (code, count) in failures.by_code {
            *self.by_code.entry(code).or_default() += count;
        }
        for failure in failures.first {
            let item = failure
                .item
                .unwrap_or_else(|| format!("item {} of the batch", failure.index));
            self.show(Example {
                batch,
                item: Some(item),
                code: failure.code,
                message: failure.message,
            });
        }
    }

    fn show(&mut self, example: Example) {
        let of_code = self.first.iter().filter(|shown| shown.code == example.code).count();
        if self.first.len() < MAX_EXAMPLES && of_code < MAX_EXAMPLES_PER_CODE {
            self.first.push(example);
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elapsed = duration(Duration::try_from_secs_f64(self.elapsed_seconds).unwrap_or_default());
        match self.status {
            Status::Succeeded if self.items.total == 0 => {
                writeln!(f, "{}: there are no items: {}", self.dataset, self.source)?
            }
            Status::Succeeded if self.nothing_new() => {
                writeln!(
                    f,
                    "{}: nothing new to do; everything had been done before",
                    self.dataset
                )?;
            }
            Status::Succeeded => writeln!(f, "{}: succeeded in {elapsed}", self.dataset)?,
            Status::Failed => writeln!(f, "{}: FAILED after {elapsed}", self.dataset)?,
            Status::Interrupted => {
                writeln!(
                    f,
                    "{}: interrupted after {elapsed}; the same command goes on from here",
                    self.dataset
                )?;
            }
        }
        if let Some(error) = &self.error {
            writeln!(f, "  {}: {}", error.name, error.cause)?;
        }
        for component in &self.components {
            let digest: String = component.digest.hex().chars().take(12).collect();
            writeln!(
                f,
                "  component  {} {} (sha256:{digest}…)",
                component.name, component.version
            )?;
        }
        writeln!(f, "  items      {}", self.items)?;
        writeln!(f, "  batches    {}", self.batches)?;
        for (index, output) in self.outputs.iter().enumerate() {
            writeln!(f, "  {}  {output}", if index == 0 { "output   " } else { "         " })?;
        }
        for (index, (code, count)) in self.failures.by_code.iter().enumerate() {
            writeln!(
                f,
                "  {}  {} × {code}",
                if index == 0 { "failures " } else { "         " },
                HumanCount(*count)
            )?;
            for example in self.failures.first.iter().filter(|example| example.code == *code) {
                let batch = || format!("batch {:06}", example.batch);
                let who = example.item.clone().unwrap_or_else(batch);
                writeln!(
                    f,
                    "               {who}: {}",
                    example.message.replace('\n', "\n                 ")
                )?;
            }
        }
        for uri in &self.reports {
            writeln!(f, "  report     {uri}")?;
        }
        if self.items_per_second > 0.0 {
            let items = HumanCount(self.items_per_second as u64);
            let read = DecimalBytes(self.bytes_read);
            let speed = rate(self.bytes_per_second as u64, Duration::from_secs(1));
            writeln!(f, "  speed      {items} items/s, {speed} ({read} read)")?;
        }
        Ok(())
    }
}

impl fmt::Display for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = self.total.saturating_sub(self.succeeded + self.rejected + self.failed);
        let mut text = format!("{}: {} succeeded", HumanCount(self.total), HumanCount(self.succeeded));
        for (count, what) in [
            (self.rejected, "rejected"),
            (self.failed, "in failed batches"),
            (rest, "not run"),
        ] {
            if count > 0 {
                write!(text, ", {} {what}", HumanCount(count))?;
            }
        }
        f.write_str(&text)
    }
}

impl fmt::Display for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [done, replayed, failed] = [self.done, self.replayed, self.failed].map(HumanCount);
        write!(f, "{done} done now, {replayed} already done before, {failed} failed")
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.local.as_ref().unwrap_or(&self.place);
        write!(
            f,
            "{}: {} rows, {}, in {place}",
            self.output,
            HumanCount(self.rows),
            DecimalBytes(self.bytes)
        )?;
        if self.objects > 1 {
            write!(f, " ({} objects)", HumanCount(self.objects))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Digest, FailureKind, ItemFailure};
    use crate::report::ItemCounts;
    use crate::sink::Written;

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
            rows: 100,
            bytes: 4_000,
        };
        BatchReport {
            dataset: "noaa".into(),
            component: ComponentRef {
                name: "noaa".into(),
                version: "0.1.0".into(),
                digest: Digest::of(b""),
            },
            items: ItemCounts {
                total: 100,
                succeeded: 100 - rejected,
                rejected,
            },
            bytes_read: 10_000_000,
            outputs: vec![
                written("stations", "table:noaa".into()),
                written("daily", format!("s3://results/daily/r-00000{batch}-ab.parquet")),
            ],
            failures: Failures {
                by_code: (rejected > 0)
                    .then(|| ("no-header".to_owned(), rejected))
                    .into_iter()
                    .collect(),
                first: (0..rejected).map(failure).collect(),
            },
            report: None,
            replayed: false,
        }
    }

    fn summary(fill: impl FnOnce(&mut Summary)) -> Summary {
        let mut summary = Summary::new("noaa", "the objects under s3://data/csv/".into());
        summary.items.total = 200;
        fill(&mut summary);
        summary.finish(Duration::from_secs(4));
        summary
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
            let failure = BatchFailure {
                error: "Gristmill.BadPlugin".into(),
                cause: "no component\nat x.wasm".into(),
            };
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
        let replayed = |batch| BatchReport {
            replayed: true,
            ..report(batch, 0)
        };
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

    #[test]
    fn places_have_their_prefix_in_common() {
        for (a, b, common) in [
            ("s3://b/x/1.csv", "s3://b/x/2.csv", "s3://b/x/"),
            ("s3://b/x/1.csv", "s3://b/y/1.csv", "s3://b/"),
            ("s3://b/ä/1", "s3://b/ö/1", "s3://b/"),
            ("table:t", "table:t", "table:t"),
        ] {
            let mut place = a.to_owned();
            keep_common_prefix(&mut place, b);
            assert_eq!(place, common);
        }
    }
}
