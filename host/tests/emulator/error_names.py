"""Which errors a Retry or a Catch matches, where ministack 1.5.33 is more generous than Step Functions, or less.

* `States.Timeout` covers `States.HeartbeatTimeout`, which came later and is the narrower name.
* `States.TaskFailed` covers everything but time-outs.
* `States.ALL` covers neither `States.DataLimitExceeded` nor `States.Runtime`: these end the execution.

https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""

from __future__ import annotations

import ministack.services.stepfunctions as sfn

TIMEOUTS = ("States.Timeout", "States.HeartbeatTimeout")
TERMINAL = ("States.DataLimitExceeded", "States.Runtime")


def install() -> None:
    sfn._error_matches = matches


def matches(error_equals: list[str], error: str) -> bool:
    """Whether an `ErrorEquals` names the error, itself or by a wildcard."""
    return (
        error in error_equals
        or ("States.Timeout" in error_equals and error in TIMEOUTS)
        or ("States.TaskFailed" in error_equals and error not in TIMEOUTS + TERMINAL)
        or ("States.ALL" in error_equals and error not in TERMINAL)
    )
