"""Numbers in CloudFormation's templates that come from parameters.

CloudFormation hands a parameter of type Number to a resource as the number that the resource expects. ministack 1.5.33 hands on
the text, and stumbles where it computes with it: over the base and the weight of an ECS service's capacity providers.
"""

from __future__ import annotations

from typing import Any

from ministack.services.cloudformation import provisioners

NUMBERS = ("Base", "Weight")


def install() -> None:
    handlers = provisioners._RESOURCE_HANDLERS["AWS::ECS::Service"]
    create = handlers["create"]

    def create_with_numbers(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        strategy = [_with_numbers(provider) for provider in props.get("CapacityProviderStrategy") or []]
        return create(logical_id, {**props, "CapacityProviderStrategy": strategy}, stack_name)

    handlers["create"] = create_with_numbers


def _with_numbers(provider: dict[str, Any]) -> dict[str, Any]:
    return {name: int(value) if name in NUMBERS else value for name, value in provider.items()}
