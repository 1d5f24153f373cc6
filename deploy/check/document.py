"""What deploy/README.md says to type, by heading."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def commands() -> dict[str, str]:
    """The `sh` blocks below each heading, as one script."""
    scripts: dict[str, str] = {}
    heading, in_block = "", False
    for line in README.read_text().splitlines():
        if line.startswith("```"):
            in_block = line == "```sh"
        elif in_block:
            scripts[heading] = scripts.get(heading, "") + line + "\n"
        elif line.startswith("#"):
            heading = line.lstrip("# ")
    return scripts
