"""What a plugin says of itself: the `plugin` decorator, its outputs and its settings."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .failure import Reject
from .names import nearest

if TYPE_CHECKING:
    from .context import Context

Process = Callable[[Any, "Context"], Any]
ColumnType = Literal["boolean", "int64", "float64", "text", "date", "timestamp", "json"]
COLUMN_TYPES: tuple[ColumnType, ...] = ("boolean", "int64", "float64", "text", "date", "timestamp", "json")


@dataclass(frozen=True)
class Column:
    """One column of an output."""

    name: str
    type: ColumnType
    nullable: bool


@dataclass(frozen=True)
class Output:
    """An output with a sentence for people; a plain dict of columns does where none is needed.

    A column's type is one of `COLUMN_TYPES`; with a question mark (`"int64?"`) rows may leave it out.
    """

    columns: Mapping[str, str]
    description: str = ""


@dataclass(frozen=True)
class Shape:
    """An output as it was declared, checked."""

    name: str
    description: str
    columns: tuple[Column, ...]


class Plugin:
    """A declared plugin. Calling it calls the function itself."""

    def __init__(
        self,
        function: Process,
        name: str,
        version: str,
        description: str,
        outputs: Mapping[str, Mapping[str, str] | Output],
        settings: Mapping[str, Any],
    ) -> None:
        if not re.fullmatch(r"\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?", version):
            raise ValueError(f"plugin {name}: version {version!r} is not of the form 1.2.3 (semver.org)")
        self.function = function
        self.name = name
        self.version = version
        self.description = description
        self.outputs = {key: _shape(key, value) for key, value in outputs.items()}
        self.settings_schema = _settings_schema(settings)

    def __call__(self, item: Any, ctx: Context) -> Any:
        return self.function(item, ctx)

    def __repr__(self) -> str:
        return f"<Plugin {self.name} {self.version}>"

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with their defaults. The host has checked their types; here only the names are."""
        properties = self.settings_schema["properties"]
        for key in given:
            if key not in properties:
                raise Reject("BadSettings", f"settings: unknown key {key}{_hint(key, properties)}")
        for key in self.settings_schema["required"]:
            if key not in given:
                raise Reject("BadSettings", f"settings: {key} is missing and has no default")
        defaults = {key: schema["default"] for key, schema in properties.items() if "default" in schema}
        return {**defaults, **given}


def plugin(
    *,
    name: str,
    version: str,
    outputs: Mapping[str, Mapping[str, str] | Output],
    settings: Mapping[str, Any] | None = None,
    description: str | None = None,
) -> Callable[[Process], Plugin]:
    """Makes a plugin of a function from an item and a context to (optionally) a value for the batch's report.

    `outputs`: for each output its columns and their types, in the order in which they are written.
    `settings`: for each setting its default (`False`, `35.0`, `"x"`), or its JSON Schema as a dict; one without a
    default is required. Unknown settings are refused.
    `description`: a sentence for people; by default the first line of the function's docstring.
    """

    def decorate(function: Process) -> Plugin:
        text = description if description is not None else (function.__doc__ or "").strip().partition("\n")[0]
        return Plugin(function, name, version, text, outputs, settings or {})

    return decorate


def _shape(name: str, output: Mapping[str, str] | Output) -> Shape:
    if not isinstance(output, Output):
        output = Output(output)
    columns = []
    for column, kind in output.columns.items():
        bare = kind.removesuffix("?")
        found = next((known for known in COLUMN_TYPES if known == bare), None)
        if found is None:
            raise ValueError(
                f"output {name}, column {column}: unknown type {kind!r}{_hint(bare, COLUMN_TYPES)}; "
                f"there are {', '.join(COLUMN_TYPES)}"
            )
        columns.append(Column(column, found, nullable=kind.endswith("?")))
    if not columns:
        raise ValueError(f"output {name} has no columns")
    return Shape(name, output.description, tuple(columns))


def _settings_schema(settings: Mapping[str, Any]) -> dict[str, Any]:
    properties = {key: dict(v) if isinstance(v, Mapping) else _schema_of(key, v) for key, v in settings.items()}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": [key for key, schema in properties.items() if "default" not in schema],
        "additionalProperties": False,
    }
    json.dumps(schema, allow_nan=False)  # What is no JSON is found here, not in production.
    return schema


def _schema_of(key: str, default: Any) -> dict[str, Any]:
    # bool before int: True is an int to Python.
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array")):
        if isinstance(default, kind):
            return {"type": name, "default": default}
    raise ValueError(f"setting {key}: give a default (true, 1, 1.0, text, list) or a JSON Schema, not {default!r}")


def _hint(word: str, known: Any) -> str:
    near = nearest(word, known)
    return f" (did you mean {near}?)" if near else ""
