"""The component's side: the same plugin over the contract's own types, the host's functions replaced."""

from __future__ import annotations

import logging
from types import ModuleType
from typing import Any

import pytest
from arrow import block

from gristmill.request import Layout
from gristmill import Context, Plugin, Retry, plugin

CONTENT = b"ID,N\na,1\nb,2\n"
BLOCKS = [
    block({"id": ("text", ["a", "b"]), "n": ("int64", [1, None])}),
    block({"id": ("text", ["c"]), "n": ("int64", [3])}),
]
WHERE = [("n", ">=", 1), ("x", "<", 0.5), ("id", "!=", "z"), ("on", "==", True), ("id", "is not null")]


@plugin(
    name="rain",
    version="1.2.3",
    outputs={"rows": {"pk": "text", "n": "int64?"}},
    settings={"fail": "", "columns": False, "sql": False},
)
def rain(item: Any, ctx: Context) -> Any:
    """Rain."""
    logging.getLogger("rain.log").warning("saw %s", item)
    match ctx.settings["fail"]:
        case "retry":
            raise Retry("NotYet", "come back")
        case "bug":
            return 1 // 0
        case "exit":
            raise SystemExit("enough")
    if ctx.settings["columns"]:
        readings = ctx.table(ctx.uri(item), {"id": "text", "n": "int64?"}, WHERE, block_rows=9)
        assert readings.columns == {"id": "text", "n": "int64"}
        for row in readings.rows():
            ctx.emit("rows", {"pk": row["id"], "n": row["n"]})
        return None
    if ctx.settings["sql"]:
        found = ctx.query("shop", "select $1", [None, True, 7, 0.5, "a", b"b"], block_rows=9)
        assert found.columns == {"id": "text", "n": "int64"}
        for row in found.rows():
            ctx.emit("rows", {"pk": row["id"], "n": row["n"]})
        return None
    for row in ctx.open(ctx.uri(item)).csv():
        ctx.emit("rows", {"pk": row["ID"], "n": int(row["N"])})
    ctx.count("files")
    ctx.observe("size", 1.5)
    return {"index": ctx.index}


class World:
    """A host: what it was asked, and the answer it gives."""

    def __init__(self, component: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        self.objects, self.output, self.types = component.objects, component.output, component.types
        self.tables, self.sql = component.tables, component.sql
        self.err: type[Any] = component.Err
        self.error: Any = None
        self.emit_error: Any = None
        self.emitted: list[tuple[str, bytes]] = []
        self.metrics: list[tuple[str, str, float]] = []
        self.logs: list[tuple[str, str, str]] = []
        self.asked: list[tuple[str, Any]] = []
        self.blocks = list(BLOCKS)
        self.closed = 0
        monkeypatch.setattr(component.objects, "open", self.open)
        monkeypatch.setattr(component.tables, "open", self.scan)
        monkeypatch.setattr(component.sql, "query", lambda *asked: self.scan("sql", asked))
        monkeypatch.setattr(component.output, "emit", self.emit)
        monkeypatch.setattr(component.metrics, "count", lambda *a: self.metrics.append(("count", *a)))
        monkeypatch.setattr(component.metrics, "observe", lambda *a: self.metrics.append(("observe", *a)))
        monkeypatch.setattr(component.wasi_logging, "log", lambda level, *a: self.logs.append((level.name, *a)))
        root = logging.getLogger()
        monkeypatch.setattr(root, "handlers", [])
        monkeypatch.setattr(root, "level", root.level)
        self.processor = component.export(rain)()

    def open(self, uri: str) -> Any:
        world = self

        class Chunks:
            def __init__(self) -> None:
                self.pieces = [CONTENT[:5], CONTENT[5:]]

            def next(self) -> bytes | None:
                if world.error and len(self.pieces) < 2:
                    raise world.err(world.error)
                return self.pieces.pop(0) if self.pieces else None

            def __enter__(self) -> Chunks:
                return self

            def __exit__(self, *_: object) -> None:
                world.closed += 1

        class Thing:
            def metadata(self) -> Any:
                return world.objects.Metadata(uri, len(CONTENT), "e")

            def chunks(self, options: Any) -> Chunks:
                assert options == world.objects.ChunkOptions(0, world.objects.Compression.AUTO)
                return Chunks()

        return Thing()

    def scan(self, uri: str, options: Any) -> Any:
        world = self
        self.asked.append((uri, options))

        class Scan:
            def columns(self) -> list[Any]:
                kinds = world.tables.ValueType
                return [world.tables.Column("id", kinds.TEXT, False), world.tables.Column("n", kinds.INT64, True)]

            def next(self) -> bytes | None:
                if world.error and len(world.blocks) < 2:
                    raise world.err(world.error)
                return world.blocks.pop(0) if world.blocks else None

            def __enter__(self) -> Scan:
                return self

            def __exit__(self, *_: object) -> None:
                world.closed += 1

        return Scan()

    def emit(self, name: str, rows: Any) -> None:
        if self.emit_error:
            raise self.err(self.emit_error)
        assert isinstance(rows, self.output.Rows_JsonLines)
        self.emitted.append((name, rows.value))

    def process(self, settings: str = "{}", batch_input: str = '{"Bucket":"b"}') -> Any:
        context = self.types.Context("weather", batch_input, settings)
        return self.processor.process(context, self.types.Item(7, '{"Key":"a.csv"}'))

    def failure(self, settings: str = "{}") -> tuple[str, str, str]:
        with pytest.raises(self.err) as caught:
            self.process(settings)
        found = caught.value.value
        return type(found).__name__, found.value.code, found.value.message


@pytest.fixture
def world(component: ModuleType, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(component, monkeypatch)


def test_an_item_goes_through(world: World) -> None:
    assert world.process() == '{"index":7}'
    assert world.emitted == [("rows", b'{"pk":"a","n":1}\n{"pk":"b","n":2}\n')]
    assert world.metrics == [("count", "files", 1), ("observe", "size", 1.5)]
    assert world.logs == [("WARN", "rain.log", "saw {'Key': 'a.csv'}")]
    assert world.closed == 1


def test_a_format_is_the_contracts(component: ModuleType, world: World) -> None:
    tables = world.tables
    assert component._format(Layout()) == tables.Format_Auto()
    assert component._format(Layout("parquet")) == tables.Format_Parquet()
    assert component._format(Layout("json_lines")) == tables.Format_JsonLines()
    assert component._format(Layout("csv")) == tables.Format_Csv(tables.CsvOptions(True, [], ","))
    named = tables.Format_Csv(tables.CsvOptions(False, ["a"], ";"))
    assert component._format(Layout("csv", ("a",), ";")) == named


def test_a_table_goes_through(world: World) -> None:
    assert world.process('{"columns":true}') is None
    assert world.emitted == [("rows", b'{"pk":"a","n":1}\n{"pk":"b","n":null}\n{"pk":"c","n":3}\n')]
    assert world.closed == 1
    tables, compared = world.tables, world.tables.Comparison
    expected = tables.ScanOptions(
        tables.Format_Auto(),
        world.objects.Compression.AUTO,
        [tables.Wanted("id", tables.ValueType.TEXT, False), tables.Wanted("n", tables.ValueType.INT64, True)],
        [
            tables.Predicate("n", compared.GREATER_OR_EQUAL, tables.Literal_Int64(1)),
            tables.Predicate("x", compared.LESS, tables.Literal_Float64(0.5)),
            tables.Predicate("id", compared.NOT_EQUAL, tables.Literal_Text("z")),
            tables.Predicate("on", compared.EQUAL, tables.Literal_Boolean(True)),
            tables.Predicate("id", compared.IS_NOT_NULL, None),
        ],
        9,
        tables.Encoding.ARROW_IPC,
    )
    assert world.asked == [("s3://b/a.csv", expected)]


def test_a_block_that_cannot_be_read_rejects_the_item(world: World) -> None:
    world.blocks[1] = world.blocks[1][:50]
    kind, code, message = world.failure('{"columns":true}')
    assert (kind, code) == ("Failure_Reject", "TableInvalid")
    assert message == "s3://b/a.csv: a block cannot be read: it is cut off"
    assert world.closed == 1


@pytest.mark.parametrize(
    ("case", "kind", "code"),
    [
        ("Error_NotFound", "Failure_Reject", "ObjectNotFound"),
        ("Error_Denied", "Failure_Reject", "ObjectDenied"),
        ("Error_Invalid", "Failure_Reject", "ObjectInvalid"),
        ("Error_TooLarge", "Failure_Reject", "ObjectTooLarge"),
        ("Error_Unavailable", "Failure_Retry", "ObjectUnavailable"),
        ("Error_Changed", "Failure_Retry", "ObjectChanged"),
    ],
)
def test_an_objects_error_decides_the_items_fate(world: World, case: str, kind: str, code: str) -> None:
    world.error = getattr(world.objects, case)("s3://b/a.csv: why")
    for settings in ("{}", '{"columns":true}'):
        assert world.failure(settings) == (kind, code, "s3://b/a.csv: why")
    assert world.closed == 2


def test_a_statement_and_its_parameters_are_the_contracts(world: World) -> None:
    world.process('{"sql":true}')
    sql = world.sql
    parameters = [
        sql.Value_Null(), sql.Value_Boolean(True), sql.Value_Int64(7), sql.Value_Float64(0.5), sql.Value_Text("a"),
        sql.Value_Binary(b"b"),
    ]
    options = sql.QueryOptions(9, world.tables.Encoding.ARROW_IPC)
    assert world.asked == [("sql", ("shop", "select $1", parameters, options))]
    assert world.emitted == [("rows", b'{"pk":"a","n":1}\n{"pk":"b","n":null}\n{"pk":"c","n":3}\n')]
    assert world.closed == 1


@pytest.mark.parametrize(
    ("case", "kind", "code"),
    [
        ("Error_Denied", "Failure_Reject", "DatabaseDenied"),
        ("Error_Invalid", "Failure_Reject", "DatabaseInvalid"),
        ("Error_TooLarge", "Failure_Reject", "DatabaseTooLarge"),
        ("Error_Unavailable", "Failure_Retry", "DatabaseUnavailable"),
    ],
)
def test_a_databases_error_decides_the_items_fate(world: World, case: str, kind: str, code: str) -> None:
    world.error = getattr(world.sql, case)("connection `shop`: why")
    assert world.failure('{"sql":true}') == (kind, code, "connection `shop`: why")
    assert world.closed == 1


@pytest.mark.parametrize(
    ("case", "code"),
    [("Error_NoSuchOutput", "NoSuchOutput"), ("Error_Invalid", "OutputInvalid"), ("Error_TooLarge", "OutputTooLarge")],
)
def test_rows_that_are_not_taken_reject_the_item(world: World, case: str, code: str) -> None:
    world.emit_error = getattr(world.output, case)("why")
    assert world.failure() == ("Failure_Reject", code, "output rows: why")


def test_other_exceptions_reject_with_their_name_and_leave_a_traceback(world: World) -> None:
    assert world.failure('{"fail":"retry"}') == ("Failure_Retry", "NotYet", "come back")
    assert world.failure('{"fail":"bug"}')[:2] == ("Failure_Reject", "ZeroDivisionError")
    level, logger, message = world.logs[-1]
    assert (level, logger) == ("ERROR", "gristmill")
    assert "test_component.py:" in message
    assert "in rain" in message
    assert world.failure('{"fail":"exit"}')[:2] == ("Failure_Reject", "SystemExit")


def test_every_error_of_the_contract_is_mapped(component: ModuleType) -> None:
    assert set(component._OBJECT_ERRORS) == set(component.objects.Error.__args__)
    assert set(component._DATABASE_ERRORS) == set(component.sql.Error.__args__)
    assert set(component._OUTPUT_ERRORS) == set(component.output.Error.__args__)


def test_the_manifest_says_what_was_declared(world: World) -> None:
    found = world.processor.describe()
    types = world.types
    assert (found.name, found.version, found.description) == ("rain", "1.2.3", "Rain.")
    assert found.outputs == [
        types.OutputShape(
            "rows",
            "",
            [types.Column("pk", types.ColumnType.TEXT, False), types.Column("n", types.ColumnType.INT64, True)],
        )
    ]
    assert '"additionalProperties": false' in found.settings_schema


def test_every_column_type_is_the_contracts(component: ModuleType) -> None:
    from gristmill.plugin import COLUMN_TYPES

    assert {kind.upper() for kind in COLUMN_TYPES} == {kind.name for kind in component.types.ColumnType}
    assert set(component._TYPE_NAMES) == set(component.tables.ValueType)
    assert set(component._COMPARISONS.values()) == set(component.tables.Comparison)


def test_the_plugin_under_test_is_a_plugin() -> None:
    assert isinstance(rain, Plugin)
