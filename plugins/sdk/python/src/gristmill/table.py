"""CSV, fast enough for Python in a sandbox: whole blocks of lines go through functions written in C.

A block without a quote is cut at its commas; from the first quote on, the standard library's csv module reads the file.
What is a record and what is wrong with one is as in the Rust SDK: the same object gives the same rows or the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from operator import itemgetter

from .failure import Reject
from .names import nearest, quoted
from .parse import Parser

Record = Sequence[str]
Pick = Callable[[Record], Record]


class Table:
    """The records of a CSV object. Can be read once, either as dicts (iterate over it) or by `rows`."""

    def __init__(
        self,
        blocks: Iterable[tuple[int, str]],
        uri: str,
        *,
        where: Mapping[str, str] | None = None,
        header: Sequence[str] | None = None,
        delimiter: str = ",",
    ) -> None:
        self.uri = uri
        self.seen = 0
        """Records read so far, those that `where` left out included. Runs ahead of the loop by up to a block."""
        self._delimiter = delimiter
        blocks = iter(blocks)
        first, text = next(blocks, (1, ""))
        if not text:
            raise self._empty()
        self._pending: Iterator[tuple[int, str]] = chain([(first, text)], blocks)
        self.header: list[str] = list(header) if header is not None else self._take_header()
        named = [name for name in self.header if name]
        if len(set(named)) < len(named):
            twice = next(name for name in named if named.count(name) > 1)
            raise Reject("BadHeader", f"{uri} has the column {quoted(twice)} twice in {self._its_header()}")
        self._where = [(self.index(name), text) for name, text in (where or {}).items()]

    def index(self, column: str) -> int:
        """The place of a column, from 0. Rejects the item with `BadHeader` if there is none of that name."""
        try:
            return self.header.index(column)
        except ValueError:
            near = nearest(column, self.header)
            hint = f"; did you mean {quoted(near)}?" if near else ""
            raise Reject(
                "BadHeader", f"{self.uri} has no column {quoted(column)} in {self._its_header()}{hint}"
            ) from None

    def require(self, *columns: str) -> Table:
        """Rejects the item with `BadHeader` unless all these columns are there."""
        for column in columns:
            self.index(column)
        return self

    def __iter__(self) -> Iterator[dict[str, str]]:
        header = self.header
        if "" not in header:
            for _, record in self._records(None):
                yield dict(zip(header, record, strict=True))
            return
        # Columns without a name, as spreadsheets write them, have no place in a dict.
        named = [(place, name) for place, name in enumerate(header) if name]
        for _, record in self._records(None):
            yield {name: record[place] for place, name in named}

    def rows(self, *columns: str) -> Iterator[tuple[int, Record]]:
        """The line number (for error messages) and the values of these columns, of each record. The fast path.

        for line, (date, value) in table.rows("DATE", "DATA_VALUE"): ...
        """
        places = [self.index(column) for column in columns] or list(range(len(self.header)))
        # itemgetter runs in C, but hands out a bare value when it is asked for one.
        if len(places) == 1:
            return ((line, (record[places[0]],)) for line, record in self._records(None))
        return self._records(itemgetter(*places))

    def _empty(self) -> Reject:
        return Reject("EmptyObject", f"{self.uri} is empty, there is no header")

    def _its_header(self) -> str:
        return f"its header, which is {quoted(self._delimiter.join(self.header))}"

    def _take_header(self) -> list[str]:
        blocks = self._pending
        parser = Parser(self.uri, blocks, self._delimiter)
        _, header = next(iter(parser), (1, None))
        if header is None:
            raise self._empty()
        line, rest = parser.rest()
        self._pending = chain([(line, rest)] if rest else [], blocks)
        return header

    def _records(self, pick: Pick | None) -> Iterator[tuple[int, Record]]:
        return chain.from_iterable(self._batches(pick))

    def _batches(self, pick: Pick | None) -> Iterator[Iterable[tuple[int, Record]]]:
        for start, text in self._pending:
            if '"' in text:
                blocks = chain([(start, text)], self._pending)
                yield self._select(iter(Parser(self.uri, blocks, self._delimiter)), pick)
                return
            if "\r" in text:
                text = text.replace("\r\n", "\n").replace("\r", "\n")
            yield self._plain(start, text.removesuffix("\n").split("\n"), pick)

    def _plain(self, start: int, lines: list[str], pick: Pick | None) -> Iterable[tuple[int, Record]]:
        delimiter, where = self._delimiter, self._where
        width = len(self.header)
        # One pass in C tells whether every line is a whole record. A blank line has no delimiter either.
        if width == 1 or set(map(str.count, lines, repeat(delimiter))) != {width - 1}:
            return self._select(self._ragged(start, lines), pick)
        self.seen += len(lines)
        if not where:
            records: Iterable[Record] = map(str.split, lines, repeat(delimiter))
            return enumerate(map(pick, records) if pick else records, start)
        # What the longest text sorts out is never split at all.
        sieve = max((text for _, text in where), key=len)
        found = ((n, line.split(delimiter)) for n, line in enumerate(lines, start) if sieve in line)
        return self._filter(found, pick)

    def _ragged(self, start: int, lines: list[str]) -> Iterator[tuple[int, list[str]]]:
        for number, line in enumerate(lines, start):
            if line:
                yield number, line.split(self._delimiter)

    def _select(self, records: Iterator[tuple[int, list[str]]], pick: Pick | None) -> Iterator[tuple[int, Record]]:
        return self._filter(self._whole(records), pick)

    def _whole(self, records: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
        width = len(self.header)
        for line, record in records:
            if len(record) != width:
                raise Reject(
                    "BadRecord", f"{self.uri}: line {line} has {len(record)} fields where the header has {width}"
                )
            self.seen += 1
            yield line, record

    def _filter(self, records: Iterable[tuple[int, list[str]]], pick: Pick | None) -> Iterator[tuple[int, Record]]:
        if len(self._where) == 1:
            # The common case, without a loop per record.
            ((place, wanted),) = self._where
            kept = ((n, r) for n, r in records if r[place] == wanted)
        else:
            kept = ((n, r) for n, r in records if all(r[place] == text for place, text in self._where))
        return ((n, pick(r)) for n, r in kept) if pick else kept
