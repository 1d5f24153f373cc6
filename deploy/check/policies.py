"""Holds the templates' policies against parliament: unknown actions, resources that an action does not know, stars."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any

from template import FOLDER, Resolved, read

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of a module that is about to leave setuptools
    import parliament

# What an identity may do, and what a resource allows. parliament's data on resources is that of identity policies.
IDENTITY = ("AWS::IAM::Role", "AWS::IAM::Policy")

# parliament's data knows this action for express executions only; the children of a Distributed Map are standard ones.
GAPS = ["states:DescribeExecution"]


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted(FOLDER.glob("*.yaml")):
        template = read_template(file)
        if template is None:
            continue
        resolved = Resolved(template)
        for kind in IDENTITY:
            for name, properties in resolved.properties(kind).items():
                if "PolicyDocument" in properties:
                    yield f"{file.name} {name}", properties["PolicyDocument"]
                for policy in properties.get("Policies", []):
                    yield f"{file.name} {name} {policy['PolicyName']}", policy["PolicyDocument"]


def read_template(file: Any) -> dict[str, Any] | None:
    """None for YAML that is no template: Kubernetes' files are several documents."""
    return read(file) if file.read_text().startswith("AWSTemplateFormatVersion") else None


def findings() -> list[str]:
    found, number = [], 0
    for place, document in documents():
        number += 1
        analyzed = parliament.analyze_policy_string(json.dumps(document))
        wrong = (finding for finding in analyzed.findings if not is_gap(finding))
        found += [f"{place}: {finding.issue} {finding.detail}" for finding in wrong]
    assert number >= 4, f"only {number} policies were found"
    return found


def is_gap(finding: Any) -> bool:
    return finding.issue == "RESOURCE_MISMATCH" and [detail["action"] for detail in finding.detail] == GAPS


if __name__ == "__main__":
    problems = findings()
    print("\n".join(problems))
    raise SystemExit(1 if problems else 0)
