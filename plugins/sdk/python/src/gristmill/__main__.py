"""`python -m gristmill build app.py -o app.wasm`"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .build import BuildError, build
from .requirements import install


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gristmill", description="Tools for a plugin's author.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("build", help="make a component of a Python file that has a @plugin function")
    command.add_argument("app", type=Path, help="the Python file, such as app.py")
    command.add_argument("-o", "--output", type=Path, help="the component (default: the app's name with .wasm)")
    command.add_argument("--packages", type=Path, action="append", default=[], help="a folder with packages that come along")
    command = commands.add_parser("requirements", help="install the pure-Python packages that a plugin brings along")
    command.add_argument("file", type=Path, help="the plugin's requirements.txt")
    command.add_argument("--into", type=Path, required=True, help="the folder")
    options = parser.parse_args(arguments)
    try:
        if options.command == "requirements":
            install(options.file, options.into)
            return 0
        target: Path = options.output or options.app.with_suffix(".wasm")
        build(options.app, target, options.packages)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
