#!/usr/bin/env python3
"""Writes the Parquet files of this folder with pyarrow, and beside each what pyarrow reads in it, as JSON lines.

    plugins/iot-anomalies/generate/setup.sh prints the Python that has pyarrow.
"""

import base64
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

HERE = Path(__file__).parent
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text_of(value: object, of: pa.DataType) -> object:
    """A value as gristmill has to give it."""
    if value is None:
        return None
    if pa.types.is_timestamp(of):
        instant = value if isinstance(value, datetime) else value.to_pydatetime(warn=False)
        instant = instant.replace(tzinfo=instant.tzinfo or UTC).astimezone(UTC)
        fraction = f".{instant.microsecond:06}" if instant.microsecond else ""
        if fraction.endswith("000"):
            fraction = fraction[:-3]
        return instant.strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value != value:
        return None
    return value


def write(name: str, table: pa.Table, read: pa.Table | None = None, **options: object) -> None:
    options = {"compression": "none", "store_schema": False} | options
    pq.write_table(table, HERE / f"{name}.parquet", **options)
    table = read or table
    rows = [
        {name: text_of(value, table.schema.field(name).type) for name, value in row.items()} for row in table.to_pylist()
    ]
    (HERE / f"{name}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def main() -> None:
    some = pa.table({
        "n": pa.array([1, None, -(2**63), 2**63 - 1, 0] * 8, pa.int64()),
        "x": pa.array([0.1, None, -1e300, float("nan"), 1.0] * 8, pa.float64()),
        "t": pa.array(["a", None, "", "é\"\n", "long " * 9] * 8, pa.string()),
        "b": pa.array([True, None, False, True, False] * 8, pa.bool_()),
    })
    for codec in ("snappy", "gzip", "brotli", "zstd", "lz4"):
        write(f"codec-{codec}", some, compression=codec, row_group_size=15)
    write("pages-v2", some, data_page_version="2.0", data_page_size=200, compression="snappy", write_page_index=True)
    write("plain", some, use_dictionary=False, write_statistics=False)
    for encoding, columns in {
        "DELTA_BINARY_PACKED": ["n"],
        "DELTA_LENGTH_BYTE_ARRAY": ["t"],
        "DELTA_BYTE_ARRAY": ["t"],
        "BYTE_STREAM_SPLIT": ["x"],
    }.items():
        named = encoding.lower().replace("_", "-")
        write(named, some.select(columns), use_dictionary=False, column_encoding={name: encoding for name in columns})
    write("checksums", some, write_page_checksum=True)
    # Pages of the two columns begin at different rows, and some of them have nulls only.
    rows = range(240)
    indexed = pa.table({
        "n": pa.array([None if 40 <= row < 80 else row * 2 for row in rows], pa.int64()),
        "t": pa.array([None if row % 7 == 0 else f"{row:03} and what makes a page" for row in rows], pa.string()),
        "at": pa.array([EPOCH + timedelta(hours=row) for row in rows], pa.timestamp("us", "UTC")),
    })
    write("page-index", indexed, write_page_index=True, data_page_size=300, write_batch_size=5, row_group_size=150,
          use_dictionary=["at"], bloom_filter_options={"n": True, "t": {"ndv": 150}})

    small = {f"{kind}": pa.array([0, None, 100], kind) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint32())}
    small["float"] = pa.array([0.5, None, -2.0], pa.float32())
    small["fixed"] = pa.array([b"ab", None, b"\xff\x00"], pa.binary(2))
    small["binary"] = pa.array([b"", None, b"\xff"], pa.binary())
    small["decimal"] = pa.array([Decimal("-1.50"), None, Decimal("12345678901234567890.12")], pa.decimal128(22, 2))
    small["narrow"] = pa.array([Decimal("-0.5"), None, Decimal("9.9")], pa.decimal128(3, 1))
    small["day"] = pa.array([date(1969, 12, 31), None, date(2300, 2, 28)], pa.date32())
    write("types", pa.table(small), store_decimal_as_integer=True)
    del small["decimal"]
    write("decimals-as-bytes", pa.table(small))

    instants = [EPOCH - timedelta(microseconds=1), None, datetime(2026, 11, 29, 12, 30, 15, 123000, tzinfo=UTC)]
    far = [*instants, datetime(2300, 1, 1, tzinfo=UTC), datetime(1500, 1, 1, tzinfo=UTC)]
    milliseconds = [instant and instant.replace(microsecond=instant.microsecond // 1000 * 1000) for instant in far]
    write("instants", pa.table({
        "ms": pa.array(milliseconds, pa.timestamp("ms", "UTC")),
        "us": pa.array(far, pa.timestamp("us", "UTC")),
        "plain": pa.array([instant and instant.replace(tzinfo=None) for instant in far], pa.timestamp("us")),
        "offset": pa.array(far, pa.timestamp("us", "+05:00")),
    }), coerce_timestamps=None)
    nanoseconds = pa.array([instant and int((instant - EPOCH).total_seconds()) * 10**9 - 1 for instant in instants], pa.int64())
    nanoseconds = nanoseconds.cast(pa.timestamp("ns", "UTC"))
    before = pc.floor_temporal(nanoseconds, unit="microsecond").cast(pa.timestamp("us", "UTC"))
    write("nanoseconds", pa.table({"ns": nanoseconds}), pa.table({"ns": before}), version="2.6")
    write("int96", pa.table({"i": pa.array(far, pa.timestamp("us"))}), use_deprecated_int96_timestamps=True)

    nested = pa.table({
        "l": pa.array([[1, None], [], None, [3]], pa.list_(pa.int64())),
        "s": pa.array([{"a": 1, "b": ["x", None]}, {"a": None, "b": None}, None, {"a": 2, "b": []}],
                      pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))])),
        "m": pa.array([{"k": 1}, {}, None, {"k": None}], pa.map_(pa.string(), pa.int64())),
    })
    for name, compliant in (("nested", True), ("nested-old-lists", False)):
        write(name, nested, use_compliant_nested_type=compliant)
        rows = nested.to_pylist()
        for row in rows:
            row["m"] = None if row["m"] is None else dict(row["m"])
        (HERE / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write("no-rows", some.slice(0, 0))
    write("dictionary", pa.table({"t": pa.array(["one", "two", None, "one"] * 50).dictionary_encode()}))


if __name__ == "__main__":
    main()
