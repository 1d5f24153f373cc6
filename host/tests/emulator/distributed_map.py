"""The Distributed Map: one child execution per batch, all of them ended once too many items have failed.

ministack 1.5.33 knows no ItemBatcher and no ResultWriter, starts at most 64 children at once, runs on after the failure
threshold is exceeded, and shows the children their parent's context.
"""

from __future__ import annotations

import contextvars
import json
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import ministack.services.stepfunctions as sfn

from fields import Fields, Json, check_payload
from lifetime import Aborted, current
from map_items import ChildInput, child_inputs
from map_results import write_results

Record = dict[str, Any]

# Step Functions runs up to 10,000 children at once; each is a thread here.
MAX_CHILDREN_AT_ONCE = 1_000


def install() -> None:
    sfn._run_distributed_map = run_distributed_map


def run_distributed_map(
    state: dict[str, Json], raw_input: Json, effective: Json, processor: dict[str, Json], execution: Record, context: Record,
) -> tuple[Json, str | None]:
    fields = Fields(state, raw_input, effective, context)
    children = child_inputs(fields)
    run = MapRun(fields, processor, execution, children)
    try:
        result = run.run(children)
    finally:
        written = write_results(fields, run.record, run.children)
    if written is None:
        check_payload(result, "the result of the Map state (a ResultWriter takes more)")
    return fields.output(written or result), sfn._next_or_end(state)


class Tolerance:
    """How many items may fail: ToleratedFailureCount and ToleratedFailurePercentage, of which neither may be exceeded."""

    def __init__(self, fields: Fields, total: int) -> None:
        self.count = fields.number("ToleratedFailureCount")
        self.percentage = fields.number("ToleratedFailurePercentage")
        self._total = total

    def is_exceeded_by(self, failed: int) -> bool:
        if self.count is None and self.percentage is None:
            return failed > 0
        by_count = self.count is not None and failed > self.count
        by_percentage = self.percentage is not None and failed * 100 > self.percentage * self._total
        return by_count or by_percentage


class MapRun:
    """One run of a Distributed Map, as DescribeMapRun and ListExecutions report it."""

    def __init__(self, fields: Fields, processor: dict[str, Json], execution: Record, children: list[ChildInput]) -> None:
        self._processor = processor
        self._execution = execution
        self._context = fields.context
        self._max_concurrency = int(fields.number("MaxConcurrency") or 0)
        self._tolerance = Tolerance(fields, sum(child.items for child in children))
        self._lifetime = current.get().inner()
        self._lock = threading.Lock()
        label = fields.state.get("Label") or sfn.new_uuid()
        # "arn:aws:states:REGION:ACCOUNT:KIND:MACHINE/LABEL", of the machine, the run and the executions of the children.
        self._arns = {
            kind: execution["stateMachineArn"].replace(":stateMachine:", f":{kind}:") + f"/{label}"
            for kind in ("stateMachine", "mapRun", "execution")
        }
        self.children: list[Record] = []
        self.record = self._new_record(children)
        sfn._map_runs[self.record["mapRunArn"]] = self.record

    def run(self, children: list[ChildInput]) -> list[Json]:
        """The children's outputs, in the order of their items; null where a tolerated child failed."""
        workers = min(self._max_concurrency or MAX_CHILDREN_AT_ONCE, MAX_CHILDREN_AT_ONCE, max(len(children), 1))
        with ThreadPoolExecutor(workers) as pool:
            # Threads do not inherit context variables, which hold the account, the region and the lifetime.
            futures = [pool.submit(contextvars.copy_context().run, self._run_child, child) for child in children]
            wait(futures)
        exceeded = self._threshold_exceeded()
        stopped = self._lifetime.ended and not exceeded
        self.record["status"] = "FAILED" if exceeded else "ABORTED" if stopped else "SUCCEEDED"
        self.record["stopDate"] = sfn.now_iso()
        if exceeded:
            raise sfn._ExecutionError(
                "States.ExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded")
        if stopped:
            raise Aborted
        return [future.result() for future in futures]

    def _run_child(self, child: ChildInput) -> Json:
        if self._lifetime.ended:
            self._count("pending", "aborted", child.items)
            return None
        current.set(self._lifetime)
        execution, context = self._new_child(child)
        self._count("pending", "running", child.items)
        output, fate = None, "succeeded"
        try:
            output = sfn._run_sub_machine(
                self._processor["States"], self._processor["StartAt"], child.input, execution, context)
            execution["output"] = json.dumps(output)
        except Aborted:
            fate = "aborted"
        except Exception as error:
            failure = error if isinstance(error, sfn._ExecutionError) else sfn._ExecutionError("States.Runtime", str(error))
            execution.update(error=failure.error, cause=failure.cause)
            fate = "failed"
        execution.update(status=fate.upper(), stopDate=sfn.now_iso())
        self._count("running", fate, child.items)
        if self._threshold_exceeded():
            self._lifetime.end()
        return output

    def _new_child(self, child: ChildInput) -> tuple[Record, Record]:
        """The record of a child execution, and the context object that its states see."""
        name = sfn.new_uuid()
        execution = {
            "executionArn": f"{self._arns['execution']}:{name}",
            "stateMachineArn": self._arns["stateMachine"],
            "mapRunArn": self.record["mapRunArn"],
            "name": name,
            "status": "RUNNING",
            "startDate": sfn.now_iso(),
            "stopDate": None,
            "input": json.dumps(child.input),
            "inputDetails": {"included": True},
            "output": None,
            "outputDetails": {"included": True},
            "events": [],
        }
        context = {
            "QueryLanguage": self._context.get("QueryLanguage", "JSONPath"),
            "Execution": {
                "Id": execution["executionArn"], "Input": child.input, "Name": name, "StartTime": execution["startDate"]},
            "StateMachine": {"Id": execution["stateMachineArn"], "Name": self._arns["stateMachine"].split(":")[-1]},
            "variables": {},
        }
        sfn._executions[execution["executionArn"]] = execution
        with self._lock:
            self.children.append(execution)
        return execution, context

    def _count(self, before: str, after: str, items: int) -> None:
        """Moves a child from one state to another, and all its items with it: they share its fate."""
        with self._lock:
            for counts, number in ((self.record["itemCounts"], items), (self.record["executionCounts"], 1)):
                counts[before] -= number
                counts[after] += number

    def _threshold_exceeded(self) -> bool:
        return self._tolerance.is_exceeded_by(self.record["itemCounts"]["failed"])

    def _new_record(self, children: list[ChildInput]) -> Record:
        return {
            "mapRunArn": f"{self._arns['mapRun']}:{sfn.new_uuid()}",
            "executionArn": self._execution["executionArn"],
            "_stateMachineArn": self._arns["stateMachine"],
            "status": "RUNNING",
            "startDate": sfn.now_iso(),
            "maxConcurrency": self._max_concurrency,
            "toleratedFailureCount": int(self._tolerance.count or 0),
            "toleratedFailurePercentage": float(self._tolerance.percentage or 0),
            "itemCounts": _counts(sum(child.items for child in children)),
            "executionCounts": _counts(len(children)),
            "redriveCount": 0,
        }


def _counts(total: int) -> dict[str, int]:
    names = ("running", "succeeded", "failed", "timedOut", "aborted", "resultsWritten", "failuresNotRedrivable", "pendingRedrive")
    return {"total": total, "pending": total, **dict.fromkeys(names, 0)}
