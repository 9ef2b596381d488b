"""What errors of ours say in GraphQL. Imports no graphene: who may not ask is told without it."""

from typing import Any

from registry.api.problems import TABLE, problem_type
from registry.errors import RegistryError


def extensions(error: RegistryError, request_id: str) -> dict[str, Any]:
    """`code`, `type`, `requestId`, and what the error knows: line, column, field …"""
    return {**error.data, "code": TABLE[type(error)].graphql, "type": problem_type(error), "requestId": request_id}
