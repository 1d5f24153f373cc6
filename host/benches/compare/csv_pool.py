"""Python's csv.DictReader, the loop most Lambda functions hold: one file at a time, with a process per core."""

import csv
import multiprocessing
import os

from stations import arguments, commit


def highest(path: str) -> list[tuple[str, int, int]]:
    best = None
    with open(path, newline="") as lines:
        for row in csv.DictReader(lines):
            if row["ELEMENT"] == "PRCP" and not row["Q_FLAG"]:
                value, date = int(row["DATA_VALUE"]), int(row["DATE"])
                if best is None or value > best[1] or (value == best[1] and date < best[2]):
                    best = (row["ID"], value, date)
    return [best] if best else []


if __name__ == "__main__":
    data, result = arguments()
    files = sorted(str(path) for path in data.glob("*.csv"))
    with multiprocessing.Pool(len(os.sched_getaffinity(0))) as pool:
        commit((row for rows in pool.imap_unordered(highest, files, chunksize=4) for row in rows), result)
