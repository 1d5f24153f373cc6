"""What an answer comes down to: every column of every row, in whatever order they are."""

import pathlib
from dataclasses import dataclass

import duckdb

METRICS = ("temperature", "humidity", "batterylevel", "latitude", "longitude")
ANOMALIES = '[{"type":"VARCHAR","value":"DOUBLE","threshold":"DOUBLE"}]'


@dataclass(frozen=True)
class Answer:
    rows: int
    digest: int
    """The sum of the rows' hashes: the same rows give the same one."""


def readings(folder: pathlib.Path) -> Answer:
    """JSON is compared by its values."""
    metrics = ", ".join(f"'{name}': (metrics->>'{name}')::DOUBLE" for name in METRICS)
    return _digest(
        folder,
        f"""deviceid, readingtimestamp, analysisdate::DATE, readingscount::BIGINT, {{{metrics}}},
        from_json(anomalies, '{ANOMALIES}'), anomalycount::BIGINT, healthstatus""",
    )


def sums(folder: pathlib.Path) -> Answer:
    """The file's ending is not compared; the total is one of some ten thousand numbers, in another order perhaps."""
    return _digest(folder, "replace(uri, '.jsonl', ''), rows::BIGINT, values::BIGINT, round(total, 3), characters::BIGINT", "sum(rows)")


def python_sums(folder: pathlib.Path) -> Answer:
    return _digest(folder, "uri, rows::BIGINT, values::BIGINT, round(total, 1)", "sum(rows)")


def _digest(folder: pathlib.Path, columns: str, rows: str = "count(*)") -> Answer:
    found = duckdb.execute(f"SELECT {rows}, sum(hash({columns})::HUGEINT) FROM read_parquet('{folder}/**/*.parquet')").fetchone()
    if not found[0]:
        raise SystemExit(f"iot: no rows in {folder}")
    return Answer(int(found[0]), int(found[1]))
