"""What a plugin stands on: the component's imports when it runs in gristmill, local files when it is tested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, Protocol

from .block import Block
from .request import Request, ValueType
from .statement import Statement

Compression = Literal["auto", "none", "gzip", "zstd", "bzip2"]


class Entry(NamedTuple):
    """One object of a listing."""

    uri: str
    size: int
    """In bytes, as stored."""
    etag: str


class Source(Protocol):
    """One version of one object."""

    @property
    def entry(self) -> Entry: ...

    def read(self, offset: int, length: int) -> bytes: ...

    def chunks(self, size: int, compression: Compression) -> Iterator[bytes]: ...


class Tabular(NamedTuple):
    """A table as the host has opened it."""

    columns: Mapping[str, ValueType]
    blocks: Iterator[Block]


class Host(Protocol):
    """Everything that a plugin can reach. Errors come as the exceptions of `gristmill.failure`."""

    def open(self, uri: str) -> Source: ...

    def list(self, prefix: str) -> Iterator[Entry]: ...

    def scan(self, uri: str, request: Request) -> Tabular: ...

    def query(self, statement: Statement) -> Tabular: ...

    def emit(self, output: str, json_lines: bytes) -> None: ...

    def count(self, name: str, value: int) -> None: ...

    def observe(self, name: str, value: float) -> None: ...
