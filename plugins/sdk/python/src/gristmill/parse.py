"""Records with quotes, by the standard library's csv module: the careful way beside the fast one of `table`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain

from .failure import Reject

MAX_RECORD = 8 * 1024 * 1024
"""The longest record in bytes: a quote that is never closed, or a file without line ends, must not fill the memory."""


class Parser:
    """The records of blocks of whole lines.

    As in the Rust SDK, text beside quotes belongs to its field, but a quote that is still open at the end is an error:
    it has swallowed records.
    """

    def __init__(self, uri: str, blocks: Iterator[tuple[int, str]], delimiter: str) -> None:
        self._uri = uri
        self._blocks = blocks
        self._block = io.StringIO()
        self._swallowed = 0
        self._first = self._line = 0
        self._ended = False
        csv.field_size_limit(MAX_RECORD)
        self._reader = csv.reader(chain.from_iterable(self._lines()), delimiter=delimiter)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Each record with the number of its first line; blank lines are none."""
        reader = self._reader
        try:
            for record in reader:
                line, self._line = self._line, self._first + reader.line_num
                self._swallowed = 0
                if record:
                    if self._ended:
                        raise Reject("BadRecord", f"{self._uri}: line {line} starts a quote that is never closed")
                    yield line, record
        except csv.Error:
            # Not being strict, the module has no other objection.
            raise record_too_long(self._uri, self._line) from None

    def rest(self) -> tuple[int, str]:
        """What follows the last record in its block."""
        return self._line, self._block.read()

    def _lines(self) -> Iterator[Iterable[str]]:
        for start, text in self._blocks:
            if not self._first:
                self._first = self._line = start
            # The module bounds a field. Whole blocks within one record are what bounds the record.
            if self._swallowed > MAX_RECORD:
                raise record_too_long(self._uri, self._line)
            self._swallowed += len(text)
            # With their ends, as the module wants them; `str.splitlines` would cut at more than line ends.
            self._block = io.StringIO(text, newline="")
            yield self._block
        # One more blank line, which is a record's part only if its quote is open.
        self._ended = True
        yield ("\n",)


def record_too_long(uri: str, line: int) -> Reject:
    """The rejection of a line or a record of more than `MAX_RECORD`."""
    return Reject(
        "RecordTooLong",
        f"{uri}: line {line} starts a record of more than {MAX_RECORD} bytes; is there a quote that is never closed?",
    )
