#!/usr/bin/env python3
"""Prints what the second stage left: show.py FOLDER"""

import sys

import pyarrow.compute as pc
import pyarrow.dataset

series = pyarrow.dataset.dataset(sys.argv[1], format="parquet", partitioning="hive").to_table()
flux = series["DSSF_TOT"]
points = len(pc.unique(series["point_id"]))
print(f"{series.num_rows:,} rows of {points} points, {flux.null_count:,} of them masked; the brightest are")
for row in series.sort_by([("DSSF_TOT", "descending"), ("time", "ascending"), ("point_id", "ascending")]).slice(0, 5).to_pylist():
    print(f"  {row['time']}  point {row['point_id']:>2}  {row['DSSF_TOT']:8.1f} W/m²  {row['FRACTION_DIFFUSE']:.3f} of it diffuse")
