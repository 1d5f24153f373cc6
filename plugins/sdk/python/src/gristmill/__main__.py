"""`python -m gristmill build app.py -o app.wasm`"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .build import BuildError, build


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gristmill", description="Tools for a plugin's author.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("build", help="make a component of a Python file that has a @plugin function")
    command.add_argument("app", type=Path, help="the Python file, such as app.py")
    command.add_argument("-o", "--output", type=Path, help="the component (default: the app's name with .wasm)")
    options = parser.parse_args(arguments)
    target: Path = options.output or options.app.with_suffix(".wasm")
    try:
        build(options.app, target)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
