"""CloudFormation templates as Python values: read with their tags, and resolved as far as names go."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[1]

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Region": "eu-west-1",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags as their long forms."""


def _long(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _long)


def read(file: Path) -> dict[str, Any]:
    return yaml.load(file.read_text(), _Loader)


class Resolved:
    """A template's resources with given parameters. Every condition holds, so that nothing is left out."""

    def __init__(self, template: dict[str, Any], **parameters: str) -> None:
        specs = template["Parameters"]
        given = {name: parameters.get(name, spec.get("Default", "")) for name, spec in specs.items()}
        numbers = {name: float(given[name]) for name, spec in specs.items() if spec["Type"] == "Number"}
        self._values: dict[str, Any] = PSEUDO | given | {
            name: int(value) if value.is_integer() else value for name, value in numbers.items()}
        self._resources = template["Resources"]
        self._mappings = template.get("Mappings", {})

    def properties(self, kind: str) -> dict[str, dict[str, Any]]:
        """The properties of the resources of a type, by their logical names."""
        return {
            name: self.value(resource.get("Properties", {}))
            for name, resource in self._resources.items() if resource["Type"] == kind
        }

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [value for value in map(self.value, node) if value is not None]
        if not isinstance(node, dict):
            return node
        match list(node.items()):
            case [("Ref", name)]:
                return None if name == "AWS::NoValue" else self._values.get(name, f"ref-of-{name}")
            case [("Fn::Sub", [text, more])]:
                return self._substituted(text, {name: self.value(value) for name, value in more.items()})
            case [("Fn::Sub", text)]:
                return self._substituted(text, {})
            case [("Fn::GetAtt", [name, _])]:
                return self._arn(name)
            case [("Fn::If", [_, then, _])]:
                return self.value(then)
            case [("Fn::FindInMap", [name, *keys])]:
                found = self._mappings[name]
                for key in keys:
                    found = found[self.value(key)]
                return found
            case [("Fn::ImportValue", value)]:
                return self.value(value)
        values = ((name, self.value(value)) for name, value in node.items())
        return {name: value for name, value in values if value is not None}

    def _substituted(self, text: str, more: dict[str, str]) -> str:
        def of(found: re.Match[str]) -> str:
            name = found[1]
            if name in more:
                return more[name]
            if name.endswith(".Arn"):
                return self._arn(name.removesuffix(".Arn"))
            return str(self._values.get(name) or f"ref-of-{name}")

        return re.sub(r"\$\{([^}]+)\}", of, text)

    def _arn(self, name: str) -> str:
        """An ARN of the right form, which is what a policy is checked by."""
        account, region = PSEUDO["AWS::AccountId"], PSEUDO["AWS::Region"]
        kind = self._resources[name]["Type"]
        forms = {
            "AWS::SQS::Queue": f"sqs:{region}:{account}:{name}",
            "AWS::S3::Bucket": f"s3:::{name.lower()}",
            "AWS::Logs::LogGroup": f"logs:{region}:{account}:log-group:{name}:*",
            "AWS::IAM::Role": f"iam::{account}:role/{name}",
        }
        return f"arn:aws:{forms[kind]}"
