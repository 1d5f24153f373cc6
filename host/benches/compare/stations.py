"""What every opponent shares: where the files are, what a row holds, and the table that the answer is committed to.

The task: of every station (ID) the highest PRCP value that has no quality flag, and the first date of that value.
A station without such a value has no row.
"""

import pathlib
import sqlite3
import sys
from collections.abc import Iterable

TABLE = "noaa-precipitation"


def arguments() -> tuple[pathlib.Path, pathlib.Path]:
    """The directory of station files and the SQLite file to write, from the command line."""
    data, result = sys.argv[1:]
    return pathlib.Path(data), pathlib.Path(result)


def commit(rows: Iterable[tuple[str, int, int]], result: pathlib.Path) -> None:
    """Writes (station, value, date) rows in one transaction."""
    database = sqlite3.connect(result)
    with database:
        database.execute(f'CREATE TABLE "{TABLE}" (pk TEXT PRIMARY KEY, PRCP INTEGER, DATE INTEGER)')
        database.executemany(f'INSERT INTO "{TABLE}" VALUES (?, ?, ?)', rows)
    database.close()
