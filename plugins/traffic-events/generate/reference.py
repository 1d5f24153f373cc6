#!/usr/bin/env python3
"""Says what the plugin has to say, by other means: DuckDB's window functions.

    reference.py rows ARRIVED > golden/traffic.jsonl     what follows from the objects of arrival
    reference.py read TRAFFIC                            what a run wrote, in the same form
    reference.py compare ARRIVED TRAFFIC                 both, row by row: how many rows, and which differ
    reference.py land ARRIVED LANDED                     what the first stage makes of them, as files of days

Points whose names begin with 9 are not configured, as generate.py has them.
"""

import json
import sys
from datetime import date, timedelta
from pathlib import Path

import duckdb

COLUMNS = {
    "uniqueId": "id",
    "recordTimestamp": "second",
    "currentSpeed": "speed",
    "bezettingsgraad": "occupancy",
    "previousSpeed": "previous",
    "trafficJamIndicator": "CASE WHEN of_3 BETWEEN 0 AND 40 THEN 1 WHEN of_3 > 40 AND of_3 <= 250 THEN 0 ELSE -1 END",
    "trafficJamIndicatorLong": "CASE WHEN of_20 BETWEEN 0 AND 40 THEN 1 WHEN of_20 > 40 AND of_20 <= 250 THEN 0 ELSE -1 END",
    "speedDiffIndicator": "CASE WHEN speed - previous >= 20 THEN 1 WHEN speed - previous <= -20 THEN -1 ELSE 0 END",
    "avgSpeed3Minutes": "of_3",
    "avgSpeed20Minutes": "of_20",
}
NAMES = ("unieke_id", "tijd_waarneming", "voertuigsnelheid_rekenkundig_klasse2", "rekendata_bezettingsgraad")
EVENT = """
    unieke_id::VARCHAR AS id, tijd_waarneming::BIGINT AS second,
    voertuigsnelheid_rekenkundig_klasse2::DOUBLE AS speed, rekendata_bezettingsgraad::DOUBLE AS occupancy
"""
JSON = """{unieke_id: 'VARCHAR', tijd_waarneming: 'VARCHAR', voertuigsnelheid_rekenkundig_klasse2: 'DOUBLE', rekendata_bezettingsgraad: 'DOUBLE'}"""


def arrived(folder: str) -> str:
    """The events of all objects, whatever they are."""
    parts = []
    for file in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
        with file.open("rb") as opened:
            is_parquet = opened.read(4) == b"PAR1"
        compression = "gzip" if file.suffix == ".gz" else "none"
        read = f"read_parquet('{file}', hive_partitioning = false)"
        if not is_parquet:
            read = f"read_json('{file}', format = 'newline_delimited', compression = '{compression}', columns = {JSON}, hive_partitioning = false)"
        parts.append(f"SELECT {EVENT} FROM {read}")
    return " UNION ALL ".join(parts)


def expected(events: str) -> str:
    """Rows with the columns of the output. A day has before it the day before, and no more."""
    columns = ", ".join(f'{value} AS "{name}"' for name, value in COLUMNS.items())
    return f"""
        WITH valid AS (
            SELECT *, second // 86400 AS day FROM ({events}) WHERE occupancy IS DISTINCT FROM -1 AND id < '9'
        ), once AS (
            SELECT * FROM valid QUALIFY 1 = row_number() OVER (
                PARTITION BY id, second ORDER BY speed DESC NULLS LAST, occupancy DESC NULLS LAST)
        ), near AS (
            SELECT *, day AS of_day FROM once UNION ALL SELECT *, day + 1 AS of_day FROM once
        ), rolled AS (
            SELECT *, lag(speed) OVER point AS previous,
                avg(speed) OVER (point ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS of_3,
                avg(speed) OVER (point ROWS BETWEEN 19 PRECEDING AND CURRENT ROW) AS of_20
            FROM near WINDOW point AS (PARTITION BY id, of_day ORDER BY second)
        )
        SELECT {columns} FROM rolled WHERE day = of_day
    """


def written(folder: str) -> str:
    """The rows of a run, which lie where their time says."""
    columns = ", ".join(
        'epoch_us("recordTimestamp") // 1000000 AS "recordTimestamp"' if name == "recordTimestamp" else f'"{name}"'
        for name in COLUMNS
    )
    files = f"read_parquet('{folder}/year=*/month=*/day=*/hour=*/*.parquet', hive_partitioning = true, hive_types_autocast = false, filename = true, file_row_number = true)"
    ((misplaced,),) = duckdb.sql(f"""
        SELECT count(*) FROM {files} WHERE (year, month, day, hour) IS DISTINCT FROM ROW(
            strftime(make_timestamp(epoch_us("recordTimestamp")), '%Y'), strftime(make_timestamp(epoch_us("recordTimestamp")), '%m'),
            strftime(make_timestamp(epoch_us("recordTimestamp")), '%d'), strftime(make_timestamp(epoch_us("recordTimestamp")), '%H'))
    """).fetchall()
    ((unsorted,),) = duckdb.sql(f"""
        SELECT count(*) FROM (SELECT ("uniqueId", "recordTimestamp") < lag(("uniqueId", "recordTimestamp"))
            OVER (PARTITION BY filename ORDER BY file_row_number) AS wrong FROM {files}) WHERE wrong
    """).fetchall()
    if misplaced or unsorted:
        sys.exit(f"{misplaced} rows lie in other folders than their time says, and {unsorted} are out of order")
    return f"SELECT {columns} FROM {files}"


def print_rows(query: str) -> None:
    instant = """strftime(make_timestamp("recordTimestamp" * 1000000), '%Y-%m-%dT%H:%M:%SZ') AS "recordTimestamp\""""
    rows = duckdb.sql(f'SELECT * REPLACE ({instant}) FROM ({query}) ORDER BY "uniqueId", "recordTimestamp"')
    for row in rows.fetchall():
        print(json.dumps(dict(zip(COLUMNS, row, strict=True))))


def compare(there: str, folder: str) -> dict[str, object]:
    duckdb.sql(f"CREATE OR REPLACE TABLE expected AS {expected(there)}")
    duckdb.sql(f"CREATE OR REPLACE TABLE found AS {written(folder)}")
    missing = duckdb.sql("SELECT * FROM expected EXCEPT ALL SELECT * FROM found ORDER BY ALL LIMIT 5").fetchall()
    unexpected = duckdb.sql("SELECT * FROM found EXCEPT ALL SELECT * FROM expected ORDER BY ALL LIMIT 5").fetchall()
    ((rows,),) = duckdb.sql("SELECT count(*) FROM found").fetchall()
    bands = duckdb.sql('SELECT "trafficJamIndicator", count(*) FROM found GROUP BY 1 ORDER BY 1').fetchall()
    ((hours,),) = duckdb.sql('SELECT count(DISTINCT "recordTimestamp" // 3600) FROM found').fetchall()
    jams = {str(band): count for band, count in bands}
    return {"rows": rows, "hours": hours, "missing": missing, "unexpected": unexpected, "jams": jams}


def land(events: str, folder: str) -> None:
    """The days of the sample: with all that was landed twice."""
    duckdb.sql(f"CREATE OR REPLACE TABLE landed AS SELECT * FROM ({events}) WHERE occupancy IS DISTINCT FROM -1 AND id < '9'")
    for (day,) in duckdb.sql("SELECT DISTINCT second // 86400 FROM landed ORDER BY 1").fetchall():
        into = Path(folder) / f"{date(1970, 1, 1) + timedelta(day):year=%Y/month=%m/day=%d}"
        into.mkdir(parents=True, exist_ok=True)
        columns = ", ".join(f"{own} AS {name}" for name, own in zip(NAMES, ("id", "second", "speed", "occupancy"), strict=True))
        rows = f"SELECT {columns}, make_timestamp(second * 1000000) AT TIME ZONE 'UTC' AS \"recordTimestamp\" FROM landed WHERE second // 86400 = {day}"
        duckdb.sql(f"COPY ({rows}) TO '{into}/sample.parquet' (FORMAT parquet, COMPRESSION zstd)")


def main() -> None:
    match sys.argv[1:]:
        case "rows", folder:
            print_rows(expected(arrived(folder)))
        case "read", folder:
            print_rows(written(folder))
        case "compare", there, folder:
            print(json.dumps(compare(arrived(there), folder)))
        case "land", there, folder:
            land(arrived(there), folder)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
