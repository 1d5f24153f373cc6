"""What a plugin stands on: the component's imports when it runs in gristmill, local files when it is tested."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, Protocol

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


class Host(Protocol):
    """Everything that a plugin can reach. Errors come as the exceptions of `gristmill.failure`."""

    def open(self, uri: str) -> Source: ...

    def list(self, prefix: str) -> Iterator[Entry]: ...

    def emit(self, output: str, json_lines: bytes) -> None: ...

    def count(self, name: str, value: int) -> None: ...

    def observe(self, name: str, value: float) -> None: ...
