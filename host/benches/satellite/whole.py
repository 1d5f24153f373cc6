"""Python's netCDF4 as it is used most: each variable of a file whole, a process per core; then the points of it."""

import readings


def read(image, rows, columns):
    return [image[name][0][rows, columns] for name in readings.VARIABLES]


if __name__ == "__main__":
    readings.run(read)
