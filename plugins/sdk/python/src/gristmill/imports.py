"""What a plugin imports, looked at before a build: what cannot work in the sandbox, with what there is instead."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path

_READ = "`ctx.table(uri, columns, where)` reads Parquet, CSV and JSON lines in columns; group rows with a dict"
_NUMBERS = "`math`, `statistics` and `sum` work on the columns of `ctx.table`; for heavy numerics write the plugin in Rust"
_AWS = "`ctx.open(uri)` gets an object, `ctx.list(prefix)` lists, and `ctx.emit(output, row)` puts rows where `[[output]]` says"
_NETWORK = "there is no network: what an item needs has to be in the item, in `[settings]`, or in an object that `[grants]` cover"
_DATABASE = "there is no network: read what was exported to S3 with `ctx.table`, and write rows with `ctx.emit`"
_PROCESS = "there are no processes and threads: items run beside each other by themselves"
_SYSTEM = "there is no operating system: leave it out"

INSTEAD: dict[str, str] = {
    **dict.fromkeys(("numpy", "scipy", "sklearn", "torch", "tensorflow", "numba", "cupy"), _NUMBERS),
    **dict.fromkeys(("pandas", "polars", "dask", "duckdb", "modin", "awswrangler"), _READ),
    **dict.fromkeys(
        ("pyarrow", "fastparquet", "parquet"),
        '`ctx.table` reads Parquet; emitted rows become Parquet where the output has `format = "parquet"`',
    ),
    **dict.fromkeys(("boto3", "botocore", "aioboto3", "aiobotocore", "s3fs", "smart_open", "aws_lambda_powertools"), _AWS),
    **dict.fromkeys(("requests", "httpx", "urllib3", "aiohttp", "grpc", "paramiko", "websockets"), _NETWORK),
    **dict.fromkeys(("socket", "ssl", "urllib.request", "http.client", "ftplib", "smtplib", "socketserver"), _NETWORK),
    **dict.fromkeys(("psycopg", "psycopg2", "pymysql", "MySQLdb", "redis", "pymongo", "sqlalchemy", "asyncpg"), _DATABASE),
    **dict.fromkeys(("subprocess", "multiprocessing", "concurrent.futures"), _PROCESS),
    **dict.fromkeys(("fcntl", "grp", "pwd", "resource", "termios", "tty", "pty", "readline", "curses", "syslog"), _SYSTEM),
    **dict.fromkeys(("tkinter", "ctypes", "cffi", "mmap"), _SYSTEM),
    "bz2": "`ctx.open` decompresses objects whose keys end in .bz2 by itself",
    "lzma": "`ctx.open` decompresses .gz, .bz2 and .zst: store objects as one of these",
    "zstandard": "`ctx.open` decompresses objects whose keys end in .zst by itself",
    "orjson": "`json` has the same functions",
    "ujson": "`json` has the same functions",
    "lxml": "`xml.etree.ElementTree` reads XML",
    "yaml": "`json` and `tomllib` are there",
    "regex": "`re` is there",
    "pydantic": "`dataclasses` are there; the dataset file's settings are checked against their schema already",
    "cryptography": "`hashlib`, `hmac` and `secrets` are there",
    "PIL": "images need compiled code: write the plugin in Rust",
    "cv2": "images need compiled code: write the plugin in Rust",
    "netCDF4": "NetCDF needs compiled code: write the plugin in Rust",
    "h5py": "HDF5 needs compiled code: write the plugin in Rust",
    "xarray": "NetCDF needs compiled code: write the plugin in Rust",
}
"""Modules that cannot work, and what to use instead."""


def problems(app: Path, packages: Iterable[Path] = ()) -> list[str]:
    """A sentence for each import of the app, and of the modules beside it, that cannot work."""
    folder, packages = app.resolve().parent, [*packages]
    found: list[str] = []
    waiting, seen = [app.resolve()], set[Path]()
    while waiting:
        file = waiting.pop(0)
        if file in seen:
            continue
        seen.add(file)
        try:
            tree = ast.parse(file.read_bytes(), file.name)
        except SyntaxError as error:
            found.append(f"{file.name}:{error.lineno}: {error.msg}")
            continue
        for line, name in _imports(tree):
            beside = _beside(folder, name)
            if beside:
                waiting.append(beside)
            elif why := _problem(name, packages):
                found.append(f"{file.name}:{line}: {why}")
    return found


def instead(name: str) -> str | None:
    """What to use instead of a module that cannot work."""
    parts = name.split(".")
    return next((INSTEAD[key] for n in range(len(parts), 0, -1) if (key := ".".join(parts[:n])) in INSTEAD), None)


def _problem(name: str, packages: list[Path]) -> str | None:
    if other := instead(name):
        return f"`import {name}` cannot work in the sandbox: {other}"
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top == "gristmill":
        return None
    for folder in packages:
        if (folder / top).is_dir() or (folder / f"{top}.py").is_file():
            compiled = [*(folder / top).rglob("*.so"), *(folder / top).rglob("*.pyd"), *folder.glob(f"{top}.*.so")]
            return f"`import {name}` cannot work in the sandbox: it has compiled parts ({compiled[0].name})" if compiled else None
    if PathFinder.find_spec(top) is None:
        return f"there is no module `{top}`: name its package in requirements.txt, if it is pure Python"
    return None


def _beside(folder: Path, name: str) -> Path | None:
    """The file of a module beside the app."""
    path = folder.joinpath(*name.split("."))
    for file in (path.with_name(path.name + ".py"), path / "__init__.py"):
        if file.is_file():
            return file
    # `from package import module` has been looked at as `package.module`; a name within a module has no file.
    return _beside(folder, name.rpartition(".")[0]) if "." in name else None


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The imports that have to work: none that a `try` answers for, and none that only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                # `from http import client` imports `http.client`.
                full = [f"{module}.{alias.name}" for alias in names]
                known = [name for name in full if name in INSTEAD]
                yield node.lineno, known[0] if known else module
            case ast.Try(handlers=[_, *_]) if any(_answers(handler) for handler in node.handlers):
                for part in (*node.handlers, *node.orelse, *node.finalbody):
                    yield from _imports(part)
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                for part in node.orelse:
                    yield from _imports(part)
            case _:
                yield from _imports(node)


def _answers(handler: ast.ExceptHandler) -> bool:
    names = {name.id for name in ast.walk(handler.type) if isinstance(name, ast.Name)} if handler.type else {"Exception"}
    return bool(names & {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
