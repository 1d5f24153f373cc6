//! A dataset file, and what becomes of one that makes sense.

use std::path::Path;

use gristmill::dataset::{Dataset, Scope, Variables};
use gristmill::map::reader::Source;
use serde_json::value::RawValue;

use super::in_proportion;

/// A dataset that was read is a state machine, and its reader has a source or a reason why not.
pub fn dataset(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let variables = Variables::new([("DATA_BUCKET".into(), "data".into())], []);
    let stages = match Dataset::parse_stages(text, Path::new("datasets/d.toml"), &variables) {
        Ok(stages) => stages,
        Err(findings) => {
            assert!(!findings.0.is_empty());
            findings.0.iter().for_each(|finding| in_proportion(finding, data));
            return false;
        }
    };
    let asl = gristmill::asl::state_machine(&stages, "https://sqs.eu-west-1.amazonaws.com/1/q");
    asl.expect("what was checked can be said in Step Functions' language");
    let input = RawValue::from_string(r#"{"year": "2018", "dates": ["2018-01-01"]}"#.into()).expect("JSON");
    for stage in &stages {
        let _ = Source::resolve(&stage.map.item_reader, &Scope::new(&input));
    }
    true
}
