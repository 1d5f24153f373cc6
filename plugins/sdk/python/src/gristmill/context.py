"""What `process` gets beside its item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .failure import Reject
from .host import Entry, Host
from .names import nearest
from .objects import Object
from .plugin import Plugin
from .request import Columns, Where, layout, request
from .rows import RowBuffer
from .scan import Scan
from .statement import statement as ask


class Context:
    """The batch that the item belongs to, and everything that the plugin can reach."""

    def __init__(
        self, plugin: Plugin, host: Host, *, dataset: str, batch_input: Any, settings: Mapping[str, Any], index: int
    ) -> None:
        self._host = host
        self._buffers = {name: RowBuffer(shape, host.emit) for name, shape in plugin.outputs.items()}
        self.dataset = dataset
        """The dataset's name."""
        self.batch_input = batch_input
        """`BatchInput` of the Distributed Map, parsed; None if there is none."""
        self.settings = plugin.settings(settings)
        """The dataset file's `[settings]`, parsed, with the plugin's defaults filled in."""
        self.index = index
        """The item's place within its batch, from 0. A result must not depend on it."""

    def uri(self, item: Any) -> str:
        """The `s3://` URI of an object of a listing or an inventory: the item's `Bucket` or else BatchInput's, and its
        `Key`."""
        named = (fields.get("Bucket") for fields in (item, self.batch_input) if isinstance(fields, dict))
        bucket = next((bucket for bucket in named if isinstance(bucket, str) and bucket), None)
        if bucket is None:
            raise Reject(
                "BadBatchInput",
                f"item {self.index}: neither it nor BatchInput has a Bucket; give the dataset's map a batch input of "
                '{"Bucket": "<name>"}',
            )
        key = item.get("Key") if isinstance(item, dict) else None
        if not (isinstance(key, str) and key):
            raise Reject("BadItem", f"item {self.index}: has no Key; the items must be objects of a listing")
        return f"s3://{bucket}/{key}"

    def open(self, uri: str) -> Object:
        """Opens `s3://bucket/key`, which the dataset file must grant."""
        return Object(self._host.open(uri))

    def table(
        self,
        uri: str,
        columns: Columns | None = None,
        where: Where | None = None,
        *,
        format: str | None = None,
        header: Sequence[str] | None = None,
        delimiter: str | None = None,
        block_rows: int = 0,
    ) -> Scan:
        """Opens a table: Parquet, CSV or JSON lines. The host decodes it, and reads only what is asked for.

        `columns`: the names; or a dict from name to type (`"float64"`), with a question mark (`"float64?"`) where a
        file may lack the column. None for all.
        `where`: conditions that rows have to meet: `[("temperature", ">", 35.0), ("deviceid", "is not null")]`, or a
        dict from column to the one value that is wanted.
        `format`: `"parquet"`, `"csv"` or `"json_lines"`; None for what the first bytes and the key's ending say.
        `header`, `delimiter`: of CSV: the names of its columns, where they are not its first row; and what stands
        between its fields.
        `block_rows`: the most rows of a block; 0 leaves it to the host.
        """
        asked = request(columns, where, block_rows, layout(format, header, delimiter))
        opened = self._host.scan(uri, asked)
        return Scan(uri, opened.columns, opened.blocks)

    def query(
        self, connection: str, statement: str, parameters: Sequence[Any] = (), *, block_rows: int = 0
    ) -> Scan:
        """Asks a database, by the name of a connection that the dataset file must grant (`[grants] sql`).

        `statement` can only read; `parameters` are its `$1`, `$2`, and so on: numbers, texts, bytes, None, or what
        `datetime`, `decimal` and `uuid` have. They are bound, never spliced into it.
        `block_rows`: the most rows of a block; 0 leaves it to the host.
        """
        asked = self._host.query(ask(connection, statement, parameters, block_rows))
        return Scan(f"connection {connection}", asked.columns, asked.blocks)

    def list(self, prefix: str) -> Iterator[Entry]:
        """All objects whose URI starts with `prefix`, in ascending order. The prefix must lie within one grant."""
        return self._host.list(prefix)

    def emit(self, output: str, row: Mapping[str, Any]) -> None:
        """Adds a row, column name to value. Rows count only if `process` returns.

        Dates and timestamps may be `datetime.date` and `datetime.datetime` (with a time zone) or text.
        """
        self._buffer(output).add(row)

    def emit_columns(self, output: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Adds as many rows as the columns have values: the same as `emit` for each, and faster."""
        self._buffer(output).add_columns(columns)

    def count(self, name: str, value: int = 1) -> None:
        """Adds to a counter on the worker's /metrics. The name matches `[a-z][a-z0-9_]{0,62}`."""
        self._host.count(name, value)

    def observe(self, name: str, value: float) -> None:
        """Adds one observation to a distribution on the worker's /metrics."""
        self._host.observe(name, value)

    def flush(self) -> None:
        """Sends what is still buffered. The SDK does it when `process` has returned."""
        for buffer in self._buffers.values():
            buffer.flush()

    def _buffer(self, output: str) -> RowBuffer:
        try:
            return self._buffers[output]
        except KeyError:
            near = nearest(output, self._buffers)
            hint = f", did you mean {near}?" if near else f"; there are: {', '.join(self._buffers) or 'none'}"
            raise Reject("NoSuchOutput", f"the plugin declares no output {output}{hint}") from None
