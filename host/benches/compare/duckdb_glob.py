"""DuckDB: one query over all files, on all cores, with the schema given."""

import os

import duckdb
from stations import arguments, commit

data, result = arguments()
database = duckdb.connect(config={"threads": len(os.sched_getaffinity(0)), "preserve_insertion_order": False})
rows = database.execute(
    """
    SELECT ID, max(DATA_VALUE), arg_max(DATE, (DATA_VALUE, -DATE))
    FROM read_csv(
        ?, auto_detect = false, header = true, delim = ',', quote = '"', escape = '"', nullstr = '',
        columns = {
            'ID': 'VARCHAR', 'DATE': 'INTEGER', 'ELEMENT': 'VARCHAR', 'DATA_VALUE': 'INTEGER',
            'M_FLAG': 'VARCHAR', 'Q_FLAG': 'VARCHAR', 'S_FLAG': 'VARCHAR', 'OBS_TIME': 'VARCHAR'
        }
    )
    WHERE ELEMENT = 'PRCP' AND Q_FLAG IS NULL
    GROUP BY ID
    """,
    [str(data / "*.csv")],
).fetchall()
commit(rows, result)
