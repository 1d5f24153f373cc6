//! What was written, output by output.

use serde::Serialize;

use crate::sink::Written;

/// What was written to one output, by this run and by the earlier ones that it went on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Its name.
    pub output: String,
    /// Where: `table:NAME`, an object, or the prefix of several or of none.
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

impl Output {
    /// Whether it has no rows, and so no object.
    pub(super) fn is_nothing(&self) -> bool {
        self.objects == 0 && !self.place.starts_with("table:")
    }
}

/// Adds what a batch wrote to one output.
pub(super) fn add(outputs: &mut Vec<Output>, mut written: Written) {
    let is_table = written.place.starts_with("table:");
    let objects = written.files.unwrap_or(u64::from(written.rows > 0 && !is_table));
    if objects == 0 && !is_table {
        // There is no such object.
        keep_folder(&mut written.place);
    }
    let (rows, bytes) = (written.rows, written.bytes);
    match outputs.iter_mut().find(|known| known.output == written.output) {
        None => {
            outputs.push(Output { output: written.output, place: written.place, local: None, objects, rows, bytes })
        }
        Some(known) => {
            match (known.objects, objects) {
                (0, 1..) => known.place = written.place,
                (1.., 0) => {}
                _ => keep_common_prefix(&mut known.place, &written.place),
            }
            known.objects += objects;
            known.rows += rows;
            known.bytes += bytes;
        }
    }
}

/// Cuts the place after its last `/`.
fn keep_folder(place: &mut String) {
    let end = place.rfind('/').map_or(0, |slash| slash + 1);
    place.truncate(end);
}

/// Cuts the place after its last `/` that both have in common.
fn keep_common_prefix(place: &mut String, other: &str) {
    if place == other {
        return;
    }
    let common = place.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    // Both are UTF-8 and equal up to here, and `/` is ASCII, so that this is between characters.
    let end = place.as_bytes()[..common].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    place.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

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
