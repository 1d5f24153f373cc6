"""A state's fields as values: literals, reference paths, intrinsic functions and JSONata expressions alike."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import ministack.services.stepfunctions as sfn

Json = Any
Context = dict[str, Any]

# Step Functions' quota on the input or result of a state, in bytes of UTF-8.
MAX_PAYLOAD_BYTES = 256 * 1024


def json_bytes(value: Json) -> int:
    """The size of a value as Step Functions counts it: compact JSON in UTF-8."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def check_payload(value: Json, what: str) -> None:
    size = json_bytes(value)
    if size > MAX_PAYLOAD_BYTES:
        raise sfn._ExecutionError(
            "States.DataLimitExceeded", f"{what} has {size} bytes, the maximum is {MAX_PAYLOAD_BYTES}")


@dataclass(frozen=True)
class Fields:
    """The fields of one state, evaluated in its query language."""

    state: dict[str, Json]
    raw_input: Json
    effective_input: Json
    """The input after InputPath and, of a Task, Parameters; the same as `raw_input` in JSONata."""
    context: Context

    @property
    def is_jsonata(self) -> bool:
        return sfn._state_query_language(self.state, self.context) == "JSONata"

    def evaluate(self, template: Json, **more_context: Json) -> Json:
        """A payload template's value; `more_context` is added to the context object (`$$`, `$states.context`)."""
        context = {**self.context, **more_context}
        if self.is_jsonata:
            return sfn._apply_jsonata_template(template, self.raw_input, context)
        return sfn._resolve_params_obj(template, self.effective_input, context)

    def number(self, name: str) -> float | None:
        """A numeric field: a literal, a JSONata expression, or the path in `<name>Path`. None if the state has none."""
        return self.number_of(self.state, name)

    def number_of(self, part: dict[str, Json], name: str) -> float | None:
        """Like `number`, of an object inside the state, such as its ItemBatcher."""
        if f"{name}Path" in part:
            value = sfn._resolve_path_or_ctx(part[f"{name}Path"], self.effective_input, self.context)
        elif name in part:
            value = sfn._apply_jsonata_template(part[name], self.raw_input, self.context)
        else:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise sfn._ExecutionError("States.Runtime", f"{name} must be a number, but was {json.dumps(value)}")
        return value

    def output(self, result: Json) -> Json:
        """The state's output, from its result."""
        if self.is_jsonata:
            output = sfn._apply_jsonata_output(
                self.state, self.raw_input, self.context, result=result, default=result)
            sfn._apply_state_assign(self.state, self.raw_input, self.context, result=result)
            return output
        selected = sfn._apply_result_selector(self.state, result)
        merged = sfn._apply_result_path(self.state, self.raw_input, selected)
        return sfn._apply_output_path(self.state, merged, self.context)
