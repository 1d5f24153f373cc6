"""The desk: runs a plugin on local files in ordinary Python, so that its author tests with pytest.

    from gristmill.testing import run
    from app import process

    def test_rain():
        objects = {"s3://b/a.csv": "ID,PRCP\\nx,1\\n"}
        result = run(process, {"Key": "a.csv"}, batch_input={"Bucket": "b"}, objects=objects)
        assert result.rows["stations"] == [{"pk": "a.csv", "PRCP": 1}]

Rows are checked against the declared columns as the host does it. A failure comes out as the exception it is.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from .call import call
from .failure import DatabaseDenied, ObjectInvalid, ObjectNotFound, ObjectTooLarge, Reject
from .given import Given, scan
from .host import Compression, Entry, Tabular
from .plugin import Column, Plugin
from .request import Layout, Request
from .statement import Parameter, Statement

Database = Callable[[str, Sequence[Parameter]], Given]
"""What stands for a database: a statement and its parameters in, rows or columns out."""

CHUNK = 1024 * 1024
MAX_READ = 8 * 1024 * 1024


@dataclass
class Result:
    """What one item gave."""

    value: Any = None
    """What `process` returned, as it comes out of JSON."""
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """For each declared output its rows, as they come out of JSON."""
    counts: dict[str, int] = field(default_factory=dict)
    observations: dict[str, list[float]] = field(default_factory=dict)


def run(
    plugin: Plugin,
    item: Any,
    *,
    batch_input: Any = None,
    settings: Mapping[str, Any] | None = None,
    objects: Mapping[str, bytes | str | Path] | None = None,
    tables: Mapping[str, Given] | None = None,
    databases: Mapping[str, Database] | None = None,
    folder: Path | str | None = None,
    dataset: str = "desk",
    index: int = 0,
) -> Result:
    """Runs one item.

    `objects` maps URIs to their bytes, text, or a local file; `folder` stands for the store, `s3://bucket/key` being
    `folder/bucket/key`. `tables` maps the URIs that the plugin gives to `ctx.table` to rows (dicts) or columns (lists):
    the desk decodes no Parquet. `databases` maps the connections that the plugin gives to `ctx.query` to a function from a
    statement and its parameters to rows or columns.
    """
    desk = _Desk(plugin, objects or {}, tables or {}, databases or {}, Path(folder) if folder is not None else None)
    value = call(
        plugin,
        desk,
        dataset=dataset,
        batch_input=json.dumps(batch_input),
        settings=json.dumps(settings or {}),
        index=index,
        body=json.dumps(item),
    )
    desk.result.value = None if value is None else json.loads(value)
    return desk.result


class _Desk:
    def __init__(
        self,
        plugin: Plugin,
        objects: Mapping[str, bytes | str | Path],
        tables: Mapping[str, Given],
        databases: Mapping[str, Database],
        folder: Path | None,
    ) -> None:
        self._plugin = plugin
        self._objects = objects
        self._tables = tables
        self._databases = databases
        self._folder = folder
        self.result = Result(
            rows={name: [] for name in plugin.outputs}, counts=defaultdict(int), observations=defaultdict(list)
        )

    def open(self, uri: str) -> _DeskSource:
        if not uri.startswith("s3://") or not uri.removeprefix("s3://").partition("/")[2]:
            raise ObjectInvalid(f"{uri}: not of the form s3://bucket/key")
        content = self._objects.get(uri)
        if content is None and self._folder is not None:
            content = self._folder / uri.removeprefix("s3://")
        if isinstance(content, Path):
            content = content.read_bytes() if content.is_file() else None
        if content is None:
            raise ObjectNotFound(f"{uri}: there is no such object")
        return _DeskSource(uri, content.encode() if isinstance(content, str) else content)

    def list(self, prefix: str) -> Iterator[Entry]:
        uris = set(self._objects)
        if self._folder is not None:
            files = (p for p in self._folder.rglob("*") if p.is_file())
            uris |= {f"s3://{p.relative_to(self._folder).as_posix()}" for p in files}
        for uri in sorted(uris, key=str.encode):
            if uri.startswith(prefix):
                yield self.open(uri).entry

    def scan(self, uri: str, request: Request) -> Tabular:
        if uri not in self._tables:
            raise ObjectNotFound(f"{uri}: there is no such table; the desk has those that `tables` gives")
        return scan(uri, self._tables[uri], request)

    def query(self, statement: Statement) -> Tabular:
        place = f"connection {statement.connection}"
        if statement.connection not in self._databases:
            raise DatabaseDenied(f"{place}: it is not granted; the desk has those that `databases` gives")
        given = self._databases[statement.connection](statement.text, statement.parameters)
        return scan(place, given, Request(None, (), statement.block_rows, Layout()))

    def emit(self, output: str, json_lines: bytes) -> None:
        columns = {column.name: column for column in self._plugin.outputs[output].columns}
        rows = self.result.rows[output]
        for line in json_lines.removesuffix(b"\n").split(b"\n"):
            row = json.loads(line)
            for column in columns.values():
                if not _fits(row.get(column.name), column):
                    raise Reject(
                        "OutputInvalid",
                        f"output {output}, row {len(rows) + 1}: {column.name} is {row.get(column.name)!r}, "
                        f"not {column.type}{' or null' if column.nullable else ''}",
                    )
            rows.append(row)

    def count(self, name: str, value: int) -> None:
        self.result.counts[name] += value

    def observe(self, name: str, value: float) -> None:
        self.result.observations[name].append(value)


class _DeskSource:
    def __init__(self, uri: str, content: bytes) -> None:
        self._content = content
        self.entry = Entry(uri, len(content), hashlib.sha256(content).hexdigest()[:32])

    def read(self, offset: int, length: int) -> bytes:
        if length > MAX_READ:
            raise ObjectTooLarge(f"{self.entry.uri}: a read is at most {MAX_READ} bytes")
        if offset > len(self._content):
            raise ObjectInvalid(f"{self.entry.uri}: offset {offset} lies past the end ({len(self._content)} bytes)")
        return self._content[offset : offset + length]

    def chunks(self, size: int, compression: Compression) -> Iterator[bytes]:
        content = _decompress(self._content, self.entry.uri, compression)
        step = min(max(size, 4096), MAX_READ) if size else CHUNK
        return (content[i : i + step] for i in range(0, len(content), step))


def _decompress(content: bytes, uri: str, compression: Compression) -> bytes:
    if compression == "auto":
        endings: dict[str, Compression] = {".gz": "gzip", ".bz2": "bzip2", ".zst": "zstd"}
        compression = next((kind for ending, kind in endings.items() if uri.endswith(ending)), "none")
    try:
        if compression == "gzip":
            return gzip.decompress(content)
        if compression == "bzip2":
            return bz2.decompress(content)
    except (OSError, EOFError, ValueError) as error:
        raise ObjectInvalid(f"{uri}: damaged {compression}: {error}") from None
    if compression == "zstd":
        raise NotImplementedError("the desk does not read zstd: Python has it from 3.14 on; test with gzip")
    return content


def _fits(value: Any, column: Column) -> bool:
    if value is None:
        return column.nullable
    match column.type:
        case "boolean":
            return isinstance(value, bool)
        case "int64":
            return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
        case "float64":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "text":
            return isinstance(value, str)
        case "date":
            return _parses(date.fromisoformat, value) and len(value) == 10
        case "timestamp":
            return _parses(_instant, value)
        case "json":
            return True


def _instant(text: str) -> None:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("no time zone")


def _parses(parse: Any, value: Any) -> bool:
    try:
        parse(value)
    except (TypeError, ValueError):
        return False
    return True
