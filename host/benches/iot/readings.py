"""What every opponent shares: where the files are, what a row of the answer holds, and where it goes.

The task: of every reading one row, with its values to two decimals and the list of what left its thresholds, both as JSON texts, in
Parquet files compressed with zstd at level 1.
"""

import pathlib
import sys

# name → kind of the anomaly, highest and lowest healthy value
THRESHOLDS = {
    "temperature": ("temperature_spike", 35.0, -10.0),
    "humidity": ("humidity_anomaly", 95.0, 5.0),
    "batterylevel": ("low_battery", None, 20.0),
}
PLACES = ("latitude", "longitude")


def arguments() -> tuple[pathlib.Path, pathlib.Path]:
    """The folder of files and the folder that the answer goes to, from the command line."""
    data, result = sys.argv[1:]
    return pathlib.Path(data), pathlib.Path(result)
