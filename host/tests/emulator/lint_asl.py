#!/usr/bin/env python3
"""Holds state machines against two linters of the Amazon States Language that nobody of this project wrote.

    target/venv-emulator/bin/python host/tests/emulator/lint_asl.py FILE...

Exit code 0 if both accept every file; else each finding is a line on stdout, and the exit code is 1. They complement one
another: asl-validator (Node.js) knows the fields of a state, `Label` among them, and follows the transitions; statelint
(Python) looks inside ItemReader, ItemBatcher, Retry and Catch. `setup.sh` installs both, side by side.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from statelint.linter import Linter

# The venv that runs this script lies beside the Node.js linter.
ASL_VALIDATOR = Path(sys.prefix).parent / "node-linters" / "node_modules" / ".bin" / "asl-validator"


def main(files: list[str]) -> int:
    if not files:
        sys.exit("usage: lint_asl.py FILE...")
    problems = [f"{file}: {problem}" for file in files for problem in findings(Path(file))]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def findings(file: Path) -> list[str]:
    try:
        definition = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        return [f"no state machine: {error}"]
    if not isinstance(definition, dict):
        return ["no state machine: not a JSON object"]
    return [*asl_validator(file), *statelint(definition)]


def asl_validator(file: Path) -> list[str]:
    ran = subprocess.run([ASL_VALIDATOR, "--json-path", file], capture_output=True, text=True, check=False)
    if ran.returncode == 0:
        return []
    lines = (ran.stdout + ran.stderr).splitlines()
    return [f"asl-validator: {line.strip()}" for line in lines if line.strip()] or ["asl-validator: failed in silence"]


# What Step Functions documents for `ReaderConfig` and the specification leaves to the service: statelint does not know it.
READER_FIELDS = ["InputType", "CSVDelimiter", "CSVHeaderLocation", "CSVHeaders", "ItemsPointer", "ManifestType"]


def statelint(definition: dict[str, Any]) -> list[str]:
    """statelint's findings, but for fields that are Step Functions' own. `Label` is known to asl-validator; the fields of a
    reader stay if they are misspelt, and are found then."""
    for state in states(definition):
        if state.get("Type") == "Map":
            state.pop("Label", None)
            reader = (state.get("ItemReader") or {}).get("ReaderConfig") or {}
            for field in READER_FIELDS:
                reader.pop(field, None)
            if reader == {}:
                (state.get("ItemReader") or {}).pop("ReaderConfig", None)
    return [f"statelint: {problem}" for problem in Linter.validate(definition)]


def states(machine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All states of a machine, those inside Map and Parallel states too."""
    named = machine.get("States")
    for state in named.values() if isinstance(named, dict) else ():
        if isinstance(state, dict):
            yield state
            processors = [state.get("ItemProcessor"), state.get("Iterator"), *(state.get("Branches") or [])]
            for inner in processors:
                if isinstance(inner, dict):
                    yield from states(inner)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
