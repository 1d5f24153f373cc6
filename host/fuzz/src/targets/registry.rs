//! What a worker reads from a registry, which others may write to: heads and releases. And the report of a batch, which comes back to a
//! desk.

use gristmill::job::Digest;
use gristmill::registry::{Head, Release};
use gristmill::report::FullReport;

use super::{first_line, in_proportion, short};

/// A document after a line that says what it is: `head` (which is sealed here, or nothing would come as far as its parser),
/// `release` or `report`.
pub fn registry(data: &[u8]) -> bool {
    match first_line(data) {
        Some(("head", line)) => {
            let mut document = line.to_vec();
            document.extend(format!("\n\"{}\"\n", Digest::of(line)).into_bytes());
            let head = Head::parse(1, &document).inspect_err(short);
            if let Ok(head) = &head {
                assert_eq!(Head::parse(1, &head.document()).as_ref(), Ok(head), "what was read can be written");
            }
            head.is_ok()
        }
        Some(("release", document)) => {
            let release = Release::parse(document).inspect_err(short);
            if let Ok(release) = &release {
                let stays =
                    |path: &String| !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
                assert!(release.sample.keys().all(stays), "a sample stays in its folder");
            }
            release.is_ok()
        }
        Some(("report", document)) => FullReport::parse(document).inspect_err(|why| in_proportion(why, data)).is_ok(),
        _ => false,
    }
}
