//! Files that are wrong, one kind after the other: each must become one clear error.

/// The header that every good file has.
pub(crate) const HEADER: &str = "ID,DATE,ELEMENT,DATA_VALUE,M_FLAG,Q_FLAG,S_FLAG,OBS_TIME\n";

const ROWS: &str = "XX000000000,19500101,PRCP,12,,,E,0700\nXX000000000,19500102,TMAX,215,,,E,0700\n";

/// `count` damaged files with their names.
pub(crate) fn files(count: usize) -> Vec<(String, Vec<u8>)> {
    let kinds: [(&str, String); 7] = [
        ("EMPTY", String::new()),
        ("HEADERLESS", ROWS.to_owned()),
        ("OTHER-HEADER", format!("{}{ROWS}", HEADER.replace("ELEMENT", "ELEM"))),
        ("VALUE", format!("{HEADER}{ROWS}XX000000000,19500103,PRCP,wet,,,E,0700\n")),
        ("DATE", format!("{HEADER}{ROWS}XX000000000,19500230,PRCP,3,,,E,0700\n")),
        ("SHORT-ROW", format!("{HEADER}{ROWS}XX000000000,19500103,PRCP\n")),
        ("OPEN-QUOTE", format!("{HEADER}{ROWS}XX000000000,\"19500103,PRCP,3,,,E,0700\n")),
    ];
    let gzip = ("TRUNCATED", truncated_gzip());
    let plain = kinds.iter().map(|(kind, text)| (*kind, "csv", text.clone().into_bytes()));
    let all: Vec<_> = plain.chain([(gzip.0, "csv.gz", gzip.1)]).collect();
    (0..count)
        .map(|index| {
            let (kind, ending, bytes) = &all[index % all.len()];
            (format!("BAD{index:05}-{kind}.{ending}"), bytes.clone())
        })
        .collect()
}

/// A gzip member whose one stored block promises more bytes than there are.
fn truncated_gzip() -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let promised: u16 = 60_000;
    bytes.push(0b001);
    bytes.extend(promised.to_le_bytes());
    bytes.extend((!promised).to_le_bytes());
    bytes.extend(HEADER.bytes().chain(ROWS.bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use gristmill_plugin::csv::Memory;
    use noaa_precipitation::logic::{Settings, highest_precipitation};

    use super::*;

    #[test]
    fn every_damaged_file_is_rejected() {
        let files = files(8);
        for (name, bytes) in files.iter().filter(|(name, _)| !name.ends_with(".gz")) {
            let object = Memory::new(name, [bytes.clone()]);
            let failure = highest_precipitation(object, &Settings::default()).unwrap_err();
            assert!(!failure.is_retry() && failure.message().contains(name.as_str()), "{failure}");
        }
        // That the host cannot undo the last one is the host's test.
        assert_eq!(files.iter().filter(|(name, _)| name.ends_with(".gz")).count(), 1);
    }
}
