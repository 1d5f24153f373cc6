#!/usr/bin/env python3
"""Makes sample/ and golden/ again: three images, what the first stage might have left of two points, and what both stages say.

    sample.py
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
SAMPLE, GOLDEN = HERE.parent / "sample", HERE.parent / "golden"


def by(script: str, *arguments) -> str:
    command = [sys.executable, HERE / script, *map(str, arguments)]
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def main() -> None:
    for folder in (SAMPLE, GOLDEN):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    by("generate.py", SAMPLE, "--files", 3, "--sparse", "--points", 6)
    images = sorted(SAMPLE.glob("MSG/**/*.nc"))
    (GOLDEN / "values.jsonl").write_text(by("reference.py", "values", SAMPLE / "points.csv", *images))
    # The second file of a point has a day again, one value of which is another one, and the day after it.
    rows = [json.loads(line) for line in (GOLDEN / "values.jsonl").read_text().splitlines()]
    tables = []
    for point in (2, 5):
        first = [{name: value for name, value in row.items() if name != "point_id"} for row in rows if row["point_id"] == point]
        later = [{**row, "time": row["time"].replace("-01T", "-02T")} for row in first]
        again = [first[0], {**first[1], "DSSF_TOT": None}]
        for name, part in (("a", first[::-1]), ("b", later + again)):
            path = SAMPLE / f"output/intermediate/point_id={point}/{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            schema = pa.schema([("time", pa.string()), ("DSSF_TOT", pa.float64()), ("FRACTION_DIFFUSE", pa.float64())])
            pq.write_table(pa.Table.from_pylist(part, schema), path)
            tables.append(path)
    (GOLDEN / "series.jsonl").write_text(by("reference.py", "series", *tables))


if __name__ == "__main__":
    main()
