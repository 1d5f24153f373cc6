"""Names in messages: what was found, and what was probably meant."""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: object, known: Iterable[str]) -> str | None:
    """The known name that is most like the word, whatever the case; none if there is nothing like it."""
    by_fold = {name.casefold(): name for name in known}
    return next((by_fold[found] for found in get_close_matches(str(word).casefold(), by_fold, 1)), None)


def quoted(text: str) -> str:
    """A text as a message shows it, in the Rust SDK's form: in double quotes, at most the first 80 characters."""
    return json.dumps(text if len(text) <= 80 else f"{text[:80]}...", ensure_ascii=False)
