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
    match (
        one.first_chunk(),
        one.last_chunk(),
        other.first_chunk(),
        other.last_chunk(),
    ) {
        (Some(a), Some(b), Some(c), Some(d)) if one.len() <= 16 => {
            let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
            (word(a) ^ word(c)) | (word(b) ^ word(d)) == 0
        }
        _ => one == other,
    }
}

/// A number of decimal digits with an optional sign.
#[inline]
pub(super) fn int64(field: &[u8]) -> Option<i64> {
    let (negative, digits) = match field {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let digit = |byte: u8| Some(i64::from(byte.wrapping_sub(b'0'))).filter(|digit| *digit <= 9);
    let number = match *digits {
        [a] => digit(a)?,
        [a, b] => digit(a)? * 10 + digit(b)?,
        [a, b, c] => digit(a)? * 100 + digit(b)? * 10 + digit(c)?,
        [a, b, c, d] => digit(a)? * 1000 + digit(b)? * 100 + digit(c)? * 10 + digit(d)?,
        _ => return std::str::from_utf8(field).ok()?.parse().ok(),
    };
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_is_equality() {
        let text = b"abcdefghijklmnopqrst";
        for length in 0..=text.len() {
            let one = &text[..length];
            assert!(equal(one, &one.to_vec()));
            assert!(!equal(one, &[one, b"x"].concat()));
            for changed in 0..length {
                let mut other = one.to_vec();
                other[changed] ^= 1;
                assert!(!equal(one, &other), "{length} bytes, byte {changed}");
            }
        }
    }

    #[test]
    fn int64_is_what_the_standard_library_parses() {
        let fields = [
            "", "-", "+", "0", "-0", "+7", "42", "-42", "007", "-9999", "12345", "1.5", " 1", "1 ",
            "--1", "1a", "a1",
        ];
        let large = [
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808",
        ];
        for field in fields.iter().chain(&large) {
            assert_eq!(int64(field.as_bytes()), field.parse().ok(), "{field:?}");
        }
        assert_eq!(int64(b"1\xff"), None);
    }
}
