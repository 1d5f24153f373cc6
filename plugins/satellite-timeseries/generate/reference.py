#!/usr/bin/env python3
"""Says what the plugin has to say, by other means: Python's netCDF4, and for the series a dictionary.

    reference.py values POINTS.csv FILE.nc... > golden/values.jsonl
    reference.py series FILE.parquet... > golden/series.jsonl
"""

import csv
import json
import math
import sys
import warnings

VARIABLES = ("DSSF_TOT", "FRACTION_DIFFUSE")


def number(value) -> float | None:
    """A masked value is none, and so is one that JSON does not have."""
    import numpy as np

    if value is np.ma.masked or np.ma.getmaskarray(value).any():
        return None
    value = float(value)
    return value if math.isfinite(value) else None


def values(points: list[dict], path: str):
    import netCDF4

    with netCDF4.Dataset(path) as image:
        for point in points:
            row, column = int(point["row"]), int(point["column"])
            # Of the grid, whatever dimensions of one element stand before it.
            read = {name: number(image[name][(0,) * (image[name].ndim - 2) + (row, column)]) for name in VARIABLES}
            yield {"time": image.time_coverage_start, "point_id": int(point["point_id"]), **read}


def series(paths: list[str]):
    import pyarrow.dataset

    found = {}
    for path in paths:
        table = pyarrow.dataset.dataset(path, partitioning="hive", partition_base_dir=path.split("point_id=")[0])
        for row in table.to_table().to_pylist():
            found[int(row["point_id"]), row["time"]] = {"time": row["time"], "point_id": int(row["point_id"]), **{name: row[name] for name in VARIABLES}}
    return [row for _, row in sorted(found.items())]


def main() -> None:
    what, *given = sys.argv[1:]
    # An attribute that does not fit is said to be left out.
    warnings.simplefilter("ignore")
    if what == "values":
        with open(given[0]) as file:
            points = list(csv.DictReader(file))
        rows = [row for path in given[1:] for row in values(points, path)]
    else:
        rows = series(given)
    for row in sorted(rows, key=lambda row: (row["time"], row["point_id"])):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
