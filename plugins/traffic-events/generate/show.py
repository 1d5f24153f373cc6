#!/usr/bin/env python3
"""Prints what a run wrote, in short: show.py TRAFFIC"""

import sys

import pyarrow.compute as pc
import pyarrow.dataset as ds

table = ds.dataset(sys.argv[1], format="parquet", partitioning="hive").to_table().sort_by([("uniqueId", "ascending"), ("recordTimestamp", "ascending")])
folders = len(set(zip(*(table[name].to_pylist() for name in ("year", "month", "day", "hour")), strict=True)))
print(f"{len(table):,} rows of {len(pc.unique(table['uniqueId']))} measuring points in {folders} hours")
names = ["uniqueId", "recordTimestamp", "currentSpeed", "avgSpeed3Minutes", "avgSpeed20Minutes", "trafficJamIndicator", "speedDiffIndicator"]
jams = table.filter(pc.and_(pc.equal(table["trafficJamIndicator"], 1), pc.not_equal(table["speedDiffIndicator"], 0)))
print(*names, sep="  ")
for row in jams.select(names).slice(0, 5).to_pylist():
    shown = (f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values())
    print(*shown, sep="  ")
