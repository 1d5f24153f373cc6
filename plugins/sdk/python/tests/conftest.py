"""The contract's generated bindings, so that the component's side is tested in ordinary Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gristmill.build import contract


@pytest.fixture(scope="session")
def component(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """`gristmill.component` over the bindings that componentize-py makes of the contract."""
    folder = tmp_path_factory.mktemp("bindings")
    tool = Path(sys.executable).parent / "componentize-py"
    subprocess.run([tool, "-d", contract(), "-w", "plugin", "--quiet", "bindings", folder], check=True)
    sys.path.append(str(folder))
    from gristmill import component

    return component
