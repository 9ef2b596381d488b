"""What can go wrong, as the caller sees it.

LinealError
├── ApiError      the server answered with a problem (RFC 9457): `status`, `type`, `detail`, `request_id`
└── Unreachable   no answer, also after trying again; whether something has changed is not known
"""

from collections.abc import Mapping
from typing import Any


class LinealError(Exception):
    """Base of all errors of this package."""


class Unreachable(LinealError):
    """No answer from the server, also after trying again."""


class ApiError(LinealError):
    """The server refused. `type` is stable (`urn:lineal:problem:not-found`); `data` is the whole problem."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.type = str(problem.get("type", "about:blank"))
        self.detail = str(problem.get("detail") or problem.get("title") or _graphql(problem) or f"HTTP {status}")
        self.request_id = problem.get("instance")
        self.data = dict(problem)
        super().__init__(f"{self.detail} ({status})")

    @property
    def kind(self) -> str:
        """The last part of the type: `not-found`, `conflict`…"""
        return self.type.rpartition(":")[2]


def _graphql(answer: Mapping[str, Any]) -> str:
    """The messages of a GraphQL answer, which is no problem."""
    errors = answer.get("errors")
    return "; ".join(str(error.get("message")) for error in errors) if isinstance(errors, list) else ""
