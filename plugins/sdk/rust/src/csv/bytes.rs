//! What is done to the bytes of nearly every record, without loops and calls where the field is short.
//!
//! In a guest both cost more than natively, because the runtime looks at every back-edge and at every call whether the
//! time is over: `memcmp`, `str::from_utf8` and `str::parse` together took longer than splitting the record.

/// Whether two byte strings are the same.
#[inline]
pub(super) fn equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    // Two words that overlap cover everything between one and two words long.
    match (one.first_chunk(), one.last_chunk(), other.first_chunk(), other.last_chunk()) {
        (Some(a), Some(b), Some(c), Some(d)) if one.len() <= 16 => {
            let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
            (word(a) ^ word(c)) | (word(b) ^ word(d)) == 0
        }
        _ => one == other,
    }
}

/// The number in the first `length` bytes of a word: up to seven decimal digits, with a minus sign or without. None
/// where it is another number or none at all: then [`int64`] knows.
///
/// Numbers of one to seven digits come in no order that a processor could guess, so no branch depends on how many.
#[inline]
pub(super) fn small_int(word: [u8; 8], length: usize) -> Option<i64> {
    const fn all(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }
    let word = u64::from_le_bytes(word);
    let negative = word as u8 == b'-';
    let (word, length) = if negative { (word >> 8, length.wrapping_sub(1)) } else { (word, length) };
    if !(1..8).contains(&length) {
        return None;
    }
    // The digits' values, moved to the upper end: what comes in at the lower end are leading zeros.
    let digits = (word ^ all(b'0')) << (64 - 8 * length);
    // More than 9, or no ASCII at all, sets the upper bit of its byte. (A carry comes from such a byte only.)
    if (digits | digits.wrapping_add(all(0x80 - 10))) & all(0x80) != 0 {
        return None;
    }
    // Neighbours are joined three times: to numbers of two, four, eight digits. None overflows its place.
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    let number = (fours * 10_000 + (fours >> 32)) as u32;
    let number = i64::from(number);
    Some(if negative { -number } else { number })
}

/// A number of decimal digits with an optional sign.
#[cold]
pub(super) fn int64(field: &[u8]) -> Option<i64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_is_equality() {
        let text = b"abcdefghijklmnopqrst";
        for length in 0..=text.len() {
            let one = &text[..length];
            assert!(equal(one, Vec::from(one).as_slice()));
            assert!(!equal(one, &[one, b"x"].concat()));
            for changed in 0..length {
                let mut other = one.to_vec();
                other[changed] ^= 1;
                assert!(!equal(one, &other), "{length} bytes, byte {changed}");
            }
        }
    }

    #[test]
    fn small_int_is_what_the_standard_library_parses_or_nothing() {
        let parse = |field: &[u8]| -> Option<i64> { std::str::from_utf8(field).ok()?.parse().ok() };
        let check = |field: &[u8]| {
            for rest in [b",,,,,,,,", b"00000000", b"\xff\xff\xff\xff\xff\xff\xff\xff"] {
                let word = *[field, rest].concat().first_chunk().unwrap();
                let digits = field.len() - usize::from(field.first() == Some(&b'-'));
                let known = parse(field).filter(|_| field.first() != Some(&b'+') && digits < 8);
                assert_eq!(small_int(word, field.len()), known, "{field:?}");
            }
        };
        for number in (0..20_000).chain([99_999, 123_456, 999_999, 1_000_000, 9_876_543]) {
            check(format!("{number}").as_bytes());
            check(format!("-{number}").as_bytes());
            check(format!("{number:07}").as_bytes());
        }
        for field in ["", "-", "+", "+7", "--1", "1-", "12345678", "-1234567", "1.5", " 1", "1 ", "wet", "é"] {
            check(field.as_bytes());
        }
        for byte in 0..=u8::MAX {
            for field in
                [&[byte][..], &[byte, b'1'], &[b'1', byte], &[b'9', byte, b'9'], &[byte, b'9', b'9', b'9', b'9', b'9']]
            {
                check(field);
            }
        }
    }
}
