"""What both ways in Python share: SCRIPT IMAGES POINTS ANSWER. Files go to a process per core, and each day becomes a Parquet file."""

import csv
import multiprocessing
import os
import pathlib
import sys
from collections import defaultdict

import netCDF4
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

VARIABLES = ("DSSF_TOT", "FRACTION_DIFFUSE")


def points(path: str) -> tuple[list[int], list[int], list[int]]:
    with open(path) as file:
        rows = list(csv.DictReader(file))
    return tuple([int(row[name]) for row in rows] for name in ("point_id", "row", "column"))


def table(given) -> tuple[str, pa.Table]:
    read, path, (ids, rows, columns) = given
    with netCDF4.Dataset(path) as image:
        found = [np.ma.filled(np.ma.array(values, dtype="f8"), np.nan) for values in read(image, rows, columns)]
        time = image.time_coverage_start
    columns = [pa.array([time] * len(ids)), pa.array(ids, pa.int64())] + [pa.array(values, from_pandas=True) for values in found]
    return time[:10], pa.table(columns, names=["time", "point_id", *VARIABLES])


def run(read) -> None:
    images, wanted, answer = sys.argv[1:]
    answer = pathlib.Path(answer)
    answer.mkdir(parents=True)
    files = sorted(str(path) for path in pathlib.Path(images).rglob("*.nc"))
    days = defaultdict(list)
    with multiprocessing.Pool(len(os.sched_getaffinity(0))) as pool:
        for day, found in pool.imap(table, [(read, file, points(wanted)) for file in files], chunksize=4):
            days[day].append(found)
    for day, tables in days.items():
        pq.write_table(pa.concat_tables(tables), answer / f"{day}.parquet", compression="snappy")
