"""A plugin at its author's desk: what it declares, reads and emits."""

from __future__ import annotations

import gzip
import logging
import math
import random
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from gristmill import Context, ObjectInvalid, ObjectNotFound, Output, Plugin, Reject, Retry, plugin
from gristmill.call import verdict
from gristmill.testing import Result, run

COLUMNS = {
    "pk": "text",
    "n": "int64?",
    "x": "float64?",
    "on": "boolean?",
    "day": "date?",
    "at": "timestamp?",
    "any": "json?",
}


def declare(function: Any, **options: Any) -> Plugin:
    return plugin(**{"name": "desk", "version": "1.0.0", "outputs": {"rows": COLUMNS}, **options})(function)


def emitting(*rows: dict[str, Any]) -> Result:
    def process(item: Any, ctx: Context) -> None:
        for row in rows:
            ctx.emit("rows", row)

    return run(declare(process), {})


def test_every_type_goes_out_and_comes_back() -> None:
    result = emitting(
        {
            "pk": "ø\u2028\n",
            "n": -(2**63),
            "x": 0.5,
            "on": True,
            "day": date(2020, 2, 29),
            "at": datetime(2020, 1, 1, tzinfo=UTC),
            "any": {"deep": [1]},
        },
        {"pk": "b", "n": None},
    )
    assert result.rows["rows"] == [
        {
            "pk": "ø\u2028\n",
            "n": -(2**63),
            "x": 0.5,
            "on": True,
            "day": "2020-02-29",
            "at": "2020-01-01T00:00:00+00:00",
            "any": {"deep": [1]},
        },
        {"pk": "b", "n": None},
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"pk": "a", "N": 1}, "row 2: 'N' is no column of this output, did you mean n"),
        ({"pk": "a", "x": math.nan}, "row 2: Out of range float"),
        ({"pk": "a", "at": datetime(2020, 1, 1)}, "row 2: .*has no time zone"),
        ({"pk": "a", "any": {1, 2}}, "row 2: a set does not go into JSON"),
        ({"pk": "\ud800"}, "row 2: .*surrogates not allowed"),
        ({}, "row 2: pk is None, not text"),
        ({"pk": 5}, "row 2: pk is 5, not text"),
        ({"pk": "a", "n": True}, "row 2: n is True, not int64 or null"),
        ({"pk": "a", "n": 2**63}, "row 2: n is 9223372036854775808"),
        ({"pk": "a", "n": 1.0}, "row 2: n is 1.0"),
        ({"pk": "a", "day": "20200101"}, "row 2: day is '20200101'"),
        ({"pk": "a", "at": "2020-01-01T00:00:00"}, "row 2: at is"),
    ],
)
def test_a_row_that_does_not_fit_is_named(row: dict[str, Any], message: str) -> None:
    with pytest.raises(Reject, match=f"^OutputInvalid: output rows, {message}"):
        emitting({"pk": "first"}, row)


def emitting_columns(*blocks: dict[str, Any]) -> Result:
    def process(item: Any, ctx: Context) -> None:
        for block in blocks:
            ctx.emit_columns("rows", block)

    return run(declare(process), {})


@pytest.mark.parametrize("seed", range(20))
def test_columns_are_the_same_rows(seed: int) -> None:
    chance = random.Random(seed)
    make: dict[str, Any] = {
        "pk": lambda: "".join(chance.choices('ab",\\\n%ø\u2028', k=chance.randrange(5))),
        "n": lambda: chance.randrange(-(2**63), 2**63),
        "x": lambda: chance.choice([-0.0, 0.1, 1e300, 7]),
        "on": lambda: chance.random() < 0.5,
        "day": lambda: chance.choice([date(2020, 2, 29), "2020-03-01"]),
        "at": lambda: datetime(2020, 1, 1, tzinfo=UTC),
        "any": lambda: chance.choice([{"deep": [1, ","]}, ",", 5]),
    }
    names = ["pk", *chance.sample(list(make)[1:], chance.randrange(len(make)))]
    rows = [
        {name: None if name != "pk" and chance.random() < 0.2 else make[name]() for name in names}
        for _ in range(chance.choice([0, 1, 5, 5000]))
    ]
    columns = {name: [row[name] for row in rows] for name in names}
    assert repr(emitting_columns(columns).rows) == repr(emitting(*rows).rows)


def test_columns_may_be_those_of_a_block() -> None:
    def process(item: Any, ctx: Context) -> None:
        for block in ctx.table("s3://b/t", {"pk": "text", "x": "float64", "n": "int64"}, block_rows=2):
            ctx.emit_columns("rows", {name: block[name] for name in block.columns})

    given: dict[str, list[Any]] = {"pk": ["a", "b", "c"], "x": [0.5, -0.0, 3.0], "n": [1, None, 3]}
    result = run(declare(process), {}, tables={"s3://b/t": given})
    assert repr(result.rows["rows"]) == repr(
        [dict(zip(given, row, strict=True)) for row in zip(*given.values(), strict=True)]
    )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"pk": ["a", "b"], "N": [1, 2]}, "row 2: 'N' is no column of this output, did you mean n"),
        ({"pk": ["a", "b"], "x": [1.0]}, "row 2: the column x has 1 values where another has 2"),
        ({"pk": ["a", "b"], "x": [1.0, math.nan]}, "row 3: Out of range float"),
        ({"pk": ["a", "\ud800"]}, "row 3: .*surrogates not allowed"),
        ({"pk": ["a", 5]}, "row 3: pk is 5, not text"),
        ({"pk": ["a", None]}, "row 3: pk is None, not text"),
        ({"pk": ["a", "b"], "n": [1, "2,3"]}, "row 3: n is '2,3', not int64"),
        ({"pk": ["a", "b"], "n": [1, [2, 3]]}, r"row 3: n is \[2, 3\], not int64"),
        ({"pk": ["a", "b"], "at": [None, datetime(2020, 1, 1)]}, "row 3: .*has no time zone"),
    ],
)
def test_a_row_of_columns_that_does_not_fit_is_named(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(Reject, match=f"^OutputInvalid: output rows, {message}"):
        emitting_columns({"pk": ["first"]}, columns)


def test_an_output_that_was_not_declared_is_named() -> None:
    def process(item: Any, ctx: Context) -> None:
        ctx.emit("row", {"pk": "a"})

    with pytest.raises(Reject, match="^NoSuchOutput: .*no output row, did you mean rows"):
        run(declare(process), {})


def test_rows_go_out_in_blocks_and_in_order() -> None:
    def process(item: Any, ctx: Context) -> None:
        for n in range(30_000):
            ctx.emit("rows", {"pk": f"row {n:010}", "n": n})

    rows = run(declare(process), {}).rows["rows"]
    assert [row["n"] for row in rows] == list(range(30_000))


def test_settings_have_defaults_and_unknown_ones_are_refused() -> None:
    def process(item: Any, ctx: Context) -> Any:
        return ctx.settings

    made = declare(process, settings={"limit": 10, "strict": False, "name": {"type": "string"}})
    assert made.settings_schema["properties"] == {
        "limit": {"type": "integer", "default": 10},
        "strict": {"type": "boolean", "default": False},
        "name": {"type": "string"},
    }
    assert made.settings_schema["required"] == ["name"]
    assert run(made, {}, settings={"name": "n", "limit": 5}).value == {"limit": 5, "strict": False, "name": "n"}
    with pytest.raises(Reject, match="BadSettings: settings: name is missing"):
        run(made, {})
    with pytest.raises(Reject, match="BadSettings: settings: unknown key limits .did you mean limit"):
        run(made, {}, settings={"name": "n", "limits": 5})


def test_a_wrong_declaration_fails_where_it_stands() -> None:
    with pytest.raises(ValueError, match="output rows, column pk: unknown type 'int' .did you mean int64"):
        declare(print, outputs={"rows": {"pk": "int"}})
    with pytest.raises(ValueError, match="output rows has no columns"):
        declare(print, outputs={"rows": {}})
    with pytest.raises(ValueError, match="version '1'"):
        declare(print, version="1")
    with pytest.raises(ValueError, match="setting when"):
        declare(print, settings={"when": date(2020, 1, 1)})
    with pytest.raises(ValueError, match="no failure code"):
        Reject("not a code", "")


def test_the_description_is_the_first_line_of_the_docstring() -> None:
    def process(item: Any, ctx: Context) -> None:
        """Says it all.

        And more.
        """

    made = declare(process, outputs={"rows": Output(COLUMNS, "What was found.")})
    assert made.description == "Says it all."
    assert made.outputs["rows"].description == "What was found."


def test_an_object_is_read_as_bytes_and_as_lines(tmp_path: Path) -> None:
    content = "a\r\nb\n\nç".encode()
    Path(tmp_path, "b", "deep").mkdir(parents=True)
    Path(tmp_path, "b", "deep", "x.txt").write_bytes(content)
    Path(tmp_path, "b", "x.txt.gz").write_bytes(gzip.compress(content))

    def process(item: Any, ctx: Context) -> Any:
        thing = ctx.open("s3://b/deep/x.txt")
        assert (thing.uri, thing.size, thing.read(3, 2)) == ("s3://b/deep/x.txt", len(content), b"b\n")
        assert thing.read(thing.size, 10) == b""
        assert b"".join(thing.chunks()) == content
        assert b"".join(ctx.open("s3://b/x.txt.gz").chunks()) == content
        assert [entry.uri for entry in ctx.list("s3://b/")] == ["s3://b/deep/x.txt", "s3://b/x.txt.gz"]
        ctx.count("lines")
        ctx.count("lines", 2)
        ctx.observe("size", 1.5)
        return list(ctx.open("s3://b/x.txt.gz").lines())

    result = run(declare(process), {}, folder=tmp_path)
    assert result.value == ["a", "b", "", "ç"]
    assert (result.counts, result.observations) == ({"lines": 3}, {"size": [1.5]})


@pytest.mark.parametrize(
    ("uri", "error"),
    [("s3://b/none", ObjectNotFound), ("/etc/passwd", ObjectInvalid), ("s3://b", ObjectInvalid)],
)
def test_what_cannot_be_opened_is_said(uri: str, error: type[Reject]) -> None:
    with pytest.raises(error, match=uri):
        run(declare(lambda item, ctx: ctx.open(uri)), {})


def test_damaged_compression_is_said() -> None:
    broken = gzip.compress(b"x" * 1000)[:-10]
    with pytest.raises(ObjectInvalid, match="a.gz: damaged gzip"):
        run(declare(lambda item, ctx: list(ctx.open("s3://b/a.gz").lines())), {}, objects={"s3://b/a.gz": broken})


def test_what_process_returns_must_be_json() -> None:
    assert run(declare(lambda item, ctx: None), {}).value is None
    with pytest.raises(Reject, match="BadReport"):
        run(declare(lambda item, ctx: {1, 2}), {})


def test_the_verdict_over_an_exception(caplog: pytest.LogCaptureFixture) -> None:
    assert verdict(retry := Retry("Later", "wait")) is retry

    def process(item: Any, ctx: Context) -> Any:
        return item["Missing"]

    with pytest.raises(KeyError) as caught:
        run(declare(process), {})
    with caplog.at_level(logging.ERROR, "gristmill"):
        found = verdict(caught.value)
    assert isinstance(found, Reject)
    assert found.code == "KeyError"
    assert re.fullmatch(r"'Missing' \(at test_desk\.py:\d+ in process\)", found.message)
    (line,) = caplog.messages
    assert re.match(r"KeyError: 'Missing' at test_desk\.py:\d+ in process, called by ", line)
    assert "call.py" not in line


def test_a_plugin_in_a_folder_of_the_packages_name_has_its_places_named(tmp_path: Path) -> None:
    app = tmp_path / "gristmill" / "app.py"
    app.parent.mkdir()
    app.write_text("def process(item, ctx):\n    raise KeyError('Missing')\n")
    namespace: dict[str, Any] = {}
    exec(compile(app.read_text(), str(app), "exec"), namespace)
    with pytest.raises(KeyError) as caught:
        run(declare(namespace["process"]), {})
    assert verdict(caught.value).message == "'Missing' (at app.py:2 in process)"


@pytest.mark.parametrize(
    ("item", "batch_input", "uri"),
    [
        ({"Key": "a b+é.csv", "Size": 7}, {"Bucket": "listed"}, "s3://listed/a b+é.csv"),
        ({"Bucket": "own", "Key": "a.csv", "Size": "7"}, None, "s3://own/a.csv"),
        ({"Bucket": "own", "Key": "a.csv"}, {"Bucket": "listed"}, "s3://own/a.csv"),
        ({"Bucket": "", "Key": "a.csv"}, {"Bucket": "listed"}, "s3://listed/a.csv"),
        ({"Bucket": 7, "Key": "a.csv"}, {"Bucket": "listed"}, "s3://listed/a.csv"),
    ],
)
def test_an_item_of_an_inventory_names_its_own_bucket(item: Any, batch_input: Any, uri: str) -> None:
    def process(item: Any, ctx: Context) -> Any:
        return ctx.uri(item)

    assert run(declare(process), item, batch_input=batch_input).value == uri


def test_an_item_without_any_bucket_is_rejected() -> None:
    def process(item: Any, ctx: Context) -> Any:
        return ctx.uri(item)

    with pytest.raises(Reject, match="^BadBatchInput: item 0: neither it nor BatchInput has a Bucket"):
        run(declare(process), {"Key": "a.csv"})
