"""One call of a plugin, the same in the component and at the desk: JSON in, rows out, a JSON value or a failure."""

from __future__ import annotations

import json
import logging
import os.path
import re
import traceback
from typing import Any

from .context import Context
from .failure import Failure, Reject
from .host import Host
from .plugin import Plugin

FRAMES = 5
"""Frames of a traceback in the log: the place and how the code came there, within the host's bound for a line."""

PACKAGE = os.path.join(os.path.dirname(__file__), "")
"""This package's own folder. A plugin may lie in a folder of any name, `gristmill` too."""


def call(
    plugin: Plugin, host: Host, *, dataset: str, batch_input: str, settings: str, index: int, body: str
) -> str | None:
    """Calls `process`. Whatever the plugin raises comes out as it is; `verdict` makes a failure of it."""
    ctx = Context(
        plugin,
        host,
        dataset=dataset,
        batch_input=json.loads(batch_input),
        settings=json.loads(settings),
        index=index,
    )
    value: Any = plugin(json.loads(body), ctx)
    ctx.flush()
    if value is None:
        return None
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise Reject("BadReport", f"what process returned is no JSON: {error}") from None


def verdict(error: BaseException) -> Failure:
    """The failure that an exception means. One that is none of ours is a bug or bad data: never worth a repetition."""
    if isinstance(error, Failure):
        return error
    name = type(error).__name__
    places = _places(error)
    logging.getLogger("gristmill").error("%s: %s at %s", name, error, ", called by ".join(places))
    # Imports run once, when the component is built. Later there are no files to import from.
    hint = ": import it at the top of the module" if isinstance(error, ImportError) else ""
    return Reject(re.sub(r"[^A-Za-z0-9._-]", "_", name)[:64], f"{str(error) or name}{hint} (at {places[0]})")


def _places(error: BaseException) -> list[str]:
    """A short traceback, innermost first, without this package and the build's folders: `app.py:12 in process`."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(PACKAGE)]
    places = [f"{f.filename.rpartition('/')[2]}:{f.lineno} in {f.name}" for f in reversed(frames[-FRAMES:])]
    return places or ["an unknown place"]
