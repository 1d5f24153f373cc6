//! Recognizes objects that are not the text that their reader expects, by their first bytes.
//!
//! The plugins' SDKs know the same kinds (`plugins/sdk`), so that the host and plugins report the same.

/// Kinds with a fixed beginning, none of which a text has. What to do about it follows the name.
const BEGINNINGS: [(&[u8], &str); 22] = [
    (b"\x1f\x8b", "gzip: let its key end in `.gz`, and it is decompressed"),
    (b"\x28\xb5\x2f\xfd", "zstd: let its key end in `.zst`, and it is decompressed"),
    (b"BZh91AY&SY", "bzip2: let its key end in `.bz2`, and it is decompressed"),
    (b"\xfd7zXZ\0", "xz: compress it with gzip, zstd or bzip2 instead"),
    (b"\x04\x22\x4d\x18", "LZ4: compress it with gzip, zstd or bzip2 instead"),
    (b"\xff\x06\0\0sNaPpY", "Snappy: compress it with gzip, zstd or bzip2 instead"),
    (b"PK\x03\x04", "a ZIP archive, as a spreadsheet (.xlsx) is too: unpack it"),
    (b"PK\x05\x06", "a ZIP archive without files"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (b"PAR1\x15", "Parquet"),
    (b"Obj\x01", "Avro"),
    (b"ARROW1\0\0", "Arrow"),
    (b"SQLite format 3\0", "a SQLite database"),
    (b"\x89HDF\r\n", "HDF5"),
    (b"CDF\x01", "NetCDF"),
    (b"CDF\x02", "NetCDF"),
    (b"%PDF-", "PDF"),
    (b"<?xml", "XML"),
    (b"\xff\xfe\0\0", "text in UTF-32: save it as UTF-8"),
    (b"\0\0\xfe\xff", "text in UTF-32: save it as UTF-8"),
    (b"\xff\xfe", "text in UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "text in UTF-16: save it as UTF-8"),
];

/// How many bytes are looked at.
pub(super) const LOOK: usize = 64;

/// What the object is and what to do about it, if it is no text in UTF-8. None if it may be one.
pub(super) fn foreign(start: &[u8]) -> Option<&'static str> {
    if let Some((_, kind)) = BEGINNINGS.iter().find(|(beginning, _)| starts_like(start, beginning)) {
        return Some(kind);
    }
    let page = start.trim_ascii_start().to_ascii_lowercase();
    if page.starts_with(b"<!doctype html") || page.starts_with(b"<html") {
        return Some("an HTML page");
    }
    // Without a byte order mark UTF-16 shows by the zeros beside its first letters.
    let zeros = start.first_chunk().map(|four: &[u8; 4]| four.map(|byte| byte == 0));
    let halves = zeros.is_some_and(|zeros| [[false, true, false, true], [true, false, true, false]].contains(&zeros));
    halves.then_some("text in UTF-16: save it as UTF-8")
}

fn starts_like(start: &[u8], beginning: &[u8]) -> bool {
    match beginning {
        // The digit says how large its blocks are.
        b"BZh91AY&SY" => start.starts_with(b"BZh") && start.get(4..).is_some_and(|rest| rest.starts_with(b"1AY&SY")),
        _ => start.starts_with(beginning),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_their_first_bytes() {
        for (start, kind) in [
            (&b"\x1f\x8b\x08\0"[..], "gzip"),
            (b"\x28\xb5\x2f\xfd\x04", "zstd"),
            (b"BZh61AY&SY\x01", "bzip2"),
            (b"PK\x03\x04\x14", "a ZIP archive"),
            (b"PAR1\x15\x04", "Parquet"),
            (b"\xff\xfea\0", "text in UTF-16"),
            (b"\xff\xfe\0\0a\0\0\0", "text in UTF-32"),
            (b"p\0k\0,\0", "text in UTF-16"),
            (b"\0p\0k\0,", "text in UTF-16"),
            (b"%PDF-1.7", "PDF"),
            (b"\r\n <!DOCTYPE HTML><html>", "an HTML page"),
        ] {
            assert!(foreign(start).is_some_and(|found| found.starts_with(kind)), "{kind}: {start:?}");
        }
    }

    #[test]
    fn a_text_is_none_of_them() {
        for start in [
            "",
            "a",
            "PAR1,PAR2\n",
            "BZh9,x\n",
            "BZh91AY",
            "PK,n\n",
            "Obj,x",
            "ORC\n",
            "{\"a\": 1}",
            "\u{feff}a,b",
            "é,ö",
        ] {
            assert_eq!(foreign(start.as_bytes()), None, "{start}");
        }
    }
}
