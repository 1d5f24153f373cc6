//! JSON lines: every line is an item, byte for byte.

use std::io::{BufRead, Read as _};

use serde_json::value::RawValue;

use super::format::{Emit, MAX_ITEM_BYTES, Stop};

/// Reads the lines. Blank ones are skipped; a line ends with LF or CRLF, the last one also with the object.
pub(super) fn read(input: &mut dyn BufRead, emit: &mut Emit<'_>) -> Result<(), Stop> {
    let mut line = Vec::new();
    for number in 1u64.. {
        let wrong = |reason: &str| Stop::Format(format!("line {number}: {reason}"));
        line.clear();
        if (&mut *input).take(MAX_ITEM_BYTES as u64 + 2).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let text = std::str::from_utf8(&line);
        let text = text.map(|text| text.trim_matches([' ', '\t', '\r', '\n']));
        if line.len() > MAX_ITEM_BYTES && line.last() != Some(&b'\n') {
            return Err(wrong(&format!("longer than {MAX_ITEM_BYTES} bytes; is the object JSON lines at all?")));
        }
        let text = text.map_err(|_| wrong("not UTF-8"))?;
        if text.is_empty() {
            continue;
        }
        let item: Box<RawValue> = serde_json::from_str(text).map_err(|error| {
            let hint =
                if text.contains('\r') { "; a line ends in a newline, and not in a carriage return alone" } else { "" };
            wrong(&format!("not JSON: {}{hint}", without_line(&error)))
        })?;
        emit(item.into())?;
    }
    Ok(())
}

/// The error without serde_json's own line number, which is always 1 here.
fn without_line(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ")
}
