"""Tasks that wait for their token: heartbeats, time-outs, a fresh token per attempt, and the errors of SendTask*.

ministack 1.5.33 ignores HeartbeatSeconds, keeps one token for all attempts of a task, and answers `TaskDoesNotExist`
to whatever it does not know. In Step Functions a task that is over answers `TaskTimedOut` to its old token, which is how
a worker learns that its work is wanted no longer.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import ministack.services.stepfunctions as sfn

from error_names import TIMEOUTS
from fields import Fields, Json, check_payload
from lifetime import current

# What Step Functions waits when a state sets no TimeoutSeconds, or no HeartbeatSeconds.
FOREVER_SECONDS = 99_999_999.0

# The lengths that the API accepts, in characters.
MAX_OUTPUT, MAX_ERROR, MAX_CAUSE = 262_144, 256, 32_768

# Tokens of tasks that are over. The lock makes "over" and "answered" exclude each other.
_over: set[str] = set()
_lock = threading.Lock()

Handler = Callable[[dict[str, Any]], Any]


def install() -> None:
    execute_task = sfn._execute_task

    def execute(state: dict[str, Json], raw_input: Json, execution: dict[str, Any], context: dict[str, Any]) -> Any:
        if ".waitForTaskToken" in state.get("Resource", ""):
            return _execute_callback_task(state, raw_input, execution, context)
        return execute_task(state, raw_input, execution, context)

    sfn._execute_task = execute
    sfn._send_task_success = _checked(sfn._send_task_success, _invalid_success)
    sfn._send_task_failure = _checked(sfn._send_task_failure, _invalid_failure)
    sfn._send_task_heartbeat = _checked(_heartbeat, lambda request: None)


# --- the state ---------------------------------------------------------------------------------------------------------


def _execute_callback_task(state: dict[str, Json], raw_input: Json, execution: dict[str, Any], context: dict[str, Any]) -> Any:
    def attempt() -> tuple[Json, str | None]:
        token = sfn.new_uuid()
        context["Task"] = {"Token": token}
        fields = Fields(state, raw_input, sfn._apply_input_path(state, raw_input, context), context)
        arguments = _arguments(fields)
        check_payload(arguments, "the input of the task")
        return fields.output(_call(fields, execution, token, arguments)), sfn._next_or_end(state)

    return sfn._with_retry_and_catch(state, raw_input, context, attempt)


def _arguments(fields: Fields) -> Json:
    if fields.is_jsonata:
        return sfn._apply_jsonata_arguments(fields.state, fields.raw_input, fields.context)
    return sfn._apply_parameters(fields.state, fields.effective_input, fields.context)


def _call(fields: Fields, execution: dict[str, Any], token: str, arguments: Json) -> Json:
    """Calls the service and waits for the answer to the token; the execution's history says how it went."""
    resource = fields.state["Resource"]
    sfn._add_event(execution, "TaskScheduled", {"taskScheduledEventDetails": {"resourceType": "states", "resource": resource}})
    try:
        result = _send_and_wait(fields, token, resource.replace(".waitForTaskToken", ""), arguments)
    except sfn._ExecutionError as error:
        kind = "TaskTimedOut" if error.error in TIMEOUTS else "TaskFailed"
        details = {"resource": resource, "error": error.error, "cause": error.cause}
        sfn._add_event(execution, kind, {f"{kind[0].lower()}{kind[1:]}EventDetails": details})
        raise
    details = {"resource": resource, "output": json.dumps(result)}
    sfn._add_event(execution, "TaskSucceeded", {"taskSucceededEventDetails": details})
    return result


def _send_and_wait(fields: Fields, token: str, resource: str, arguments: Json) -> Json:
    timeout = fields.number("TimeoutSeconds") or FOREVER_SECONDS
    heartbeat = fields.number("HeartbeatSeconds") or FOREVER_SECONDS
    task: dict[str, Any] = {"event": threading.Event(), "result": None, "error": None, "heard_at": time.monotonic()}
    sfn._task_tokens[token] = task
    try:
        sfn._invoke_resource(resource, arguments)
        _wait(token, task, timeout, heartbeat)
    finally:
        with _lock:
            _over.add(token)
        sfn._task_tokens.pop(token, None)
    if task["error"]:
        raise sfn._ExecutionError(task["error"]["Error"], task["error"]["Cause"])
    return json.loads(task["result"])


def _wait(token: str, task: dict[str, Any], timeout: float, heartbeat: float) -> None:
    """Waits for an answer, no longer than `timeout` seconds in all and `heartbeat` seconds without a sign of life."""
    deadline = time.monotonic() + timeout
    while True:
        silent_until = task["heard_at"] + heartbeat
        if current.get().wait(task["event"], min(deadline, silent_until) - time.monotonic()):
            return
        # The wait ended with the earlier of the two limits; a heartbeat may have moved the second one meanwhile.
        now = time.monotonic()
        if now >= deadline and _end(token, task):
            raise sfn._ExecutionError("States.Timeout", f"no answer in {timeout:g} seconds")
        if now >= task["heard_at"] + heartbeat and _end(token, task):
            raise sfn._ExecutionError("States.HeartbeatTimeout", f"no heartbeat for {heartbeat:g} seconds")


def _end(token: str, task: dict[str, Any]) -> bool:
    """Declares the task over, unless its answer came at the last moment."""
    with _lock:
        if not task["event"].is_set():
            _over.add(token)
        return token in _over


# --- the API -----------------------------------------------------------------------------------------------------------


def _checked(handler: Handler, invalid: Handler) -> Handler:
    """The handler, behind the checks that Step Functions makes on the token and on the request."""

    def checked(request: dict[str, Any]) -> Any:
        token = request.get("taskToken")
        with _lock:
            task = sfn._task_tokens.get(token)
            if token in _over or (task and task["event"].is_set()):
                return _error("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
            if not task:
                return _error("InvalidToken", "Invalid Token: 'Invalid token'")
            return invalid(request) or handler(request)

    return checked


def _heartbeat(request: dict[str, Any]) -> Any:
    sfn._task_tokens[request["taskToken"]]["heard_at"] = time.monotonic()
    return sfn.json_response({})


def _invalid_success(request: dict[str, Any]) -> Any:
    output = request.get("output", "")
    if len(output) > MAX_OUTPUT:
        return _too_long("output", MAX_OUTPUT)
    try:
        json.loads(output)
    except ValueError as error:
        return _error("InvalidOutput", f"Invalid Output: '{error}'")
    return None


def _invalid_failure(request: dict[str, Any]) -> Any:
    if len(request.get("error") or "") > MAX_ERROR:
        return _too_long("error", MAX_ERROR)
    if len(request.get("cause") or "") > MAX_CAUSE:
        return _too_long("cause", MAX_CAUSE)
    return None


def _too_long(member: str, maximum: int) -> Any:
    return _error(
        "ValidationException",
        f"1 validation error detected: Value at '{member}' failed to satisfy constraint: "
        f"Member must have length less than or equal to {maximum}")


def _error(code: str, message: str) -> Any:
    return sfn.error_response_json(code, message, 400)
