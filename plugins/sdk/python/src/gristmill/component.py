"""The plugin as a component: between the contract's generated bindings and this package's own words.

Imported only where componentize-py has generated `wit_world` (see build.py). It runs the imports once at build time and
keeps the memory, so a module that the standard library would import later, on first use, must be imported here.
"""

from __future__ import annotations

import importlib
import json
import logging
import random
from collections.abc import Iterator
from typing import Any, NoReturn

from componentize_py_types import Err
from wit_world.imports import logging as wasi_logging
from wit_world.imports import metrics, objects, output, types

from . import failure
from .call import call, verdict
from .host import Compression, Entry
from .plugin import Plugin

for _late in ("_strptime", "encodings.ascii", "encodings.cp1252", "encodings.latin_1", "encodings.utf_16"):
    importlib.import_module(_late)

_OBJECT_ERRORS = {
    objects.Error_NotFound: failure.ObjectNotFound,
    objects.Error_Denied: failure.ObjectDenied,
    objects.Error_Invalid: failure.ObjectInvalid,
    objects.Error_Unavailable: failure.ObjectUnavailable,
    objects.Error_TooLarge: failure.ObjectTooLarge,
    objects.Error_Changed: failure.ObjectChanged,
}
_OUTPUT_ERRORS = {
    output.Error_NoSuchOutput: "NoSuchOutput",
    output.Error_Invalid: "OutputInvalid",
    output.Error_TooLarge: "OutputTooLarge",
}
_LEVELS = (
    (logging.CRITICAL, wasi_logging.Level.CRITICAL),
    (logging.ERROR, wasi_logging.Level.ERROR),
    (logging.WARNING, wasi_logging.Level.WARN),
    (logging.INFO, wasi_logging.Level.INFO),
    (logging.DEBUG, wasi_logging.Level.DEBUG),
)
_COMPRESSIONS = {c.name.lower(): c for c in objects.Compression}


def export(plugin: Plugin) -> type:
    """The class that componentize-py looks for under the name `ItemProcessor`."""
    logging.getLogger().addHandler(_LogHandler())
    logging.getLogger().setLevel(logging.INFO)
    host = _WasmHost()

    class ItemProcessor:
        def describe(self) -> Any:
            return _manifest(plugin)

        def process(self, context: Any, item: Any) -> str | None:
            # The build's seed is in the memory that every instance starts with; the host's follows from the item.
            random.seed()
            try:
                return call(
                    plugin,
                    host,
                    dataset=context.dataset,
                    batch_input=context.batch_input,
                    settings=context.settings,
                    index=item.index,
                    body=item.body,
                )
            except (Exception, SystemExit) as error:
                found = verdict(error)
                kind = types.Failure_Retry if isinstance(found, failure.Retry) else types.Failure_Reject
                raise Err(kind(types.Fault(found.code, found.message))) from None

    return ItemProcessor


def _manifest(plugin: Plugin) -> Any:
    return types.Manifest(
        name=plugin.name,
        version=plugin.version,
        description=plugin.description,
        settings_schema=json.dumps(plugin.settings_schema),
        outputs=[
            types.OutputShape(
                shape.name,
                shape.description,
                [types.Column(c.name, types.ColumnType[c.type.upper()], c.nullable) for c in shape.columns],
            )
            for shape in plugin.outputs.values()
        ],
    )


class _WasmHost:
    def open(self, uri: str) -> _WasmSource:
        try:
            return _WasmSource(objects.open(uri))
        except Err as error:
            _raise_object_error(error)

    def list(self, prefix: str) -> Iterator[Entry]:
        try:
            with objects.list(prefix) as listing:
                while page := listing.next():
                    for entry in page:
                        yield Entry(entry.uri, entry.size, entry.etag)
        except Err as error:
            _raise_object_error(error)

    def emit(self, name: str, json_lines: bytes) -> None:
        try:
            output.emit(name, output.Rows_JsonLines(json_lines))
        except Err as error:
            raise failure.Reject(_OUTPUT_ERRORS[type(error.value)], f"output {name}: {error.value.value}") from None

    def count(self, name: str, value: int) -> None:
        metrics.count(name, value)

    def observe(self, name: str, value: float) -> None:
        metrics.observe(name, value)


class _WasmSource:
    def __init__(self, handle: Any) -> None:
        self._handle = handle
        found = handle.metadata()
        self.entry = Entry(found.uri, found.size, found.etag)

    def read(self, offset: int, length: int) -> bytes:
        try:
            return bytes(self._handle.read(offset, length))
        except Err as error:
            _raise_object_error(error)

    def chunks(self, size: int, compression: Compression) -> Iterator[bytes]:
        try:
            with self._handle.chunks(objects.ChunkOptions(size, _COMPRESSIONS[compression])) as chunks:
                while (chunk := chunks.next()) is not None:
                    yield chunk
        except Err as error:
            _raise_object_error(error)


def _raise_object_error(error: Any) -> NoReturn:
    raise _OBJECT_ERRORS[type(error.value)](error.value.value) from None


class _LogHandler(logging.Handler):
    """The standard library's logging, onto wasi:logging. The host adds dataset, batch, item and time."""

    def emit(self, record: logging.LogRecord) -> None:
        level = next((level for bound, level in _LEVELS if record.levelno >= bound), wasi_logging.Level.TRACE)
        wasi_logging.log(level, record.name, self.format(record))
