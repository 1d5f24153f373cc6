"""What a Distributed Map works on: items read and selected, then batched into the inputs of its child executions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import ministack.services.stepfunctions as sfn

from fields import MAX_PAYLOAD_BYTES, Fields, Json, check_payload, json_bytes


@dataclass(frozen=True)
class ChildInput:
    """The input of one child execution, and the number of items in it."""

    input: Json
    items: int


def child_inputs(fields: Fields) -> list[ChildInput]:
    items = select(fields, read(fields))
    batcher = fields.state.get("ItemBatcher")
    inputs = [ChildInput(item, 1) for item in items] if batcher is None else list(_batched(fields, batcher, items))
    for child in inputs:
        check_payload(child.input, "the input of a child execution")
    return inputs


def read(fields: Fields) -> list[Json]:
    """The items, from the ItemReader or from the state's input."""
    reader = fields.state.get("ItemReader")
    if reader is not None:
        # ministack evaluates neither JSONata nor the reader's configuration.
        arguments = fields.evaluate(reader.get("Arguments") or reader.get("Parameters") or {})
        config = dict(reader.get("ReaderConfig") or {})
        maximum = fields.number_of(config, "MaxItems")
        config.pop("MaxItemsPath", None)
        if maximum is not None:
            config["MaxItems"] = int(maximum)
        plain = {"Resource": reader.get("Resource", ""), "Parameters": arguments, "ReaderConfig": config}
        items = sfn._read_map_items(plain, fields.effective_input, fields.context)
    elif "Items" in fields.state:
        items = fields.evaluate(fields.state["Items"])
    else:
        items = sfn._resolve_path_or_ctx(fields.state.get("ItemsPath", "$"), fields.effective_input, fields.context)
    if not isinstance(items, list):
        raise sfn._ExecutionError("States.Runtime", "The items of a Map state must be an array")
    return items


def select(fields: Fields, items: list[Json]) -> list[Json]:
    selector = fields.state.get("ItemSelector") or fields.state.get("Parameters")
    if selector is None:
        return items
    return [
        fields.evaluate(selector, Map={"Item": {"Index": index, "Value": item}})
        for index, item in enumerate(items)
    ]


def _batched(fields: Fields, batcher: dict[str, Json], items: list[Json]) -> Iterator[ChildInput]:
    max_items = fields.number_of(batcher, "MaxItemsPerBatch")
    max_bytes = fields.number_of(batcher, "MaxInputBytesPerBatch")
    if max_items is None and max_bytes is None:
        raise sfn._ExecutionError("States.Runtime", "ItemBatcher needs MaxItemsPerBatch or MaxInputBytesPerBatch")
    shared = {"BatchInput": fields.evaluate(batcher["BatchInput"])} if "BatchInput" in batcher else {}
    limits = int(max_items or len(items)), int(max_bytes or MAX_PAYLOAD_BYTES)
    for batch in batches(items, *limits, overhead=json_bytes({**shared, "Items": []})):
        yield ChildInput({**shared, "Items": batch}, len(batch))


def batches(items: list[Json], max_items: int, max_bytes: int, overhead: int) -> Iterator[list[Json]]:
    """Consecutive items, as many to a batch as fit: `overhead` bytes of JSON around them, a comma between two.

    An item too large for `max_bytes` makes a batch of its own.
    """
    batch: list[Json] = []
    size = overhead
    for item in items:
        more = json_bytes(item) + (1 if batch else 0)
        if batch and (len(batch) == max_items or size + more > max_bytes):
            yield batch
            batch, size, more = [], overhead, json_bytes(item)
        batch.append(item)
        size += more
    if batch:
        yield batch
