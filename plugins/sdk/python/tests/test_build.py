"""The command: what keeps a component from being built is said in one line. (The host's tests run built ones.)"""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill import build
from gristmill.__main__ import main


def test_the_contract_is_found() -> None:
    assert "package gristmill:plugin@0.1.0;" in Path(build.contract(), "plugin.wit").read_text()


def test_what_cannot_be_built_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = tmp_path / "my-app.py"
    odd.touch()
    for app, said in ((tmp_path / "none.py", "there is no such file"), (odd, "not a Python module")):
        assert main(["build", str(app)]) == 1
        assert said in capsys.readouterr().err


def test_what_componentize_py_says_is_passed_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\nprintf 'AssertionError: no such module\\n\\nCaused by:\\n  a long story' >&2\nexit 3\n")
    tool.chmod(0o755)
    monkeypatch.setattr(build, "_componentize_py", lambda: str(tool))
    app = tmp_path / "app.py"
    app.touch()
    assert main(["build", str(app)]) == 1
    assert capsys.readouterr().err == f"error: {app}: componentize-py could not build it:\nno such module\n"
    assert not app.with_suffix(".wasm").exists()


def test_the_pinned_versions_agree() -> None:
    root = Path(build.PACKAGE).parents[1]
    pin = f"componentize-py=={build.COMPONENTIZE_PY}"
    assert pin in (root / "requirements.txt").read_text().splitlines()
    assert f'"{pin}"' in (root / "pyproject.toml").read_text()
