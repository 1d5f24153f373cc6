"""What the sides read: the generator's files, and other files of the same rows."""

import pathlib

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq


def files(data: pathlib.Path) -> list[pathlib.Path]:
    """In the order of their numbers, which is that of their timestamps."""
    return sorted((data / "unload").iterdir(), key=lambda path: int(path.name.rsplit("_", 1)[1]))


def json_lines(some: list[pathlib.Path], folder: pathlib.Path) -> list[pathlib.Path]:
    """The same rows as JSON lines, a file for each."""
    folder.mkdir(parents=True)
    for file in some:
        duckdb.execute(f"COPY (FROM read_parquet('{file}')) TO '{folder / file.name}.jsonl' (FORMAT json)")
    return [folder / f"{file.name}.jsonl" for file in some]


def in_order(some: list[pathlib.Path], folder: pathlib.Path, groups: int) -> tuple[pathlib.Path, str]:
    """One file in the order of timestamps, and the timestamp before which a twentieth of its row groups or pages lies."""
    folder.mkdir(exist_ok=True)
    table = pa.concat_tables([pq.read_table(file) for file in some]).sort_by("timestamp")
    path, size = folder / f"{groups}_groups_0", -(-table.num_rows // groups)
    # Of numbers that hardly repeat a dictionary is a megabyte, which whoever wants a page has to read.
    texts = ["deviceid", "timestamp"]
    pq.write_table(
        table, path, compression="snappy", row_group_size=size, write_page_index=True, data_page_size=64 << 10, use_dictionary=texts
    )
    return path, table["timestamp"][table.num_rows // 20].as_py()
