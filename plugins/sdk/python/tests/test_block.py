"""Blocks of tables: what Arrow writes is read back, and bytes that nobody made on purpose are one clear error."""

from __future__ import annotations

import math
import random
import struct
from pathlib import Path
from typing import Any

import pytest
from arrow import block as written

from gristmill import Reject
from gristmill.block import Block, arrow

URI = "s3://b/part-0"
MANY: dict[str, tuple[str, list[Any]]] = {
    "bool": ("boolean", [True, False, None]),
    "int": ("int64", [-(2**63), None, 2**63 - 1]),
    "float": ("float64", [0.1, -0.0, None]),
    "text": ("text", ["ø", None, "tail"]),
    "bytes": ("binary", [b"\xff", b"", None]),
    "day": ("date", [-1, None, 18262]),
    "instant": ("timestamp", [None, -1, 1_577_836_800_000_000]),
}


def read(content: bytes, columns: dict[str, tuple[str, list[Any]]]) -> Block:
    kinds: Any = {name: kind for name, (kind, _) in columns.items()}
    return arrow(content, kinds, URI)


def looked_at(block: Block) -> dict[str, list[Any]]:
    return {name: list(block[name]) for name in block.columns}


def some_values(chance: random.Random, kind: str, rows: int) -> list[Any]:
    letters = "ab" if chance.random() < 0.5 else "aé\u2028\U0001f600"
    make: dict[str, Any] = {
        "boolean": lambda: chance.random() < 0.5,
        "int64": lambda: chance.randrange(-(2**63), 2**63),
        "timestamp": lambda: chance.randrange(-(2**63), 2**63),
        "date": lambda: chance.randrange(-(2**31), 2**31),
        "float64": lambda: chance.choice([0.1, -0.0, math.inf, 1e308, chance.random()]),
        "text": lambda: "".join(chance.choices(letters, k=chance.randrange(9))),
        "binary": lambda: chance.randbytes(chance.randrange(9)),
    }
    nulls = chance.choice([0, 0, 0.3, 1])
    return [None if chance.random() < nulls else make[kind]() for _ in range(rows)]


@pytest.mark.parametrize("seed", range(40))
def test_what_is_written_is_read_back(seed: int) -> None:
    chance = random.Random(seed)
    rows = chance.choice([0, 1, 7, 8, 9, 40, 1000])
    columns = {f"c{n} {kind}": (kind, some_values(chance, kind, rows)) for n, (kind, _) in enumerate(MANY.values())}
    block = read(written(columns), columns)
    assert len(block) == rows
    assert repr(looked_at(block)) == repr({name: values for name, (_, values) in columns.items()})
    expected = [dict(zip(columns, row, strict=True)) for row in zip(*(v for _, v in columns.values()), strict=True)]
    assert repr(list(block.rows())) == repr(expected)


def test_what_pyarrow_wrote_is_read() -> None:
    """A slice of a table, as `RecordBatchStreamWriter` of pyarrow 26 has written it."""
    content = Path(__file__).with_name("pyarrow.arrows").read_bytes()
    assert looked_at(read(content, MANY)) == {name: values for name, (_, values) in MANY.items()}


def test_numbers_without_nulls_are_not_copied() -> None:
    columns: dict[str, tuple[str, list[Any]]] = {
        "x": ("float64", [1.5, 2.5]),
        "n": ("int64", [1, 2]),
        "day": ("date", [1, 2]),
        "y": ("float64", [1.5, None]),
    }
    content = written(columns)
    block = read(content, columns)
    for name, form in (("x", "d"), ("n", "q"), ("day", "i")):
        view: Any = block[name]
        assert (view.format, view.obj, view.readonly) == (form, content, True)
    assert block["y"] == [1.5, None]
    assert block["x"] is block["x"]


def test_a_json_text_is_a_text_in_the_block() -> None:
    block = arrow(written({"j": ("text", ['{"a":1}'])}), {"j": "json"}, URI)
    assert (block.columns, block["j"]) == ({"j": "json"}, ['{"a":1}'])


def test_a_column_that_is_not_there_is_named() -> None:
    block = read(written(MANY), MANY)
    with pytest.raises(Reject, match="^NoSuchColumn: there is no column floats, did you mean float"):
        block["floats"]
    with pytest.raises(Reject, match="^NoSuchColumn: there is no column zzz, only bool, int, float, text"):
        block["zzz"]


def test_a_block_without_columns_still_has_rows() -> None:
    block = arrow(written({}, batch={0: struct.pack("<q", 3)}), {}, URI)
    assert list(block.rows()) == [{}, {}, {}]


def test_every_cut_before_the_end_of_the_batch_is_an_error() -> None:
    content = written(MANY)
    # The end of the stream, eight bytes, is of no importance.
    assert looked_at(read(content[:-8], MANY)) == looked_at(read(content, MANY))
    for length in range(len(content) - 8):
        with pytest.raises(Reject, match=f"^TableInvalid: {URI}: a block cannot be read: "):
            read(content[:length], MANY)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_bytes_are_an_error_or_values(seed: int) -> None:
    chance = random.Random(seed)
    content = written(MANY)
    for _ in range(100):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 5)):
            damaged[chance.randrange(len(content))] = chance.randrange(256)
        try:
            found = looked_at(read(bytes(damaged), MANY))
        except Reject as error:
            assert error.code == "TableInvalid"
        else:
            assert {len(values) for values in found.values()} == {3}


def patched(content: bytes, old: bytes, new: bytes) -> bytes:
    assert content.count(old) == 1
    return content.replace(old, new)


TEXTS = {"t": ("text", ["one", "two"])}
NODE = struct.pack("<qq", 2, 0)
ENDS = struct.pack("<3i", 0, 3, 6)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is cut off"),
        (b"PAR1" * 9, "a message does not begin as one"),
        (written(TEXTS)[:-8] + written(TEXTS), "something follows its record batch"),
        (written(TEXTS, schema={0: b"\1"}), "it is big-endian"),
        (written(TEXTS, schema={1: [{0: "t", 2: b"\x0d", 3: {}}]}), "column t is of a type that blocks do not have"),
        (written(TEXTS, schema={1: [{0: "t", 2: b"\5", 3: {}, 4: {}}]}), "a column has a dictionary"),
        (written(TEXTS, schema={1: [{2: b"\5", 3: {}}]}), "a column has no name"),
        (written({"u": TEXTS["t"]}), "its columns are not those of the table"),
        (written({"t": ("int64", [1])}), "its columns are not those of the table"),
        (written(TEXTS, batch={3: {}}), "its buffers are compressed"),
        (written(TEXTS, batch={0: struct.pack("<q", -1)}), "it has an impossible number of rows"),
        (written(TEXTS, batch={0: struct.pack("<q", 3)}), "its columns are not of one length"),
        (written(TEXTS, batch={1: []}), "it has not one node for each column"),
        (written(TEXTS, batch={2: []}), "a buffer is missing"),
        (written(TEXTS, batch={2: [struct.pack("<qq", 0, 999)]}), "a buffer lies outside of it"),
        (written(TEXTS, batch={2: [struct.pack("<qq", 0, 4)] * 4}), "a buffer is shorter than its rows"),
        (written(TEXTS, batch={2: [struct.pack("<qq", 0, 12)] * 4}), "it has more buffers than its columns need"),
        (patched(written(TEXTS), NODE, struct.pack("<qq", 2, 1)), "a buffer is shorter than its rows"),
        (patched(written(TEXTS), ENDS, struct.pack("<3i", 0, 7, 6)), "column t: a value lies outside of its buffer"),
        (patched(written(TEXTS), ENDS, struct.pack("<3i", 0, 3, 7)), "column t: a value lies outside of its buffer"),
        (patched(written(TEXTS), ENDS, struct.pack("<3i", -1, 3, 6)), "column t: a value lies outside of its buffer"),
        (patched(written(TEXTS), b"onetwo", b"on\xc3\xb8wo"), "column t: a text is not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_block_is_said(content: bytes, why: str) -> None:
    with pytest.raises(Reject) as caught:
        looked_at(read(content, TEXTS))
    assert (caught.value.code, caught.value.message) == ("TableInvalid", f"{URI}: a block cannot be read: {why}")


def test_a_number_of_nulls_that_is_not_the_bitmaps_is_damage() -> None:
    columns = {"t": ("text", ["a", None, "b"])}
    with pytest.raises(Reject, match="column t has another number of nulls than it says"):
        read(patched(written(columns), struct.pack("<qq", 3, 1), struct.pack("<qq", 3, 3)), columns)
