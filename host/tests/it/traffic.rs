//! Traffic events in two stages, held to DuckDB's window functions.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::golden::{json as lines, same};
use crate::laptop::{Laptop, Said};
use crate::support::project;

const ALL: &str = "year=";

/// The bucket `data` with the objects that have arrived.
struct Road {
    laptop: Laptop,
    language: &'static str,
}

impl Road {
    fn new(language: &'static str) -> Self {
        Self { laptop: Laptop::new(), language }
    }

    /// Where the sample's objects are what has arrived.
    fn sample(language: &'static str) -> Self {
        let road = Self::new(language);
        let sample = project("plugins/traffic-events/sample/arrived").canonicalize().unwrap();
        symlink(sample, road.laptop.object("arrived")).unwrap();
        road
    }

    /// Where so much is generated.
    fn generated(args: &[&str]) -> Self {
        let road = Self::new("traffic-events");
        road.script("generate", &[&[road.path("arrived").as_str()], args].concat());
        road
    }

    fn path(&self, key: &str) -> String {
        self.laptop.object(key).to_str().unwrap().to_owned()
    }

    fn script(&self, name: &str, args: &[&str]) -> String {
        let script = project(&format!("plugins/traffic-events/generate/{name}.py"));
        let said = Command::new(project("target/venv-emulator/bin/python")).arg(script).args(args).output().unwrap();
        assert!(said.status.success(), "{name}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap()
    }

    fn dataset(&self) -> PathBuf {
        project(&format!("plugins/{}", self.language))
    }

    /// Lands the objects under a prefix of those that have arrived, and rolls the days that they are of.
    fn take(&self, arrived: &str) -> Said {
        let input = json!({ "arrived": arrived }).to_string();
        self.laptop.map(&self.dataset(), &["--set", "DATA_BUCKET=data", "--input", &input])
    }

    /// Why none of the objects under a prefix could be landed.
    fn failure_of(&self, hour: &str) -> String {
        let input = json!({ "arrived": format!("{hour}/") }).to_string();
        let (code, summary) = self.laptop.map_json(&self.dataset(), &["--set", "DATA_BUCKET=data", "--input", &input]);
        assert_eq!(code, Some(1), "{summary}");
        let failure = &summary["stages"][0]["failures"]["first"][0];
        format!("{}: {}", failure["code"].as_str().unwrap(), failure["message"].as_str().unwrap())
    }

    /// Both stages over all that has arrived.
    fn run(&self) {
        let said = self.take(ALL);
        assert_eq!(said.code, Some(0), "{}", said.all());
    }

    fn rows(&self) -> Vec<Value> {
        lines(self.script("reference", &["read", &self.path("output/traffic")]).lines())
    }

    /// Asserts that what was written is what DuckDB makes of all that has arrived, and gives the summary of both.
    fn compared(&self) -> Value {
        let said = self.script("reference", &["compare", &self.path("arrived"), &self.path("output/traffic")]);
        let found: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&found["missing"], &found["unexpected"]), (&json!([]), &json!([])), "{found}");
        found
    }

    /// Writes an object of arrival with these lines.
    fn arrives(&self, hour: &str, events: &[Value]) {
        let text: String = events.iter().map(|event| format!("{event}\n")).collect();
        self.laptop.put(&format!("arrived/{hour}/traffic-1"), text);
    }

    /// The contents of what was written, by place.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let (root, mut files) = (self.laptop.object("output/traffic"), BTreeMap::new());
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "parquet") {
                    files.insert(
                        path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
                        fs::read(path).unwrap(),
                    );
                }
            }
        }
        files
    }
}

fn event(point: &str, time: impl Into<Value>, speed: impl Into<Value>) -> Value {
    let (time, speed) = (time.into(), speed.into());
    json!({"unieke_id": point, "tijd_waarneming": time, "voertuigsnelheid_rekenkundig_klasse2": speed, "rekendata_bezettingsgraad": 3})
}

/// The second of a minute of March 2026.
fn at(day: i64, minute: i64) -> i64 {
    1_772_323_200 + (day - 1) * 86_400 + minute * 60
}

/// The hour of arrival, as Firehose names it.
fn hour(day: i64, hour: i64) -> String {
    format!("year=2026/month=03/day={day:02}/hour={hour:02}")
}

fn golden() -> Vec<Value> {
    lines(fs::read_to_string(project("plugins/traffic-events/golden/traffic.jsonl")).unwrap().lines())
}

#[test]
fn golden_rows_in_rust() {
    let road = Road::sample("traffic-events");
    road.run();
    same(&road.rows(), &golden());
}

#[test]
fn golden_rows_in_python() {
    let road = Road::sample("traffic-events-python");
    road.run();
    same(&road.rows(), &golden());
}

#[test]
fn duckdb_says_the_same_of_days_with_a_change_of_clocks() {
    let road = Road::generated(&["--first", "2026-03-27T20:00:00", "--hours", "110", "--step", "5", "--seed", "7"]);
    road.run();
    let found = road.compared();
    assert!(found["rows"].as_u64().unwrap() > 20_000, "{found}");
    for band in ["-1", "0", "1"] {
        assert!(found["jams"][band].as_u64().unwrap() > 100, "{found}");
    }
    // Nobody counts partitions, as those do who write at most a hundred with a query.
    assert_eq!(found["hours"], 110);
}

#[test]
fn an_object_may_have_events_of_any_number_of_days() {
    let road = Road::new("traffic-events");
    road.arrives(&hour(1, 0), &(0..120).map(|ago| event("3001", at(1 - ago, 0), 50)).collect::<Vec<_>>());
    let said = road.take(ALL);
    assert!(said.out.contains("events: 120 rows") && said.out.contains("(120 objects)"), "{}", said.all());
}

/// Which days were done is said by the files: those of other days are as they were.
#[test]
fn late_events_change_their_day_and_the_one_after_it_and_nothing_else() {
    let road = Road::new("traffic-events");
    for day in 10..14 {
        let minutes = (0..40).map(|minute| event("3001", at(day, minute * 30), 30 + minute)).collect::<Vec<_>>();
        road.arrives(&hour(day, 23), &minutes);
    }
    road.run();
    let before = road.files();
    road.arrives(&hour(14, 5), &[event("3001", at(11, 1_435), 120), event("3001", at(11, 0), 1)]);
    let said = road.take(&format!("{}/", hour(14, 5)));
    assert_eq!(said.code, Some(0), "{}", said.all());
    assert!(said.out.contains("batches    2 done now, 0 already done before, 0 failed"), "{}", said.all());
    road.compared();
    let after = road.files();
    let changed: Vec<_> = after.iter().filter(|(place, bytes)| before.get(*place) != Some(bytes)).collect();
    assert!(changed.iter().all(|(place, _)| place.contains("/day=11/") || place.contains("/day=12/")), "{changed:?}");
    let of = |day: &str| changed.iter().any(|(place, _)| place.contains(day));
    assert!(of("/day=11/") && of("/day=12/hour=00/"), "{changed:?}");
    // The same hour once more: nothing is new.
    let said = road.take(&format!("{}/", hour(14, 5)));
    assert_eq!(said.out.matches(": nothing new to do").count(), 2, "{}", said.all());
    assert_eq!(road.files(), after);
}

/// The batch is done again with fewer objects than it had: what is gone is handed to nobody.
#[test]
fn an_object_that_loses_a_day_loses_its_rows() {
    let road = Road::new("traffic-events");
    let of = |days: std::ops::Range<i64>| days.map(|day| event("3001", at(day, 600), 50)).collect::<Vec<_>>();
    road.arrives(&hour(14, 0), &of(10..14));
    road.run();
    assert_eq!(road.compared()["rows"], 4);
    road.arrives(&hour(14, 0), &of(12..14));
    road.run();
    assert_eq!(road.compared()["rows"], 2);
}

/// As in the state machine, which passes by a stage that takes nothing.
#[test]
fn an_hour_without_objects_changes_nothing() {
    let road = Road::new("traffic-events");
    road.arrives(&hour(14, 0), &[event("3001", at(12, 600), 50)]);
    road.run();
    let before = road.files();
    let said = road.take(&format!("{}/", hour(15, 0)));
    assert_eq!(said.code, Some(0), "{}", said.all());
    assert_eq!(road.files(), before);
}

/// Places are filled in for every stage before the first one runs.
#[test]
fn a_stage_without_a_place_is_found_before_any_runs() {
    let road = Road::new("traffic-events");
    road.arrives(&hour(14, 0), &[event("3001", at(12, 600), 50)]);
    let text = fs::read_to_string(road.dataset().join("dataset.toml")).unwrap();
    let text = text.replace("\"traffic-events.wasm\"", &format!("{:?}", crate::support::plugin("traffic-events")));
    let text = text.replace("output/traffic/\"", "output/{$.nowhere}/\"").replace("catalog = ", "# catalog = ");
    let dataset = road.laptop.write("dataset.toml", &text);
    let said = road.laptop.map(&dataset, &["--set", "DATA_BUCKET=data", "--input", "{\"arrived\": \"year=\"}"]);
    assert!(said.code == Some(2) && said.err.contains("nowhere"), "{}", said.all());
    assert!(!road.laptop.object("output").exists());
}

#[test]
fn hours_of_arrival_are_taken_as_they_come() {
    let road = Road::generated(&["--first", "2026-03-28T20:00:00", "--hours", "8", "--step", "5", "--late", "4"]);
    // The last hour first: what arrives late may be landed early.
    let mut hours: Vec<String> = (20..24).map(|h| hour(28, h)).chain((0..8).map(|h| hour(29, h))).collect();
    hours.retain(|hour| road.laptop.object(&format!("arrived/{hour}")).exists());
    assert!(hours.len() > 8, "{hours:?}");
    for hour in hours.iter().rev() {
        let said = road.take(&format!("{hour}/"));
        assert_eq!(said.code, Some(0), "{}", said.all());
    }
    let days = fs::read_dir(road.laptop.object("output/landed/year=2026/month=03")).unwrap();
    assert_eq!(days.count(), 2);
    road.compared();
}

#[test]
fn midnight_begins_a_day_whatever_the_clocks_of_europe_do() {
    let road = Road::new("traffic-events");
    // At 01:00 UTC on the 29th the clocks go to 03:00: there is no hour that is missing or there twice.
    let times = [at(29, -1), at(29, 0), at(29, 59), at(29, 60), at(29, 119), at(29, 120), at(30, -1), at(30, 0)];
    road.arrives(&hour(30, 0), &times.map(|time| event("3001", time, 50)));
    road.run();
    road.compared();
    let hours: Vec<String> =
        road.files().into_keys().map(|place| place.rsplit_once('/').unwrap().0.to_owned()).collect();
    assert_snapshot!(hours.join("\n"), @"
    year=2026/month=03/day=28/hour=23
    year=2026/month=03/day=29/hour=00
    year=2026/month=03/day=29/hour=01
    year=2026/month=03/day=29/hour=02
    year=2026/month=03/day=29/hour=23
    year=2026/month=03/day=30/hour=00
    ");
}

#[test]
fn what_is_left_out_is_counted_and_what_is_bad_is_named() {
    let road = Road::new("traffic-events");
    let (mut failed, mut number) = (event("3001", at(1, 0), 50), event("3001", at(1, 1), 50));
    failed["rekendata_bezettingsgraad"] = json!(-1);
    number["unieke_id"] = json!(3002);
    let other = event("9000", "whenever", 50);
    let text = event("3001", at(1, 2).to_string(), Value::Null);
    road.arrives(&hour(1, 0), &[failed, number, other, text]);
    road.run();
    let seen: Vec<_> = road.rows().iter().map(|row| format!("{} {}", row["uniqueId"], row["currentSpeed"])).collect();
    assert_eq!(seen, ["\"3001\" null", "\"3002\" 50.0"]);

    road.arrives(&hour(2, 0), &[event("3001", at(1, 3), 50), event("3001", "2026-03-01", 50)]);
    road.arrives(&hour(2, 1), &[event("3001", at(1, 3) * 1000, 50)]);
    road.arrives(&hour(2, 2), &[event("3001", Value::Null, 50)]);
    road.arrives(&hour(2, 3), &[event("3001", at(1, 3), "fast")]);
    road.laptop.put("arrived/year=2026/month=03/day=02/hour=04/traffic-1", "{\"unieke_id\": \"3001\"");
    let said: Vec<String> = (0..5).map(|arrived| road.failure_of(&hour(2, arrived))).collect();
    assert_snapshot!(said.join("\n"), @"
    BadEvent: s3://data/arrived/year=2026/month=03/day=02/hour=00/traffic-1, row 2: its `tijd_waarneming` is 2026-03-01, which is no whole number of seconds since 1970 up to the year 9999
    BadEvent: s3://data/arrived/year=2026/month=03/day=02/hour=01/traffic-1, row 1: its `tijd_waarneming` is 1772323380000, which is no whole number of seconds since 1970 up to the year 9999
    BadEvent: s3://data/arrived/year=2026/month=03/day=02/hour=02/traffic-1, row 1: it has no `tijd_waarneming`
    ObjectInvalid: s3://data/arrived/year=2026/month=03/day=02/hour=03/traffic-1: column `voertuigsnelheid_rekenkundig_klasse2`: Cannot cast string 'fast' to value of Float64 type
    ObjectInvalid: s3://data/arrived/year=2026/month=03/day=02/hour=04/traffic-1: line 1 is no JSON object: EOF while parsing an object at line 1 column 20
    ");
}
