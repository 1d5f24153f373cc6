#!/usr/bin/env python3
"""Prints how many readings a run found healthy, and some that are not: show.py TABLES.SQLITE"""

import sqlite3
import sys

tables = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
for status, count in tables.execute('SELECT healthstatus, count(*) FROM "iot-anomalies" GROUP BY 1 ORDER BY 1'):
    print(f"{count:>8} {status}")
query = """SELECT deviceid, readingtimestamp, anomalies FROM "iot-anomalies"
           WHERE anomalycount > 1 ORDER BY deviceid, readingtimestamp LIMIT 5"""
for row in tables.execute(query):
    print(*row, sep="  ")
