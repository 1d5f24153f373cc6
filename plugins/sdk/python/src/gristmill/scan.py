"""A table that the host decodes: Parquet and the like, read in blocks of columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from .block import Block
from .request import ValueType


class Scan:
    """A table that is being read, once: `for block in scan`, or `for row in scan.rows()`."""

    def __init__(self, uri: str, columns: Mapping[str, ValueType], blocks: Iterator[Block]) -> None:
        self.uri = uri
        self.columns = columns
        """The names and types of the columns, in order, known before the first block."""
        self._blocks = blocks

    def __repr__(self) -> str:
        return f"<Scan of {self.uri}: {', '.join(self.columns)}>"

    def __iter__(self) -> Iterator[Block]:
        return self._blocks

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows of all blocks as dicts: simple, where there are not too many."""
        return chain.from_iterable(block.rows() for block in self._blocks)
