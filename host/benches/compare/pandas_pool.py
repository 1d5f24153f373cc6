"""pandas: one file at a time, with a process per core."""

import multiprocessing
import os

import pandas as pd
from stations import arguments, commit

COLUMNS = {"ID": "category", "DATE": "int32", "ELEMENT": "category", "DATA_VALUE": "int32", "Q_FLAG": "category"}


def highest(path: str) -> list[tuple[str, int, int]]:
    frame = pd.read_csv(path, usecols=list(COLUMNS), dtype=COLUMNS, engine="c")
    frame = frame[(frame["ELEMENT"] == "PRCP") & frame["Q_FLAG"].isna()]
    if frame.empty:
        return []
    best = frame["DATA_VALUE"].max()
    first = frame.loc[frame["DATA_VALUE"] == best, "DATE"].min()
    return [(str(frame["ID"].iloc[0]), int(best), int(first))]


if __name__ == "__main__":
    data, result = arguments()
    files = sorted(str(path) for path in data.glob("*.csv"))
    with multiprocessing.Pool(len(os.sched_getaffinity(0))) as pool:
        commit((row for rows in pool.imap_unordered(highest, files, chunksize=4) for row in rows), result)
