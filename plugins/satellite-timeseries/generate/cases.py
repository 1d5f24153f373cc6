#!/usr/bin/env python3
"""Writes small images of every kind that readers have met: each rule of masks and scales, and each way to store a grid.

    cases.py FOLDER

FOLDER stands for the bucket. One file each, all of the day 2018-01-02, and the points to read: FOLDER/cases.csv. FOLDER/bad has
files that netCDF4 reads, but which are no such images.
"""

import random
import sys
from datetime import datetime, timedelta
from pathlib import Path

import h5py
import netCDF4
import numpy as np

SHAPE = (60, 80)
CHUNKS = (1, 16, 32)
NAMES = ("DSSF_TOT", "FRACTION_DIFFUSE")
F4, F8, I2 = np.float32, np.float64, np.int16
NAN = F4(np.nan)


def grid(kind: str) -> np.ndarray:
    """Values of a type from its least to its largest, the special ones among them."""
    rng = np.random.default_rng(1)
    kind = np.dtype(kind).newbyteorder("=")
    if kind.kind == "f":
        values = rng.normal(0, 1000, SHAPE).astype(kind)
        special = [np.nan, np.inf, -np.inf, 9.969209968386869e36, 0, -0.0, 1e-40, -999]
    else:
        least, most = np.iinfo(kind).min, np.iinfo(kind).max
        values = rng.integers(least, most, SHAPE, dtype=kind, endpoint=True)
        special = [least, least + 1, least + 2, most, most - 1, 0, 1, 99 if least == 0 else -99]
    # In the first rows, which points are in.
    values[:2].flat[: 10 * len(special)] = special * 10
    return values.astype(kind)


# What is said of each case: the type of its values, and the attributes of its variables.
MASKS: dict[str, tuple[str, dict]] = {
    "product": ("i2", {"_FillValue": I2(-1), "scale_factor": F8(0.1), "valid_min": I2(0), "valid_max": I2(15000)}),
    "missing": ("i2", {"missing_value": np.array([-99, 1], I2), "scale_factor": F8(0.1)}),
    "both": ("i2", {"_FillValue": I2(0), "missing_value": I2(-99), "add_offset": F8(273.15)}),
    "range": ("i2", {"valid_range": np.array([-20000, 20000], I2), "scale_factor": F8(0.01), "add_offset": F8(-5)}),
    "range-and-limits": ("i2", {"valid_range": np.array([0, 100], I2), "valid_min": I2(-5)}),
    "no-fill": ("i2", {"scale_factor": F8(2.0)}),
    "float32-scale": ("i2", {"_FillValue": I2(-99), "scale_factor": F4(0.1)}),
    "float32-both": ("i2", {"scale_factor": F4(0.1), "add_offset": F4(3.3)}),
    "float32-offset": ("i2", {"scale_factor": F8(0.1), "add_offset": F4(3.3)}),
    "one-and-zero": ("i4", {"scale_factor": F4(1.0), "add_offset": F4(0.0)}),
    "only-one": ("i4", {"scale_factor": F4(1.0)}),
    "integer-scale": ("i2", {"scale_factor": I2(1000)}),
    "integer-offset": ("i2", {"scale_factor": np.uint16(3), "add_offset": np.int32(7)}),
    "two-scales": ("i2", {"scale_factor": np.array([2.0, 3.0]), "add_offset": F8(5)}),
    "text-scale": ("i2", {"scale_factor": "none"}),
    "does-not-fit": ("i2", {"valid_max": F8(2.5), "valid_min": np.int32(70000), "missing_value": F8(-99)}),
    "unsigned": ("i2", {"_Unsigned": "true", "_FillValue": I2(-1), "valid_max": I2(-3), "scale_factor": F8(0.5)}),
    "unsigned-bytes": ("i1", {"_Unsigned": "true", "scale_factor": F4(0.1)}),
    "bytes": ("i1", {"scale_factor": F8(0.5)}),
    "bytes-with-fill": ("u1", {"_FillValue": np.uint8(255), "scale_factor": F4(0.5)}),
    "words": ("u2", {"scale_factor": F4(0.1)}),
    "longs": ("i4", {"_FillValue": np.int32(-99), "scale_factor": F4(0.1)}),
    "huge": ("i8", {"scale_factor": F8(1e-3)}),
    "huge-unsigned": ("u8", {"add_offset": np.int64(-1)}),
    "floats": ("f4", {"_FillValue": NAN, "valid_min": F4(-2000)}),
    "floats-scaled": ("f4", {"missing_value": F4(-999), "scale_factor": F8(0.1)}),
    "doubles": ("f8", {"_FillValue": F8(-999), "valid_max": F8(1500)}),
    "big-endian": (">i2", {"_FillValue": I2(-99), "scale_factor": F8(0.1)}),
}


def by_netcdf4(path: Path, time: str, kind: str, attributes: dict, written: slice = slice(None), **options) -> None:
    """An image as netCDF4 writes it. What is not written stays what the file is filled with."""
    with netCDF4.Dataset(path, "w") as image:
        for name, length in (("time", None), ("lat", SHAPE[0]), ("lon", SHAPE[1])):
            image.createDimension(name, length)
        endian = "big" if kind.startswith(">") else "native"
        dimensions = options.pop("dimensions", ("time", "lat", "lon"))
        for name in NAMES:
            variable = image.createVariable(
                name, kind, dimensions, endian=endian, fill_value=attributes.get("_FillValue"), **options
            )
            variable.set_auto_maskandscale(False)
            variable.setncatts({key: value for key, value in attributes.items() if key != "_FillValue"})
            where = (0, written) if dimensions[0] == "time" else (written,)
            variable[where] = grid(kind)[written]
        image.time_coverage_start = time


def by_h5py(path: Path, time: str, libver: str | None = None, userblock: int = 0, low_level=None, **options) -> None:
    """The same product by h5py, as HDF5 stores it in another way."""
    kind, attributes = MASKS["product"]
    with h5py.File(path, "w", libver=libver, userblock_size=userblock) as image:
        for name in NAMES:
            values = grid(kind)[None]
            if low_level is None:
                dataset = image.create_dataset(name, data=values, fillvalue=attributes["_FillValue"], **options)
            else:
                properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
                low_level(properties)
                space, stored = h5py.h5s.create_simple(values.shape), h5py.h5t.py_create(values.dtype)
                made = h5py.h5d.create(image.id, name.encode(), stored, space, properties)
                dataset = h5py.Dataset(made)
                dataset[...] = values
            dataset.attrs.update(attributes)
        image.attrs["time_coverage_start"] = time


def early(properties) -> None:
    properties.set_chunk(CHUNKS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)


FREE = {"maxshape": (None, *SHAPE)}
PACKED = {"compression": "gzip", "shuffle": True}
STORED = {
    "contiguous": dict(),
    "compact": dict(low_level=lambda properties: properties.set_layout(h5py.h5d.COMPACT)),
    "plain-chunks": dict(chunks=CHUNKS),
    "btree": dict(chunks=CHUNKS, **FREE, **PACKED),
    "many-chunks": dict(chunks=(1, 2, 1), **FREE, **PACKED),
    "checksums": dict(chunks=CHUNKS, **FREE, **PACKED, fletcher32=True),
    "user-block": dict(chunks=CHUNKS, **PACKED, userblock=1024),
    "latest": dict(libver="latest", chunks=CHUNKS, **FREE, **PACKED),
    "latest-checksums": dict(libver="latest", chunks=CHUNKS, **FREE, **PACKED, fletcher32=True),
    "latest-fixed": dict(libver="latest", chunks=CHUNKS, **PACKED),
    "latest-fixed-plain": dict(libver="latest", chunks=CHUNKS),
    "latest-pages": dict(libver="latest", chunks=(1, 2, 1), **PACKED),
    "latest-many": dict(libver="latest", chunks=(1, 2, 1), **FREE, **PACKED),
    "latest-two-free": dict(libver="latest", chunks=CHUNKS, maxshape=(None, None, SHAPE[1]), **PACKED),
    "latest-single": dict(libver="latest", chunks=(1, *SHAPE), **PACKED),
    "latest-single-plain": dict(libver="latest", chunks=(1, *SHAPE)),
    "latest-implicit": dict(libver="latest", low_level=early),
    "latest-user-block": dict(libver="latest", chunks=CHUNKS, **FREE, **PACKED, userblock=512),
}


def bad(folder: Path) -> None:
    """What lacks something, or has too much of it."""
    folder.mkdir(exist_ok=True)
    for name in ("no-variable", "no-time", "bad-time", "other-grid", "two-times", "texts", "text-scale"):
        with netCDF4.Dataset(folder / f"{name}.nc", "w") as image:
            shape = (2 if name == "two-times" else 1, SHAPE[0], SHAPE[1] + (name == "other-grid"))
            for dimension, length in zip(("time", "lat", "lon"), shape, strict=True):
                image.createDimension(dimension, length)
            for variable in NAMES[: 1 if name == "no-variable" else 2]:
                made = image.createVariable(variable, str if name == "texts" else "i2", ("time", "lat", "lon"))
                if name == "text-scale":
                    made.scale_factor = "0.1"
            if name != "no-time":
                image.time_coverage_start = "yesterday" if name == "bad-time" else "2018-01-05T00:00:00Z"


def main() -> None:
    bucket = Path(sys.argv[1])
    folder = bucket / "MSG/MDSSFTD/NETCDF/2018/01/02"
    folder.mkdir(parents=True, exist_ok=True)
    start, number = datetime(2018, 1, 2), 0

    def next_one(name: str) -> tuple[Path, str]:
        nonlocal number
        time = start + timedelta(minutes=15 * number)
        number += 1
        return folder / f"{name}_{time:%Y%m%d%H%M}.nc", f"{time:%Y-%m-%dT%H:%M:%SZ}"

    for name, (kind, attributes) in MASKS.items():
        by_netcdf4(*next_one(name), kind, attributes, chunksizes=CHUNKS, compression="zlib")
    product, contents = MASKS["product"], slice(0, 20)
    by_netcdf4(*next_one("partly-written"), *product, written=contents, chunksizes=CHUNKS)
    by_netcdf4(*next_one("partly-written-unfilled"), *MASKS["no-fill"], written=contents, chunksizes=CHUNKS)
    by_netcdf4(*next_one("no-time"), *product, dimensions=("lat", "lon"))
    by_netcdf4(*next_one("netcdf-contiguous"), *product, dimensions=("lat", "lon"), contiguous=True)
    for name, options in STORED.items():
        by_h5py(*next_one(name), **options)
    dice = random.Random(10)
    corners = [(0, 0), (0, SHAPE[1] - 1), (SHAPE[0] - 1, 0), (SHAPE[0] - 1, SHAPE[1] - 1)]
    points = corners + [(0, column) for column in range(1, 9)] + [(dice.randrange(SHAPE[0]), dice.randrange(SHAPE[1])) for _ in range(40)]
    lines = [f"{number},{row},{column}\n" for number, (row, column) in enumerate(points)]
    (bucket / "cases.csv").write_text("point_id,row,column\n" + "".join(lines))
    bad(bucket / "bad")
    print(f"{number} images of {SHAPE[0]} x {SHAPE[1]} under {folder}")


if __name__ == "__main__":
    main()
