"""Puts the contract into the archives that are built here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ContractHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        # In the repository the contract lies three folders up; an unpacked source archive has its own copy.
        wit = next((d for d in (root / "wit", root / "../../../wit") if (d / "plugin.wit").is_file()), None)
        if wit is None:
            raise FileNotFoundError(f"the contract (plugin.wit) is neither in {root}/wit nor in the repository's wit/")
        target = "gristmill/wit" if self.target_name == "wheel" else "wit"
        build_data["force_include"][str(wit.resolve())] = target
