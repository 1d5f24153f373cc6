"""Why an item has no result. Raising one of these decides what becomes of the item; any other exception rejects it."""

from __future__ import annotations

import re

CODE = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Failure(Exception):
    """What `Reject` and `Retry` have in common: a code that reports count by, and a sentence for a person."""

    def __init__(self, code: str, message: str) -> None:
        if not CODE.fullmatch(code):
            raise ValueError(f"{code!r} is no failure code: it takes 1 to 64 of A-Z a-z 0-9 . _ -")
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Reject(Failure):
    """The input is bad: the item is reported and never repeated."""


class Retry(Failure):
    """Something outside was not ready: the item is repeated, a bounded number of times."""


class ObjectNotFound(Reject):
    """There is no such object."""

    def __init__(self, message: str) -> None:
        super().__init__("ObjectNotFound", message)


class ObjectDenied(Reject):
    """The dataset file does not grant the object, or the store refused it."""

    def __init__(self, message: str) -> None:
        super().__init__("ObjectDenied", message)


class ObjectInvalid(Reject):
    """A malformed URI, a range past the end, damaged compression."""

    def __init__(self, message: str) -> None:
        super().__init__("ObjectInvalid", message)


class ObjectTooLarge(Reject):
    """More than a limit allows."""

    def __init__(self, message: str) -> None:
        super().__init__("ObjectTooLarge", message)


class ObjectUnavailable(Retry):
    """The store did not answer."""

    def __init__(self, message: str) -> None:
        super().__init__("ObjectUnavailable", message)


class ObjectChanged(Retry):
    """The object was replaced while it was read."""

    def __init__(self, message: str) -> None:
        super().__init__("ObjectChanged", message)


class DatabaseDenied(Reject):
    """The dataset file does not grant the connection, nobody knows it, or the database refused its user."""

    def __init__(self, message: str) -> None:
        super().__init__("DatabaseDenied", message)


class DatabaseInvalid(Reject):
    """A statement that makes no sense there, or a value that no block can hold."""

    def __init__(self, message: str) -> None:
        super().__init__("DatabaseInvalid", message)


class DatabaseTooLarge(Reject):
    """A row with more bytes than a block may have."""

    def __init__(self, message: str) -> None:
        super().__init__("DatabaseTooLarge", message)


class DatabaseUnavailable(Retry):
    """The database did not answer, broke off, or took too long."""

    def __init__(self, message: str) -> None:
        super().__init__("DatabaseUnavailable", message)
