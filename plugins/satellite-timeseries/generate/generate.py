#!/usr/bin/env python3
"""Writes images as LSA SAF's MDSSFTD product has them, by Python's netCDF4: one every 15 minutes, and the points to read.

    generate.py FOLDER [--days N] [--files N] [--first YYYYMMDD] [--rows N] [--columns N] [--chunk N] [--points N] [--sparse]

FOLDER stands for the bucket. The same arguments give the same values.
"""

import argparse
import os
import random
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import netCDF4
import numpy as np

# As the product is: 0.05 degrees from 80 N to 80 S, and from 80 W to 80 E.
SIZE = 3201
FILL = -1
VARIABLES = {
    "DSSF_TOT": dict(scale=0.1, low=0, high=15000, step=20, long_name="Total downward surface shortwave flux", units="W m-2"),
    "FRACTION_DIFFUSE": dict(scale=0.001, low=0, high=1000, step=2, long_name="Diffuse fraction of it", units="1"),
}


def key(time: datetime) -> str:
    name = f"NETCDF4_LSASAF_MSG_MDSSFTD_MSG-Disk_{time:%Y%m%d%H%M}.nc"
    return f"MSG/MDSSFTD/NETCDF/{time:%Y/%m/%d}/{name}"


def points(rows: int, columns: int, count: int) -> list[tuple[int, int]]:
    """Those of the workload, on a grid of another size in the same part of it."""
    dice = random.Random(10)
    drawn = [(dice.randint(1000, 2500), dice.randint(1000, 2500)) for _ in range(count)]
    return [(row * rows // SIZE, column * columns // SIZE) for row, column in drawn]


def dice(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], seed: int) -> np.ndarray:
    """A number below 2**32 for each pixel, which follows from its place and the seed."""
    mixed = rows[:, None].astype(np.uint64) * np.uint64(shape[1]) + columns[None, :].astype(np.uint64) + np.uint64(seed << 32)
    for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(factor)
    return mixed >> np.uint64(32)


def field(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], minutes: int, seed: int, spread: float) -> np.ndarray:
    """Numbers from 0 to 1, or none outside of the Earth's disk: smooth, with clouds, and with noise in the last digits."""
    y = (rows[:, None] / (shape[0] - 1) - 0.5) * 2
    x = (columns[None, :] / (shape[1] - 1) - 0.5) * 2
    sun = np.clip(np.cos(x * 1.2 + (minutes / 1440 - 0.5) * 6.28) * np.cos(y * 1.3), 0.02, 1)
    clouds = 0.5 + 0.25 * np.sin(9 * x + seed + minutes / 90) * np.cos(7 * y - minutes / 60) + 0.25 * np.sin(31 * x * y + seed)
    noise = dice(rows, columns, shape, minutes * 7919 + seed) / (1 << 32)
    return np.where(x * x + y * y < 0.96, sun * (0.3 + 0.7 * clouds) * (1 - spread) + spread * noise, np.nan)


def packed(name: str, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], minutes: int, given) -> np.ndarray:
    limits = VARIABLES[name]
    part = field(rows, columns, shape, minutes, given.seed + len(name), given.noise)
    # A few are beyond what is valid. What does not compress has all digits.
    step = 1 if given.noise else limits["step"]
    number = np.round((limits["low"] + (limits["high"] * 1.01 - limits["low"]) * part) / step) * step
    # Here and there a patch is missing.
    missing = dice(rows // 50, columns // 50, shape, minutes * 31 + given.seed) % 20 == 0
    return np.where(np.isnan(number) | missing, FILL, number).astype(np.int16)


def blocks(given, shape: tuple[int, int]) -> list[tuple[slice, slice]]:
    """The parts of a grid that are written: all of it, or the chunks with points."""
    if not given.sparse:
        return [(slice(0, shape[0]), slice(0, shape[1]))]
    side = given.chunk
    corners = sorted({(row // side * side, column // side * side) for row, column in points(*shape, given.points)})
    return [(slice(r, min(r + side, shape[0])), slice(c, min(c + side, shape[1]))) for r, c in corners]


def write(path: Path, time: datetime, given) -> None:
    shape = (given.rows, given.columns)
    minutes = time.hour * 60 + time.minute
    with netCDF4.Dataset(path, "w") as image:
        image.createDimension("time", None)
        image.createDimension("lat", shape[0])
        image.createDimension("lon", shape[1])
        chunk = (1, min(given.chunk, shape[0]), min(given.chunk, shape[1]))
        options = dict(compression="zlib", complevel=4, chunksizes=chunk, fletcher32=given.fletcher32)
        for name, limits in VARIABLES.items():
            variable = image.createVariable(name, "i2", ("time", "lat", "lon"), fill_value=FILL, **options)
            variable.set_auto_maskandscale(False)
            variable.setncatts({"scale_factor": limits["scale"], "long_name": limits["long_name"], "units": limits["units"]})
            variable.setncatts({"valid_min": np.int16(limits["low"]), "valid_max": np.int16(limits["high"]), "grid_mapping": "crs"})
        quality = image.createVariable("quality_flag", "i2", ("time", "lat", "lon"), fill_value=np.int16(-999), **options)
        for rows, columns in blocks(given, shape):
            at = (np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop))
            for name in VARIABLES:
                image[name][0, rows, columns] = packed(name, *at, shape, minutes, given)
            flags = (at[0][:, None] // 50 + at[1][None, :] // 70 + minutes) % 4
            # With noise, all of its bits are taken.
            flags = dice(*at, shape, minutes) % 8192 if given.noise else flags
            quality[0, rows, columns] = flags.astype(np.int16)
        image.createVariable("crs", "i4").setncatts({"grid_mapping_name": "latitude_longitude", "semi_major_axis": 6378137.0})
        for axis, length in (("lat", shape[0]), ("lon", shape[1])):
            degrees = np.linspace(80, -80, length) if axis == "lat" else np.linspace(-80, 80, length)
            image.createVariable(axis, "f4", (axis,), compression="zlib")[:] = degrees.astype(np.float32)
        image.createVariable("time", "f8", ("time",)).units = "minutes since 2018-01-01 00:00:00"
        image["time"][0] = (time - datetime(2018, 1, 1)).total_seconds() / 60
        # So many attributes that HDF5 keeps them elsewhere than in the header.
        image.setncatts({f"attribute_{number:02}": f"as the product has it: {number}" for number in range(26)})
        image.time_coverage_start = f"{time:%Y-%m-%dT%H:%M:%SZ}"


def arguments() -> argparse.ArgumentParser:
    wanted = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    wanted.add_argument("folder", type=Path)
    wanted.add_argument("--days", type=int, default=1)
    wanted.add_argument("--files", type=int, default=96, help="of a day")
    wanted.add_argument("--first", default="20180101", help="the first day")
    wanted.add_argument("--rows", type=int, default=SIZE)
    wanted.add_argument("--columns", type=int, default=SIZE)
    wanted.add_argument("--chunk", type=int, default=100, help="rows and columns of a chunk")
    wanted.add_argument("--points", type=int, default=100)
    wanted.add_argument("--noise", type=float, default=0.0, help="how much of a value, from 0 to 1, does not compress")
    wanted.add_argument("--sparse", action="store_true", help="write only the chunks with points")
    wanted.add_argument("--fletcher32", action="store_true", help="with checksums")
    wanted.add_argument("--seed", type=int, default=1)
    return wanted


def main() -> None:
    given = arguments().parse_args()
    first = datetime.strptime(given.first, "%Y%m%d")
    quarters = [(day, quarter) for day in range(given.days) for quarter in range(given.files)]
    # A day with few files has them around noon, when there is light.
    start = 0 if given.files > 48 else 40
    times = [first + timedelta(days=day, minutes=15 * (start + quarter)) for day, quarter in quarters]
    paths = [given.folder / key(time) for time in times]
    for folder in {path.parent for path in paths}:
        folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{number},{row},{column}\n" for number, (row, column) in enumerate(points(given.rows, given.columns, given.points))]
    (given.folder / "points.csv").write_text("point_id,row,column\n" + "".join(rows))
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for written in [pool.submit(write, path, time, given) for path, time in zip(paths, times, strict=True)]:
            written.result()
    size = sum(path.stat().st_size for path in paths) / len(paths)
    print(f"{len(paths)} images of {given.rows} x {given.columns}, {size / 1e6:.2f} MB each, and {given.points} points in {given.folder}")


if __name__ == "__main__":
    main()
