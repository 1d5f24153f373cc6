"""Python's netCDF4, sparing: point after point, a process per core."""

import readings


def read(image, rows, columns):
    variables = [image[name] for name in readings.VARIABLES]
    return [[variable[0, row, column] for row, column in zip(rows, columns, strict=True)] for variable in variables]


if __name__ == "__main__":
    readings.run(read)
