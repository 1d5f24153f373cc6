"""One call of a plugin, the same in the component and at the desk: JSON in, rows out, a JSON value or a failure."""

from __future__ import annotations

import json
import logging
import re
import traceback
from typing import Any

from .context import Context
from .failure import Failure, Reject
from .host import Host
from .plugin import Plugin

FRAMES = 5
"""Frames of a traceback in the log: the place and how the code came there, within the host's bound for a line."""


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
        raise Reject("BadResult", f"what process returned is no JSON: {error}") from None


def verdict(error: BaseException) -> Failure:
    """The failure that an exception means. One that is none of ours is a bug or bad data: never worth a repetition."""
    if isinstance(error, Failure):
        return error
    logging.getLogger("gristmill").error("%s", short_traceback(error))
    code = re.sub(r"[^A-Za-z0-9._-]", "_", type(error).__name__)[:64]
    return Reject(code, str(error) or "(no message); the item's log has the traceback")


def short_traceback(error: BaseException) -> str:
    """The last frames outside this package, without the build's folders: `app.py:12 in process`."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/gristmill/" not in f.filename]
    places = [f"{f.filename.rpartition('/')[2]}:{f.lineno} in {f.name}" for f in frames[-FRAMES:]]
    return f"{type(error).__name__}: {error} at {', called by '.join(reversed(places)) or 'an unknown place'}"
