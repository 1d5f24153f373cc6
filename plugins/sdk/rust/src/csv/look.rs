//! Sixty-four bytes at a look: where the delimiters, line ends and quotes are, as bit masks.
//!
//! This is what makes the reader fast. A record of an ordinary file fits into one look, so that its end, its number of
//! fields and the place of any field are a few operations on a 64-bit word, without a loop. (In a guest every loop
//! pays for its back-edge, where the runtime looks whether the time is over.)

use wide::u8x16;

/// The bytes of one look.
pub(super) const WIDTH: usize = 64;

/// What one look saw; bit `i` stands for byte `i`.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) delimiters: u64,
    /// `\n` and `\r`: either ends a record, and an empty record is no record, so that `\r\n` needs no case of its own.
    pub(super) ends: u64,
    pub(super) quotes: u64,
}

impl Look {
    /// Looks at the bytes from `at`. What lies beyond the end of `bytes` counts as zeros, which are nothing special.
    #[inline(always)]
    pub(super) fn new(bytes: &[u8], at: usize, delimiter: u8) -> Self {
        let rest = &bytes[at..];
        let tail;
        let block = match rest.first_chunk() {
            Some(block) => block,
            None => {
                tail = padded(rest);
                &tail
            }
        };
        Self::of(block, delimiter)
    }

    #[inline(always)]
    fn of(block: &[u8; WIDTH], delimiter: u8) -> Self {
        let lanes = lanes(block);
        let quote = lanes.map(|lane| equal(lane, b'"'));
        let any_quote = (quote[0] | quote[1]) | (quote[2] | quote[3]);
        Self {
            delimiters: bits(lanes.map(|lane| equal(lane, delimiter))),
            ends: bits(lanes.map(|lane| equal(lane, b'\n') | equal(lane, b'\r'))),
            quotes: if any_quote.to_bitmask() == 0 { 0 } else { bits(quote) },
        }
    }

    /// The number of bytes before the first line end, if there is one.
    #[inline(always)]
    pub(super) fn end(self) -> Option<usize> {
        (self.ends != 0).then(|| self.ends.trailing_zeros() as usize)
    }

    /// 1 where byte `at` ends a line, otherwise 0.
    #[inline(always)]
    pub(super) fn is_end(self, at: usize) -> usize {
        self.ends.checked_shr(at as u32).unwrap_or_default() as usize & 1
    }

    /// What lies before byte `end`, which is below 64.
    #[inline(always)]
    pub(super) fn before(self, end: usize) -> Self {
        let below = (1u64 << end).wrapping_sub(1);
        Self { delimiters: self.delimiters & below, ends: self.ends & below, quotes: self.quotes & below }
    }
}

/// Where field `index` of a record of `length` bytes lies, given its delimiters.
#[inline(always)]
pub(super) fn field(delimiters: u64, index: usize, length: usize) -> (usize, usize) {
    let from_here = without_lowest(delimiters, index);
    let passed = delimiters ^ from_here;
    let start = (u64::BITS - passed.leading_zeros()) as usize;
    (start, (from_here.trailing_zeros() as usize).min(length))
}

/// The places of the set bits.
pub(super) fn positions(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let position = (bits != 0).then(|| bits.trailing_zeros() as usize);
        bits &= bits.wrapping_sub(1);
        position
    })
}

/// Clears the `count` lowest set bits.
#[inline(always)]
fn without_lowest(mut bits: u64, count: usize) -> u64 {
    if count >= 8 {
        bits = without_lowest_eights(bits, count / 8);
    }
    if count & 4 != 0 {
        bits = clear(clear(clear(clear(bits))));
    }
    if count & 2 != 0 {
        bits = clear(clear(bits));
    }
    if count & 1 != 0 {
        bits = clear(bits);
    }
    bits
}

#[inline(never)]
fn without_lowest_eights(mut bits: u64, count: usize) -> u64 {
    for _ in 0..count.min(WIDTH / 8) {
        bits = clear(clear(clear(clear(clear(clear(clear(clear(bits))))))));
    }
    bits
}

/// Clears the lowest set bit.
#[inline(always)]
fn clear(bits: u64) -> u64 {
    bits & bits.wrapping_sub(1)
}

#[cold]
fn padded(rest: &[u8]) -> [u8; WIDTH] {
    let mut block = [0; WIDTH];
    block[..rest.len()].copy_from_slice(rest);
    block
}

#[inline(always)]
fn lanes(block: &[u8; WIDTH]) -> [u8x16; 4] {
    let (lanes, _) = block.as_chunks::<16>();
    [lanes[0], lanes[1], lanes[2], lanes[3]].map(u8x16::from)
}

#[inline(always)]
fn equal(lane: u8x16, byte: u8) -> u8x16 {
    lane.simd_eq(u8x16::splat(byte))
}

#[inline(always)]
fn bits(lanes: [u8x16; 4]) -> u64 {
    let [a, b, c, d] = lanes.map(|lane| u64::from(lane.to_bitmask()));
    a | b << 16 | c << 32 | d << 48
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_sees_what_a_loop_sees() {
        let bytes: Vec<u8> = (0..200u8).map(|i| b"ab,\n\"\r,x"[usize::from(i % 8)]).collect();
        for at in 0..bytes.len() {
            let look = Look::new(&bytes, at, b',');
            for bit in 0..WIDTH {
                let byte = bytes.get(at + bit).copied().unwrap_or(0);
                let seen = |mask: u64| mask >> bit & 1 == 1;
                assert_eq!(seen(look.delimiters), byte == b',');
                assert_eq!(seen(look.ends), byte == b'\n' || byte == b'\r');
                assert_eq!(seen(look.quotes), byte == b'"');
            }
        }
    }

    #[test]
    fn fields_lie_between_delimiters() {
        let line = "a,,bcd,e,f,g,hh,i,jj,k,l,";
        let look = Look::new(line.as_bytes(), 0, b',');
        let fields: Vec<_> = line.split(',').collect();
        for (index, expected) in fields.iter().enumerate() {
            let (start, end) = field(look.delimiters, index, line.len());
            assert_eq!(&line[start..end], *expected, "field {index}");
        }
    }
}
