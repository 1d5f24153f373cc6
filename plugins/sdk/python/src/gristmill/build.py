"""Makes a component of an app: componentize-py with the contract that this package carries."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .imports import problems

COMPONENTIZE_PY = "0.25.1"
PACKAGE = Path(__file__).resolve().parent

# componentize-py looks for a class of this name in the module that it is given.
ENTRY = """\
from gristmill.component import export
from gristmill.plugin import Plugin
import {app} as _app

_found = [value for value in {{id(v): v for v in vars(_app).values() if isinstance(v, Plugin)}}.values()]
if len(_found) != 1:
    raise ImportError(f"{app}.py has {{len(_found)}} functions with @plugin, it must have one")
ItemProcessor = export(_found[0])
"""


class BuildError(Exception):
    """What kept a component from being built, and what to do."""


def contract() -> Path:
    """The contract's folder: a wheel's own copy, or the repository's one source of truth."""
    for folder in (PACKAGE / "wit", PACKAGE.parents[4] / "wit"):
        if (folder / "plugin.wit").is_file():
            return folder
    raise BuildError("the contract (wit/plugin.wit) is missing from this installation of gristmill; install it again")


def build(app: Path, target: Path, packages: Sequence[Path] = ()) -> None:
    """Builds `target` from the Python file `app`.

    Modules beside it come along, and so do pure-Python packages: those of the folders `packages`, and those that are installed.
    """
    if not app.is_file():
        raise BuildError(f"{app}: there is no such file")
    if app.suffix != ".py" or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", app.stem):
        raise BuildError(f"{app}: not a Python module; it needs a name like app.py")
    if found := problems(app, packages):
        raise BuildError("\n".join(found))
    with tempfile.TemporaryDirectory(prefix="gristmill-build-") as scratch:
        entry = Path(scratch, "entry")
        entry.mkdir()
        (entry / "_gristmill_entry.py").write_text(ENTRY.format(app=app.stem))
        made = Path(scratch, "made.wasm")
        command = [
            _componentize_py(),
            *("--wit-path", str(contract()), "--world", "plugin", "--quiet", "componentize"),
            *("--python-path", str(entry), "--python-path", str(app.resolve().parent)),
            *(option for folder in packages for option in ("--python-path", str(folder))),
            *("--python-path", str(PACKAGE.parent), "_gristmill_entry", "--output", str(made)),
        ]
        done = subprocess.run(
            command, env={**os.environ, "VIRTUAL_ENV": sys.prefix}, text=True, capture_output=True, check=False
        )
        if done.returncode != 0 or not made.is_file():
            said = _essence(done.stderr) or done.stdout.strip() or f"exit code {done.returncode}"
            raise BuildError(f"{app}: componentize-py could not build it:\n{said}")
        target.parent.mkdir(parents=True, exist_ok=True)
        # Moved into place whole: a build that is stopped leaves no half component behind.
        partial = target.with_name(target.name + ".partial")
        shutil.move(made, partial)
        partial.replace(target)


def _essence(stderr: str) -> str:
    """What a person needs of componentize-py's words: the app's traceback, without the tool's own stack."""
    said = stderr.partition("\nCaused by:")[0].partition("\nStack backtrace:")[0]
    return said.rpartition("AssertionError: ")[2].strip()[-4000:]


def _componentize_py() -> str:
    beside = Path(sys.executable).parent / "componentize-py"
    found = str(beside) if beside.is_file() else shutil.which("componentize-py")
    if found is None:
        raise BuildError(f"componentize-py is missing: pip install componentize-py=={COMPONENTIZE_PY}")
    return found
