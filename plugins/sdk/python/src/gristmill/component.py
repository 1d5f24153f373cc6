"""The plugin as a component: between the contract's generated bindings and this package's own words.

Imported only where componentize-py has generated `wit_world` (see build.py). It runs the imports once at build time and
keeps the memory, so a module that the standard library would import later, on first use, must be imported here.
"""

from __future__ import annotations

import importlib
import json
import logging
import random
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from componentize_py_types import Err
from wit_world.imports import logging as wasi_logging
from wit_world.imports import metrics, objects, output, sql, tables, types

from . import failure
from .block import Block, arrow
from .call import call, verdict
from .host import Compression, Entry, Tabular
from .plugin import Plugin
from .request import COMPARISONS, VALUE_TYPES, Condition, Layout, Request, ValueType
from .statement import Parameter, Statement

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
_DATABASE_ERRORS = {
    sql.Error_Denied: failure.DatabaseDenied,
    sql.Error_Invalid: failure.DatabaseInvalid,
    sql.Error_Unavailable: failure.DatabaseUnavailable,
    sql.Error_TooLarge: failure.DatabaseTooLarge,
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
_VALUE_TYPES = {kind: tables.ValueType[kind.upper()] for kind in VALUE_TYPES}
_TYPE_NAMES: dict[Any, ValueType] = {found: kind for kind, found in _VALUE_TYPES.items()}
# In the order of COMPARISONS.
_COMPARED = ("EQUAL", "NOT_EQUAL", "LESS", "LESS_OR_EQUAL", "GREATER", "GREATER_OR_EQUAL", "IS_NULL", "IS_NOT_NULL")
_COMPARISONS = {sign: tables.Comparison[name] for sign, name in zip(COMPARISONS, _COMPARED, strict=True)}


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

    def scan(self, uri: str, request: Request) -> Tabular:
        try:
            handle = tables.open(uri, _options(request))
        except Err as error:
            _raise_object_error(error)
        columns = {column.name: _TYPE_NAMES[column.type] for column in handle.columns()}
        return Tabular(columns, _blocks(handle, columns, uri))

    def query(self, statement: Statement) -> Tabular:
        options = sql.QueryOptions(statement.block_rows, tables.Encoding.ARROW_IPC)
        parameters = [_value(parameter) for parameter in statement.parameters]
        try:
            handle = sql.query(statement.connection, statement.text, parameters, options)
        except Err as error:
            _raise_database_error(error)
        columns = {column.name: _TYPE_NAMES[column.type] for column in handle.columns()}
        return Tabular(columns, _rows(handle, columns, f"connection {statement.connection}"))

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


def _options(request: Request) -> Any:
    columns = None
    if request.columns is not None:
        columns = [
            tables.Wanted(wanted.name, _VALUE_TYPES[wanted.type] if wanted.type else None, wanted.optional)
            for wanted in request.columns
        ]
    return tables.ScanOptions(
        format=_format(request.layout),
        compression=objects.Compression.AUTO,
        columns=columns,
        where=[_predicate(condition) for condition in request.where],
        block_rows=request.block_rows,
        encoding=tables.Encoding.ARROW_IPC,
    )


def _format(layout: Layout) -> Any:
    match layout.format:
        case None:
            return tables.Format_Auto()
        case "parquet":
            return tables.Format_Parquet()
        case "json_lines":
            return tables.Format_JsonLines()
        case "csv":
            names = list(layout.header or ())
            return tables.Format_Csv(tables.CsvOptions(layout.header is None, names, layout.delimiter))


def _predicate(condition: Condition) -> Any:
    value: Any
    match condition.value:
        case None:
            value = None
        # bool before int: True is an int to Python.
        case bool():
            value = tables.Literal_Boolean(condition.value)
        case int():
            value = tables.Literal_Int64(condition.value)
        case float():
            value = tables.Literal_Float64(condition.value)
        case str():
            value = tables.Literal_Text(condition.value)
    return tables.Predicate(condition.column, _COMPARISONS[condition.comparison], value)


def _value(parameter: Parameter) -> Any:
    match parameter:
        case None:
            return sql.Value_Null()
        # bool before int: True is an int to Python.
        case bool():
            return sql.Value_Boolean(parameter)
        case int():
            return sql.Value_Int64(parameter)
        case float():
            return sql.Value_Float64(parameter)
        case str():
            return sql.Value_Text(parameter)
        case bytes():
            return sql.Value_Binary(parameter)


def _rows(handle: Any, columns: Mapping[str, ValueType], place: str) -> Iterator[Block]:
    try:
        with handle:
            while (content := handle.next()) is not None:
                yield arrow(content, columns, place)
    except Err as error:
        _raise_database_error(error)


def _raise_database_error(error: Any) -> NoReturn:
    raise _DATABASE_ERRORS[type(error.value)](error.value.value) from None


def _blocks(handle: Any, columns: Mapping[str, ValueType], uri: str) -> Iterator[Block]:
    try:
        with handle:
            while (content := handle.next()) is not None:
                yield arrow(content, columns, uri)
    except Err as error:
        _raise_object_error(error)


def _raise_object_error(error: Any) -> NoReturn:
    raise _OBJECT_ERRORS[type(error.value)](error.value.value) from None


class _LogHandler(logging.Handler):
    """The standard library's logging, onto wasi:logging. The host adds dataset, batch, item and time."""

    def emit(self, record: logging.LogRecord) -> None:
        level = next((level for bound, level in _LEVELS if record.levelno >= bound), wasi_logging.Level.TRACE)
        wasi_logging.log(level, record.name, self.format(record))
