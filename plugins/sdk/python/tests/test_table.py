"""CSV against the standard library, and what is wrong with a file said in one sentence."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import random
from collections.abc import Iterator

import pytest

from gristmill import Reject, Table
from gristmill.objects import csv_chunks, text_blocks
from gristmill.parse import MAX_RECORD

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
    chunks = csv_chunks(cut(content, *(sizes or (1 << 20,))), URI)
    return Table(text_blocks(chunks, URI), URI, **options)  # type: ignore[arg-type]


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


def test_text_beside_quotes_belongs_to_its_field() -> None:
    read = table('a,b\n"1"x,y"2\n"3"x"y",\n')
    assert [list(row) for _, row in read.rows()] == [["1x", 'y"2'], ['3x"y"', ""]]


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_a_header_may_come_late_and_be_quoted(size: int) -> None:
    assert list(table('\n\r\n"a\nz",b,,\n1,2,3,4\n', size).rows("b", "a\nz")) == [(5, ("2", "1"))]


def test_columns_without_a_name_are_left_out_of_dicts() -> None:
    text = "pk,n,,,\n1,2,,,\n3,4,x,,\n"
    assert list(table(text)) == [{"pk": "1", "n": "2"}, {"pk": "3", "n": "4"}]
    assert [row for _, row in table(text).rows("n", "pk")] == [("2", "1"), ("4", "3")]


def test_a_text_that_only_begins_like_something_else_is_read() -> None:
    for name in ("PAR1", "BZh9", "PK", "Obj"):
        assert list(table(f"{name}\n1\n")) == [{name: "1"}]


def test_a_header_may_be_given_and_a_delimiter() -> None:
    assert list(table("1;2\n3;4\n", header=["a", "b"], delimiter=";")) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert [line for line, _ in table("1\n2\n", header=["a"]).rows()] == [1, 2]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("", "EmptyObject", f"{URI} is empty, there is no header"),
        ("\n\n", "EmptyObject", f"{URI} is empty, there is no header"),
        ("a,b,a\n1,2,3\n", "BadHeader", f'{URI} has the column "a" twice in its header, which is "a,b,a"'),
        ('a,"b\n1,2\n', "BadRecord", f"{URI}: line 1 starts a quote that is never closed"),
        ("a,b\n1,2\n1\n", "BadRecord", f"{URI}: line 3 has 1 fields where the header has 2"),
        ("a,b\n1,2,3\n1\n", "BadRecord", f"{URI}: line 2 has 3 fields where the header has 2"),
        ('a,b\n1,2\n"1",2,3\n', "BadRecord", f"{URI}: line 3 has 3 fields where the header has 2"),
        ('a,b\n1,2\n3,"4\n5,6\n', "BadRecord", f"{URI}: line 3 starts a quote that is never closed"),
        ('a,b\n1,2\n3,"4', "BadRecord", f"{URI}: line 3 starts a quote that is never closed"),
        (b"a,b\n1,2\n3,\xff\n", "NotUtf8", f"{URI}: line 3 is not UTF-8 (byte 0xff at place 3)"),
        (
            "a,b\n1,2\n3,4".encode("utf-16"),
            "NotCsv",
            f"{URI} is no CSV; by its first bytes it is text in UTF-16: save it as UTF-8",
        ),
        (
            gzip.compress(b"a,b\n1,2\n"),
            "NotCsv",
            f"{URI} is no CSV; by its first bytes it is gzip: let its key end in `.gz`, and it is decompressed",
        ),
        (
            bz2.compress(b"a,b\n1,2\n"),
            "NotCsv",
            f"{URI} is no CSV; by its first bytes it is bzip2: let its key end in `.bz2`, and it is decompressed",
        ),
        (b"PAR1\x15\x04", "NotCsv", f"{URI} is no CSV; by its first bytes it is Parquet"),
        (b"\n<HTML>\n", "NotCsv", f"{URI} is no CSV; by its first bytes it is an HTML page"),
    ],
)
@pytest.mark.parametrize("size", [1 << 20, 2])
def test_what_is_wrong_is_said_with_its_place(text: str | bytes, code: str, message: str, size: int) -> None:
    with pytest.raises(Reject) as caught:
        list(table(text, size).rows())
    assert (caught.value.code, caught.value.message) == (code, message)


def test_a_missing_column_names_its_nearest() -> None:
    message = 'no column "Q_FLAGS" in its header, which is "ID,Q_FLAG"; did you mean "Q_FLAG"'
    with pytest.raises(Reject, match=f"BadHeader: .*{message}"):
        table("ID,Q_FLAG\n").rows("Q_FLAGS")
    with pytest.raises(Reject, match="BadHeader"):
        table("ID\n", where={"ELEMENT": "PRCP"})
    with pytest.raises(Reject, match="BadHeader"):
        table("ID\n").require("ID", "DATE")


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    given = 0

    def endless() -> Iterator[bytes]:
        nonlocal given
        yield b"a,b\n"
        while True:
            given += 1 << 20
            yield b"x" * (1 << 20)

    with pytest.raises(Reject, match="RecordTooLong: .*line 2 starts a record of more than 8388608 bytes"):
        list(Table(text_blocks(endless(), URI), URI).rows())
    assert given <= MAX_RECORD + (1 << 20)


@pytest.mark.parametrize("line", [b"x" * 1023 + b"\n", b'","' * 341 + b"\n"])
def test_a_record_without_an_end_is_refused_before_it_fills_the_memory(line: bytes) -> None:
    given = 0

    def endless() -> Iterator[bytes]:
        nonlocal given
        yield b'a,b\n1,"'
        while True:
            given += 1 << 20
            yield line * 1024

    with pytest.raises(Reject, match="RecordTooLong: .*line 2 starts a record of more than 8388608 bytes"):
        list(Table(text_blocks(endless(), URI), URI).rows())
    assert given <= MAX_RECORD + (3 << 20)
