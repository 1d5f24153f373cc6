"""How long executions live: StopExecution and an exceeded failure threshold end waiting children at once.

ministack only notes the status and lets the states run on, for hours where a task waits for its token.
"""

from __future__ import annotations

import contextvars
import threading
from typing import Any

import ministack.services.stepfunctions as sfn


class Aborted(BaseException):
    """Ends an execution's thread, past every Retry and Catch of the state machine and every `except Exception` on its way."""


class Lifetime:
    """The time in which an execution (or the children of a Map Run) may go on; every wait inside it ends with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = False
        self._waits: set[threading.Event] = set()
        self._cut_short: set[threading.Event] = set()
        self._inner: list[Lifetime] = []

    @property
    def ended(self) -> bool:
        return self._ended

    def inner(self) -> Lifetime:
        """A lifetime that ends with this one, or before."""
        inner = Lifetime()
        with self._lock:
            self._inner.append(inner)
            inner._ended = self._ended
        return inner

    def end(self) -> None:
        with self._lock:
            self._ended = True
            # What has come already counts: an answer that was accepted is not lost.
            self._cut_short |= {event for event in self._waits if not event.is_set()}
            for event in self._cut_short:
                event.set()
        for inner in self._inner:
            inner.end()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Waits for the event: whether it came in time. Raises `Aborted` if the lifetime ends first."""
        with self._lock:
            if self._ended and not event.is_set():
                raise Aborted
            self._waits.add(event)
        came = event.wait(min(seconds, threading.TIMEOUT_MAX))
        with self._lock:
            self._waits.discard(event)
            if event in self._cut_short:
                self._cut_short.discard(event)
                raise Aborted
        return came


# The lifetime that the current thread's states run in.
current: contextvars.ContextVar[Lifetime] = contextvars.ContextVar("lifetime", default=Lifetime())

_of_execution: dict[str, Lifetime] = {}


def install() -> None:
    run_execution, stop_execution, fail_execution = sfn._run_execution, sfn._stop_execution, sfn._fail_execution

    def run(arn: str) -> None:
        _of_execution[arn] = Lifetime()
        current.set(_of_execution[arn])
        try:
            run_execution(arn)
        except Aborted:
            pass
        finally:
            del _of_execution[arn]

    def stop(request: dict[str, Any]) -> Any:
        response = stop_execution(request)
        lifetime = _of_execution.get(request.get("executionArn", ""))
        if lifetime:
            lifetime.end()
        return response

    def fail(execution: dict[str, Any], error: str, cause: str) -> None:
        if execution["status"] != "ABORTED":
            fail_execution(execution, error, cause)

    sfn._run_execution, sfn._stop_execution, sfn._fail_execution = run, stop, fail
    sfn._scaled_sleep = _sleep


def _sleep(seconds: float) -> None:
    """Between retries and in Wait states; `SFN_WAIT_SCALE` in the environment makes it shorter."""
    current.get().wait(threading.Event(), seconds * sfn._SFN_WAIT_SCALE)
