"""Tables at the desk: what is asked for, and what the plugin is given for it."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Any

import pytest

from gristmill import ObjectInvalid, ObjectNotFound, Reject, Scan, plugin
from gristmill.given import Given
from gristmill.request import Condition, Layout, Request, Wanted, layout, request
from gristmill.testing import run

URI = "s3://b/part-0"
READINGS: list[dict[str, Any]] = [
    {"id": "a", "x": 1.5, "n": 1},
    {"id": "b", "x": math.nan, "n": None},
    {"id": None, "x": 3, "n": 3},
    {"id": "d", "x": None, "n": 4},
]


def scanned(given: Given, *asked: Any, **options: Any) -> list[tuple[dict[str, str], list[dict[str, Any]]]]:
    """The types and rows of each block."""
    found: list[tuple[dict[str, str], list[dict[str, Any]]]] = []

    @plugin(name="desk", version="1.0.0", outputs={"rows": {"pk": "text"}})
    def process(item: Any, ctx: Any) -> None:
        scan = ctx.table(URI, *asked, **options)
        assert isinstance(scan, Scan)
        found.extend((dict(scan.columns), list(block.rows())) for block in scan)

    run(process, {}, tables={URI: given})
    return found


def rows(given: Given, *asked: Any, **options: Any) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for _, block in scanned(given, *asked, **options) for row in block]


def test_rows_and_columns_are_the_same_table() -> None:
    by_column = {name: [row[name] for row in READINGS] for name in READINGS[0]}
    ((types, found),) = scanned(READINGS)
    assert types == {"id": "text", "x": "float64", "n": "int64"}
    assert repr(found) == repr([{**row, "x": row["x"] if row["x"] is None else float(row["x"])} for row in READINGS])
    assert repr(scanned(by_column)) == repr(scanned(READINGS))


def test_only_what_is_asked_for_is_given() -> None:
    assert rows(READINGS, ["n", "id"]) == [(1, "a"), (None, "b"), (3, None), (4, "d")]
    assert rows(READINGS, {"n": "float64", "none": "int64?"})[:2] == [(1.0, None), (None, None)]
    with pytest.raises(ObjectInvalid, match=f"{URI}: it has no column `none`"):
        rows(READINGS, ["none"])
    with pytest.raises(ObjectInvalid, match=f"{URI}: column `id`: could not convert string to float: 'a'"):
        rows(READINGS, {"id": "float64"})


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ([("x", ">", 1.5)], [3]),
        ([("x", ">=", 1.5), ("id", "is not null")], [1]),
        ([("x", "!=", 1.5)], [None, 3]),  # NaN is not equal to anything.
        ([("x", "<", 99)], [1, 3]),
        ([("x", "is null")], [4]),
        ([("id", "<=", "b")], [1, None]),
        ({"id": "d", "n": 4}, [4]),
        ([], [1, None, 3, 4]),
    ],
)
def test_rows_meet_all_conditions(where: Any, found: list[int | None]) -> None:
    assert rows(READINGS, ["n"], where) == [(n,) for n in found]


def test_a_condition_that_cannot_be_compared_is_said() -> None:
    with pytest.raises(ObjectInvalid, match=f"{URI}: the condition on column `x`: could not convert"):
        rows(READINGS, where=[("x", "==", "warm")])
    with pytest.raises(ObjectInvalid, match="no column `y`"):
        rows(READINGS, where={"y": 1})


def test_every_type_is_given_as_the_host_gives_it() -> None:
    given: dict[str, list[Any]] = {
        "on": [True],
        "raw": [b"x"],
        "day": [date(1970, 1, 2)],
        "at": [datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)],
        "any": [{"a": ["ø"]}],
    }
    ((types, found),) = scanned(given)
    assert list(types.values()) == ["boolean", "binary", "date", "timestamp", "json"]
    assert list(found[0].values()) == [True, b"x", 1, 1_000_000, '{"a":["ø"]}']
    assert rows(given, {"at": "text", "day": "text"}) == [("1970-01-01T00:00:01Z", "1970-01-02")]
    texts = {"day": ["1970-01-02"], "at": ["1970-01-01T01:00:01+01:00"], "x": ["1.5"], "n": ["7"]}
    assert rows(texts, {"day": "date", "at": "timestamp", "x": "float64", "n": "int64"}) == [(1, 1_000_000, 1.5, 7)]
    assert rows(given, ["on"], [("at", ">", datetime(1970, 1, 1, tzinfo=UTC)), ("day", "==", date(1970, 1, 2))])


def test_numbers_without_nulls_are_a_view_as_in_the_component() -> None:
    @plugin(name="desk", version="1.0.0", outputs={"rows": {"pk": "text"}})
    def process(item: Any, ctx: Any) -> None:
        (block,) = ctx.table(URI)
        assert isinstance(block["x"], memoryview)
        assert block["x"].format == "d"
        assert block["y"] == [1.0, None]

    run(process, {}, tables={URI: {"x": [1.0, 2.0], "y": [1.0, None]}})


def test_blocks_are_cut_as_they_are_wanted() -> None:
    numbers = {"n": list(range(10))}
    assert [len(block) for _, block in scanned(numbers, block_rows=4)] == [4, 4, 2]
    assert len(scanned(numbers)) == 1
    assert scanned({"n": []}) == []


def test_rows_go_over_all_blocks() -> None:
    @plugin(name="desk", version="1.0.0", outputs={"rows": {"pk": "text"}})
    def process(item: Any, ctx: Any) -> Any:
        return [row["n"] for row in ctx.table(URI, ["n"], block_rows=2).rows()]

    assert run(process, {}, tables={URI: {"n": [1, 2, 3]}}).value == [1, 2, 3]


def test_a_table_that_was_not_given_is_said() -> None:
    @plugin(name="desk", version="1.0.0", outputs={"rows": {"pk": "text"}})
    def process(item: Any, ctx: Any) -> None:
        ctx.table(URI)

    with pytest.raises(ObjectNotFound, match=URI):
        run(process, {})


def test_what_is_asked_for_is_read_into_the_contracts_words() -> None:
    assert request(None, None, 0) == Request(None, (), 0)
    asked = request({"a": "int64", "b": "text?"}, [("a", "<", True), ("b", "is null")], 5)
    wanted = (Wanted("a", "int64", False), Wanted("b", "text", True))
    assert asked == Request(wanted, (Condition("a", "<", True), Condition("b", "is null", None)), 5)
    assert request(("a",), {"a": date(2020, 2, 29)}, 0).where == (Condition("a", "==", "2020-02-29"),)


@pytest.mark.parametrize(
    ("columns", "where", "message"),
    [
        ("temperature", None, "columns are a list or a dict, not the text 'temperature'"),
        ({"a": "float"}, None, "column a: unknown type 'float' .did you mean float64..; there are boolean, int64"),
        (None, [("a", "=", 1)], "column a: no comparison '='; there are ==, !=, <"),
        (None, [("a", "<")], "column a: < takes one value"),
        (None, [("a", "is null", 1)], "column a: is null takes no value"),
        (None, {"a": None}, "column a: compare it with a bool, a number, a text or a date, not None"),
        (None, {"a": 2**63}, "column a: 9223372036854775808 has more than 64 bits"),
        (None, {"a": datetime(2020, 1, 1)}, "column a: 2020-01-01 00:00:00 has no time zone"),
    ],
)
def test_a_question_that_makes_no_sense_fails_where_it_stands(columns: Any, where: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        request(columns, where, 0)


def test_a_layout_is_that_of_one_format() -> None:
    assert layout(None, None, None) == Layout()
    assert layout("csv", ["a", "b"], ";") == Layout("csv", ("a", "b"), ";")
    for given, message in [
        (("xml", None, None), "unknown format 'xml'; there are parquet, csv, json_lines"),
        (("parquet", ["a"], None), "`header` and `delimiter` belong to"),
        ((None, None, ";"), "`header` and `delimiter` belong to"),
        (("csv", "a", None), "header is a list of names, not 'a'"),
    ]:
        with pytest.raises(ValueError, match=message):
            layout(*given)


def test_a_failure_of_a_table_is_a_rejection() -> None:
    assert issubclass(ObjectInvalid, Reject)
