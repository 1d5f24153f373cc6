"""CSV against the standard library, and what is wrong with a file said in one sentence."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator

import pytest

from gristmill import Reject, Table
from gristmill.objects import MAX_LINE, text_blocks

URI = "s3://b/a.csv"


def cut(content: bytes, *sizes: int) -> Iterator[bytes]:
    """Chunks as a host might cut them, never empty."""
    at, turn = 0, 0
    while at < len(content):
        size = sizes[turn % len(sizes)]
        yield content[at : at + size]
        at, turn = at + size, turn + 1


def table(text: str | bytes, *sizes: int, **options: object) -> Table:
    content = text if isinstance(text, bytes) else text.encode()
    return Table(text_blocks(cut(content, *(sizes or (1 << 20,))), URI), URI, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(60))
def test_it_reads_what_the_csv_module_reads(seed: int) -> None:
    chance = random.Random(seed)
    quoted = seed % 3 == 0
    words = ["", "a", "PRCP", "é", "\u2028", "x\x0by", "-12", *(['say "hi"', "a,b", "two\nlines"] if quoted else [])]
    width, end = chance.randint(1, 6), chance.choice(["\n", "\r\n"])
    expected = [[f"c{i}" for i in range(width)]]
    if width == 1:
        words.remove("")  # A record of one empty field is a blank line, which is skipped.
    expected += [[chance.choice(words) for _ in range(width)] for _ in range(chance.randrange(50))]
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=end).writerows(expected)
    text = out.getvalue() if chance.random() < 0.5 else out.getvalue().removesuffix(end)
    sizes = [chance.randint(1, 40) for _ in range(5)]

    read = table(text, *sizes)
    assert [list(row) for _, row in read.rows()] == expected[1:]
    assert read.seen == len(expected) - 1
    assert list(table(text, *sizes)) == [dict(zip(expected[0], row, strict=True)) for row in expected[1:]]
    some = table(text, *sizes, where={"c0": "PRCP"})
    last = f"c{width - 1}"
    assert [row for _, row in some.rows(last, "c0")] == [(r[-1], r[0]) for r in expected[1:] if r[0] == "PRCP"]
    assert some.seen == len(expected) - 1


def test_line_numbers_count_blank_lines_and_quoted_line_ends() -> None:
    plain = "a,b\n1,2\n\n3,4\n"
    assert [line for line, _ in table(plain).rows("a")] == [2, 4]
    assert [line for line, _ in table(plain, 3, where={"a": "3"}).rows()] == [4]
    assert [line for line, _ in table('a,b\n1,"2\n2"\n\n3,4\n').rows("b")] == [2, 5]
    assert [line for line, _ in table("a,b\r1,2\r\r3,4\r").rows("b")] == [2, 4]


def test_several_conditions_must_all_hold() -> None:
    read = table("a,b,c\n1,x,1\n1,y,2\n2,x,3\n", where={"a": "1", "b": "x"})
    assert list(read) == [{"a": "1", "b": "x", "c": "1"}]


def test_a_condition_is_equality_and_not_a_part_of_a_line() -> None:
    text = "ID,ELEMENT\nPRCP,TMAX\nA,PRCPX\nB,PRCP\n"
    assert list(table(text, where={"ELEMENT": "PRCP"}).rows("ID")) == [(4, ("B",))]
    assert list(table(text + '"C",PRCP\n', where={"ELEMENT": "PRCP"}).rows("ID")) == [(4, ("B",)), (5, ("C",))]


def test_a_header_may_be_given_and_a_delimiter() -> None:
    assert list(table("1;2\n3;4\n", header=["a", "b"], delimiter=";")) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert [line for line, _ in table("1\n2\n", header=["a"]).rows()] == [1, 2]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("", "EmptyObject", f"{URI} is empty, there is no header"),
        ("\n\n", "EmptyObject", f"{URI} has blank lines only, there is no header"),
        ("a,a\n", "BadHeader", f"{URI}: line 1 has the column 'a' twice"),
        ("a,b\n1,2\n1\n", "BadRecord", f"{URI}: line 3 has 1 fields where the header has 2"),
        ("a,b\n1,2,3\n1\n", "BadRecord", f"{URI}: line 2 has 3 fields where the header has 2"),
        ('a,b\n1,2\n"1",2,3\n', "BadRecord", f"{URI}: line 3 has 3 fields where the header has 2"),
        ('a,b\n1,2\n3,"4\n5,6\n', "BadRecord", f"{URI}: line 3 starts a damaged record: unexpected end of data"),
        (b"a,b\n1,2\n3,\xff\n", "BadRecord", f"{URI}: line 3 is not UTF-8 (byte 0xff at place 3)"),
        ("a,b\n1,2\n3,4".encode("utf-16"), "BadRecord", f"{URI}: line 1 is not UTF-8 (byte 0xff at place 1)"),
    ],
)
@pytest.mark.parametrize("size", [1 << 20, 2])
def test_what_is_wrong_is_said_with_its_place(text: str | bytes, code: str, message: str, size: int) -> None:
    with pytest.raises(Reject) as caught:
        list(table(text, size).rows())
    assert (caught.value.code, caught.value.message) == (code, message)


def test_a_missing_column_names_its_nearest() -> None:
    with pytest.raises(Reject, match="MissingColumn: .*no column 'Q_FLAGS'.*is it 'Q_FLAG'.*'ID,Q_FLAG'"):
        table("ID,Q_FLAG\n").rows("Q_FLAGS")
    with pytest.raises(Reject, match="MissingColumn"):
        table("ID\n", where={"ELEMENT": "PRCP"})
    with pytest.raises(Reject, match="MissingColumn"):
        table("ID\n").require("ID", "DATE")


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    given = 0

    def endless() -> Iterator[bytes]:
        nonlocal given
        yield b"a,b\n"
        while True:
            given += 1 << 20
            yield b"x" * (1 << 20)

    with pytest.raises(Reject, match="BadRecord: .*line 2 has more than 8 MiB"):
        list(Table(text_blocks(endless(), URI), URI).rows())
    assert given <= MAX_LINE + (1 << 20)


def test_a_quote_that_is_never_closed_is_refused_before_it_fills_the_memory() -> None:
    given = 0

    def endless() -> Iterator[bytes]:
        nonlocal given
        yield b'a,b\n1,"'
        while True:
            given += 1 << 20
            yield (b"x" * 1023 + b"\n") * 1024

    with pytest.raises(Reject, match="BadRecord: .*line 2 starts a damaged record: field larger"):
        list(Table(text_blocks(endless(), URI), URI).rows())
    assert given <= MAX_LINE + (2 << 20)
