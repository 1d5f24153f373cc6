"""The packages that a plugin brings along: installed for it alone, and only if they are pure Python."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from .build import BuildError
from .imports import instead

PYTHON = "3.14"
"""The Python in a component, for which packages are chosen."""

_MODULES = {"scikit-learn": "sklearn", "pyyaml": "yaml", "pillow": "PIL", "opencv-python": "cv2", "psycopg2-binary": "psycopg2"}


def install(requirements: Path, into: Path) -> None:
    """Installs what a requirements.txt names into a folder of its own. What needs compiled parts is refused by its name."""
    for number, line in enumerate(requirements.read_text().splitlines(), 1):
        name = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", line)
        if name and (other := instead(_MODULES.get(name[1].lower(), name[1]))):
            raise BuildError(f"{requirements.name}:{number}: {name[1]} cannot work in the sandbox: {other}")
    partial = into.with_name(into.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    # Nothing but wheels that run on any machine.
    command += ["--only-binary", ":all:", "--platform", "any", "--implementation", "py", "--abi", "none"]
    command += ["--python-version", PYTHON, "--target", str(partial), "--requirement", str(requirements)]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        raise BuildError(_refusal(requirements, done.stderr))
    shutil.rmtree(into, ignore_errors=True)
    partial.replace(into)


def _refusal(requirements: Path, said: str) -> str:
    found = re.search(r"No matching distribution found for (\S+)", said)
    if found and "NewConnectionError" not in said:
        return (
            f"{requirements.name}: {found[1]} is not there as pure Python, and nothing else runs in the sandbox: it has compiled "
            "parts, or no wheel, or no such version"
        )
    last = next((line for line in reversed(said.splitlines()) if line.startswith("ERROR:")), said.strip())
    return f"{requirements.name}: pip could not install it: {last.removeprefix('ERROR: ')}"
