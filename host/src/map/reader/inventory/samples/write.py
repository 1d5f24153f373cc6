#!/usr/bin/env python3
"""Writes the same small S3 Inventory twice, in Parquet with pyarrow, and in CSV as S3 writes it.

    plugins/iot-anomalies/generate/setup.sh prints the Python that has pyarrow.
"""

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
# The columns in Parquet, their types, and their names in CSV ("Amazon S3 Inventory list" in the S3 user guide).
COLUMNS = [
    ("bucket", pa.string(), "Bucket"),
    ("key", pa.string(), "Key"),
    ("version_id", pa.string(), "VersionId"),
    ("is_latest", pa.bool_(), "IsLatest"),
    ("is_delete_marker", pa.bool_(), "IsDeleteMarker"),
    ("size", pa.int64(), "Size"),
    ("last_modified_date", pa.timestamp("ms", "UTC"), "LastModifiedDate"),
    ("e_tag", pa.string(), "ETag"),
    ("storage_class", pa.string(), "StorageClass"),
    ("is_multipart_uploaded", pa.bool_(), "IsMultipartUploaded"),
    ("object_lock_retain_until_date", pa.timestamp("ms", "UTC"), "ObjectLockRetainUntilDate"),
]
WHOLE, FRACTION = datetime(2018, 1, 1, tzinfo=UTC), datetime(2018, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
ROWS = [
    ("weather", 'a b+c%2B/é",\n.csv', "v2", True, False, 3_000_000_000, WHOLE, "abc-1", "STANDARD", True, None),
    ("weather", 'a b+c%2B/é",\n.csv', "v1", False, False, 11, WHOLE, "abd", "STANDARD", False, None),
    ("weather", "gone", "v1", True, True, None, FRACTION, None, None, None, None),
    ("weather", "folder/", "v1", True, False, 0, WHOLE, "abe", "STANDARD", False, None),
    ("weather", "plain", None, True, False, 0, FRACTION, "abf", "GLACIER", False, FRACTION),
]


def text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case datetime():
            return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case _:
            return str(value)


def main() -> None:
    columns = zip(*ROWS, strict=True)
    table = pa.table({name: pa.array(values, of) for (name, of, _), values in zip(COLUMNS, columns, strict=True)})
    pq.write_table(table, HERE / "inventory.parquet", compression="snappy", row_group_size=2, store_schema=False)
    lines = [", ".join(name for _, _, name in COLUMNS)]
    for row in ROWS:
        fields = [quote_plus(value, safe="/") if place == 1 else text(value) for place, value in enumerate(row)]
        lines.append(",".join(f'"{field}"' for field in fields))
    (HERE / "inventory.csv").write_text("".join(line + "\n" for line in lines))


if __name__ == "__main__":
    main()
