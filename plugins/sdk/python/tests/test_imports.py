"""What a plugin imports is looked at before a build."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill.build import BuildError
from gristmill.imports import problems
from gristmill.requirements import install


def found(folder: Path, text: str, **others: str) -> list[str]:
    for name, content in {"app": text, **others}.items():
        (folder / f"{name}.py").write_text(content)
    return problems(folder / "app.py")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import json, csv\nfrom gristmill import plugin\n", None),
        ("import numpy as np\n", "app.py:1: `import numpy` cannot work in the sandbox: `math`, `statistics`"),
        ("import os\n\nimport pandas.io\n", "app.py:3: `import pandas.io` cannot work in the sandbox: `ctx.table("),
        ("from pyarrow import parquet\n", "`ctx.table` reads Parquet"),
        ("import boto3\n", "`ctx.open(uri)` gets an object"),
        ("def process(item, ctx):\n    import requests\n", "app.py:2: `import requests` cannot work in the sandbox: there is no network"),
        ("from http import client\n", "`import http.client` cannot work"),
        ("from http import HTTPStatus\n", None),
        ("from urllib.parse import quote\n", None),
        ("import bz2\n", "`ctx.open` decompresses"),
        ("import nosuchpackage.x\n", "there is no module `nosuchpackage`: name its package in requirements.txt"),
        ("try:\n    import orjson as json\nexcept ImportError:\n    import json\n", None),
        ("try:\n    import orjson as json\nexcept ValueError:\n    pass\n", "`import orjson` cannot work"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas\n", None),
        ("from . import other\n", None),
        ("def broken(:\n", "app.py:1: invalid syntax"),
    ],
)
def test_what_cannot_work_is_named_with_its_place_and_what_there_is_instead(tmp_path: Path, text: str, says: str | None) -> None:
    problems = found(tmp_path, text)
    assert len(problems) == (says is not None)
    assert says is None or says in problems[0], problems


def test_modules_beside_the_app_are_looked_at_once(tmp_path: Path) -> None:
    assert found(tmp_path, "import one\nfrom two import x\n", one="import two\n", two="import one, ssl\n") == [
        "two.py:1: `import ssl` cannot work in the sandbox: there is no network: what an item needs has to be in the item, in "
        "`[settings]`, or in an object that `[grants]` cover"
    ]


def test_a_package_that_came_along_has_no_compiled_parts(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import pure, compiled\n")
    packages = tmp_path / "packages"
    for name, file in (("pure", "__init__.py"), ("compiled", "fast.cpython-311.so")):
        (packages / name).mkdir(parents=True)
        (packages / name / file).touch()
    assert problems(tmp_path / "app.py", [packages]) == [
        "app.py:1: `import compiled` cannot work in the sandbox: it has compiled parts (fast.cpython-311.so)"
    ]


def test_a_requirement_that_cannot_work_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("# ours\nattrs==25.1.0\nscikit-learn>=1\n")
    with pytest.raises(BuildError, match=r"requirements.txt:3: scikit-learn cannot work in the sandbox: `math`"):
        install(file, tmp_path / "packages")
