"""An object of the store, read as bytes, as lines or as CSV."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .failure import Reject
from .host import Compression, Source
from .kind import LOOK, foreign
from .parse import MAX_RECORD, record_too_long
from .table import Table


class Object:
    """One version of one object. Every read is of the version that was opened, or fails as `ObjectChanged`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.uri, self.size, self.etag = source.entry

    def __repr__(self) -> str:
        return f"<Object {self.uri}, {self.size} bytes>"

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes (at most 8 MiB) from `offset`, or up to the end. Nothing is decompressed."""
        return self._source.read(offset, length)

    def chunks(self, size: int = 0, compression: Compression = "auto") -> Iterator[bytes]:
        """The whole object in order, decompressed: by default what the key's ending says (.gz, .zst, .bz2).

        `size` is in bytes, 4 KiB to 8 MiB; 0 leaves it to the host.
        """
        return self._source.chunks(size, compression)

    def lines(self, compression: Compression = "auto") -> Iterator[str]:
        """The lines of a UTF-8 text without their ends (`\\n` or `\\r\\n`)."""
        for _, text in text_blocks(self.chunks(0, compression), self.uri):
            for line in text.removesuffix("\n").split("\n"):
                yield line.removesuffix("\r")

    def csv(
        self,
        *,
        where: Mapping[str, str] | None = None,
        header: Sequence[str] | None = None,
        delimiter: str = ",",
        compression: Compression = "auto",
    ) -> Table:
        """The object as CSV: `for row in object.csv()` gives a dict for each record, like `csv.DictReader`.

        `where` keeps the records whose columns equal the given texts; much cheaper than sorting them out later.
        `header` names the columns of a file whose first line does not.
        """
        return Table(
            text_blocks(csv_chunks(self.chunks(0, compression), self.uri), self.uri),
            self.uri,
            where=where,
            header=header,
            delimiter=delimiter,
        )


def csv_chunks(chunks: Iterable[bytes], uri: str) -> Iterator[bytes]:
    """The same chunks; what is evidently no CSV, by its first bytes, is rejected with `NotCsv`."""
    chunks = iter(chunks)
    start = b""
    for chunk in chunks:
        start += chunk
        if len(start) >= LOOK or b"\n" in start.lstrip():
            break
    if kind := foreign(start[:LOOK]):
        raise Reject("NotCsv", f"{uri} is no CSV; by its first bytes it is {kind}")
    if start:
        yield start
    yield from chunks


def text_blocks(chunks: Iterable[bytes], uri: str) -> Iterator[tuple[int, str]]:
    """Cuts chunks at line ends: blocks of whole lines, each with the number of its first line (from 1).

    Many lines are decoded at once, because a loop over lines in Python costs more than everything else.
    """
    line = 1
    rest: list[bytes] = []
    rest_size = 0
    for chunk in chunks:
        first_end = chunk.find(b"\n")
        if rest_size + (len(chunk) if first_end < 0 else first_end) > MAX_RECORD:
            raise record_too_long(uri, line)
        if first_end < 0:
            rest.append(chunk)
            rest_size += len(chunk)
            continue
        cut = chunk.rfind(b"\n") + 1
        block = b"".join((*rest, chunk[:cut]))
        rest, rest_size = [chunk[cut:]], len(chunk) - cut
        yield line, _decode(block, line, uri)
        line += block.count(b"\n")
    if last := b"".join(rest):
        yield line, _decode(last, line, uri)


def _decode(block: bytes, line: int, uri: str) -> str:
    at_start = line == 1
    if at_start:
        block = block.removeprefix(codecs.BOM_UTF8)
    try:
        return block.decode()
    except UnicodeDecodeError as error:
        line += block.count(b"\n", 0, error.start)
        column = error.start - block.rfind(b"\n", 0, error.start)
        found = block[error.start]
        kind = foreign(block[:LOOK]) if at_start else None
        hint = f"; by its first bytes it is {kind}" if kind else ""
        raise Reject("NotUtf8", f"{uri}: line {line} is not UTF-8 (byte 0x{found:02x} at place {column}){hint}") from None
