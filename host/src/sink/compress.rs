//! A text as a compressed stream. Its bytes follow from the text alone, however the text was cut on its way here.

use std::io::{self, Write};

use flate2::write::GzEncoder;

use crate::dataset::TextCompression;

/// The text goes into its stream in pieces of so many bytes. What other pieces would give is up to the libraries: they promise
/// the same text, not the same bytes.
const PIECE: usize = 64 << 10;

/// A text that is being compressed, if it is compressed at all. A few MiB are held back, whatever its length.
pub(super) struct Compressor {
    stream: Stream,
    /// The text that is no whole piece yet.
    rest: Vec<u8>,
}

enum Stream {
    Plain,
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
}

impl Compressor {
    pub(super) fn new(compression: TextCompression) -> io::Result<Self> {
        let stream = match compression {
            TextCompression::None => Stream::Plain,
            // Its header has neither a time nor a name.
            TextCompression::Gzip => Stream::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::default())),
            TextCompression::Zstd => {
                let mut stream = zstd::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL)?;
                // Readers notice damage, as gzip's do.
                stream.include_checksum(true)?;
                Stream::Zstd(stream)
            }
        };
        Ok(Self { stream, rest: Vec::new() })
    }

    /// Whether the text stays as it is.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.stream, Stream::Plain)
    }

    /// Appends text, and takes the bytes that are ready.
    pub(super) fn add(&mut self, text: Vec<u8>) -> io::Result<Vec<u8>> {
        if self.is_plain() {
            return Ok(text);
        }
        self.rest.extend_from_slice(&text);
        let whole = self.rest.len() - self.rest.len() % PIECE;
        self.rest[..whole].chunks(PIECE).try_for_each(|piece| self.stream.write(piece))?;
        self.rest.drain(..whole);
        Ok(self.stream.take())
    }

    /// Takes the bytes that are left.
    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.stream.write(&self.rest)?;
        match self.stream {
            Stream::Plain => Ok(Vec::new()),
            Stream::Gzip(stream) => stream.finish(),
            Stream::Zstd(stream) => stream.finish(),
        }
    }
}

impl Stream {
    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain => Ok(()),
            Self::Gzip(stream) => stream.write_all(piece),
            Self::Zstd(stream) => stream.write_all(piece),
        }
    }

    fn take(&mut self) -> Vec<u8> {
        match self {
            Self::Plain => Vec::new(),
            Self::Gzip(stream) => std::mem::take(stream.get_mut()),
            Self::Zstd(stream) => std::mem::take(stream.get_mut()),
        }
    }
}

/// What a reader makes of the whole object. It fails on whatever follows the end of the stream.
#[cfg(test)]
pub(super) fn decompress(compression: TextCompression, bytes: &[u8]) -> Vec<u8> {
    use std::io::Read as _;
    match compression {
        TextCompression::None => bytes.to_vec(),
        TextCompression::Gzip => {
            let mut text = Vec::new();
            flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut text).unwrap();
            text
        }
        TextCompression::Zstd => zstd::decode_all(bytes).unwrap(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [TextCompression; 3] = [TextCompression::None, TextCompression::Gzip, TextCompression::Zstd];

    fn compress<'t>(compression: TextCompression, text: impl IntoIterator<Item = &'t [u8]>) -> Vec<u8> {
        let mut compressor = Compressor::new(compression).unwrap();
        let mut bytes = Vec::new();
        for part in text {
            bytes.extend(compressor.add(part.to_vec()).unwrap());
        }
        bytes.extend(compressor.finish().unwrap());
        bytes
    }

    /// Letters that no compressor makes much smaller than three quarters.
    fn noise(length: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(1);
        (0..length).map(|_| b'0' + random.u8(..64)).collect()
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_it_was_and_cuts_change_no_byte(
            parts in prop::collection::vec(prop_oneof![
                prop::collection::vec(any::<u8>(), 0..100),
                // Around a piece's end.
                (b'a'..=b'c', PIECE - 2..=PIECE + 2).prop_map(|(letter, length)| vec![letter; length]),
                (0_usize..3 * PIECE).prop_map(noise),
            ], 0..5),
        ) {
            let text = parts.concat();
            for compression in ALL {
                let bytes = compress(compression, parts.iter().map(Vec::as_slice));
                prop_assert_eq!(&decompress(compression, &bytes), &text);
                prop_assert!(bytes == compress(compression, [text.as_slice()]), "{:?}", compression);
                prop_assert!(bytes == compress(compression, text.chunks(1000)), "{:?}", compression);
            }
        }
    }

    /// RFC 1952: a time of 0 and flags of 0 say that there is neither a time nor a name; 255 is an unknown system.
    #[test]
    fn a_gzip_header_tells_nothing_of_when_and_where() {
        let bytes = compress(TextCompression::Gzip, [b"text".as_slice()]);
        assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    }

    #[test]
    fn damage_is_noticed() {
        let text = noise(PIECE);
        let mut bytes = compress(TextCompression::Zstd, [text.as_slice()]);
        let end = bytes.len() - 1;
        bytes[end] ^= 1;
        assert!(zstd::decode_all(bytes.as_slice()).is_err());
    }

    #[test]
    fn a_long_text_leaves_memory_as_it_comes() {
        let (text, part) = (noise(8 << 20), 1 << 20);
        for compression in ALL {
            let mut compressor = Compressor::new(compression).unwrap();
            let sizes: Vec<usize> =
                text.chunks(part).map(|part| compressor.add(part.to_vec()).unwrap().len()).collect();
            assert!(sizes.iter().all(|size| *size > part / 2), "{compression:?}: {sizes:?}");
            assert!(compressor.finish().unwrap().len() < part / 2, "{compression:?}");
        }
    }
}
