#!/usr/bin/env python3
"""Holds the templates, policies, rules and the dashboard of deploy/ against checkers that nobody of this project wrote.

    target/venv-emulator/bin/python deploy/check/check.py

A line for each checker: what it found, or how long it took. The exit code is 0 if none found anything. `setup.sh` installs
them; cfn-lint comes with the emulator's second opinion.
"""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[1]
CHECK = DEPLOY / "check"
TARGET = Path(sys.prefix).parent
TEMPLATES = sorted(
    file.name for file in DEPLOY.glob("*.yaml")
    if file.name != "packaged.yaml" and file.read_text().startswith("AWSTemplateFormatVersion"))

# By name: the command, in the folder deploy/.
CHECKERS: dict[str, list[object]] = {
    "cfn-lint": [TARGET / "venv-moto/bin/cfn-lint", *TEMPLATES],
    "checkov": [
        TARGET / "venv-deploy/bin/checkov", "--config-file", CHECK / "checkov.yaml",
        *(word for file in [*TEMPLATES, "keda.yaml"] for word in ("-f", file)),
    ],
    "parliament": [TARGET / "venv-deploy/bin/python", "-W", "ignore", CHECK / "policies.py"],
    "promtool check": [TARGET / "prometheus/usr/bin/promtool", "check", "rules", "prometheus/rules.yaml"],
    "promtool test": [TARGET / "prometheus/usr/bin/promtool", "test", "rules", "prometheus/tests.yaml"],
}


def run(name: str) -> bool:
    began = time.monotonic()
    ran = subprocess.run([str(word) for word in CHECKERS[name]], cwd=DEPLOY, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if ran.returncode == 0:
        print(f"deploy-check: {name}: nothing to complain about ({seconds:.1f} s)", flush=True)
        return True
    print(f"deploy-check: {name}: exit code {ran.returncode}\n{ran.stdout}{ran.stderr}", flush=True)
    return False


def main() -> int:
    assert len(TEMPLATES) >= 5, TEMPLATES
    with ThreadPoolExecutor(2) as pool:
        # The longest first.
        passed = list(pool.map(run, sorted(CHECKERS, key=lambda name: name != "checkov")))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
