"""One call: who asks, in which workspace, with which fields; and how experiments are called here."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from registry.api.mlflow.fields import Fields, invalid
from registry.api.mlflow.plain import Plain
from registry.api.problems import request_id
from registry.api.services import Services, identified
from registry.catalog.actors import Actor
from registry.catalog.places import Places
from registry.catalog.targets import STAGES, check_stage
from registry.catalog.workspaces import DEFAULT
from registry.db.runner import Runner
from registry.errors import InvalidArgument, NotFound, NotPermitted
from registry.names import MAX_NODE_ID, run_hex_or_none

WORKSPACE = "x-mlflow-workspace"
Answer = dict[str, Any] | bytes | Response
"""`bytes`: JSON."""


@dataclass(frozen=True)
class Call:
    """`default`: the experiment that is `0` here. `rest`: what the path has where the route's ends in `*`.

    `plain`: the body as the route's `plain`, where it is like that; `fields` has nothing then.
    `imported`: experiments by ids that they had before an import; asked for just now where `is_fresh`.
    """

    services: Services
    actor: Actor
    fields: Fields
    default: int
    now: int
    request: Request
    rest: str = ""
    plain: Plain | None = None
    imported: Mapping[int, int] = field(default_factory=dict)
    is_fresh: bool = False

    @property
    def runner(self) -> Runner:
        return self.services.runner

    def experiment_id(self, text: str) -> int:
        """Raises InvalidArgument (not an integer), NotFound (perhaps one from before an import that nobody has asked for yet)."""
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise invalid("experiment_id", text, "the id of an experiment is an integer")
        number = int(text) or self.default
        if number > MAX_NODE_ID and number not in self.imported and not self.is_fresh:
            raise NotFound("experiment", text)
        return self.imported.get(number, number)

    def shown_experiment(self, id: int | None) -> str:
        """Empty for a run that has none yet."""
        if id is None:
            return ""
        return "0" if id == self.default and self.actor.workspace_name == DEFAULT else str(id)

    def run(self) -> str:
        """The run id of the call, 32 hex. Raises InvalidArgument (left out), NotFound (no run can be called so)."""
        text = self.fields.text("run_id") or self.fields.text("run_uuid")
        return run_hex(text or self.fields.required("run_id"))

    @property
    def places(self) -> Places:
        return Places(self.services.store, self.actor)

    def version(self) -> int:
        """The number of a model's version. Raises InvalidArgument: left out, or no integer."""
        text = self.fields.required("version")
        if not re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", text):
            raise InvalidArgument(f"Parameter 'version' must be an integer, got '{text[:200]}'.", field="version")
        return min(max(int(text), 0), 2**31 - 1)

    def stage(self, name: str) -> str:
        """In its right spelling. Raises InvalidArgument: left out, or not one of MLflow's four."""
        return stage_of(self.fields.required(name))


def stage_of(text: str) -> str:
    """In its right spelling. Raises InvalidArgument: not one of MLflow's four."""
    stage = check_stage(text)
    if stage not in STAGES:
        raise InvalidArgument(
            f"Invalid Model Version stage: {text[:200]}. Value must be one of {', '.join(STAGES)}.", field="stage"
        )
    return stage


def run_hex(text: str) -> str:
    found = run_hex_or_none(text)
    if found is None:
        raise NotFound("run", text[:256])
    return found


async def actor_of(services: Services, request: Request) -> Actor:
    """By a token as Bearer, or as the password of Basic; the workspace by its header.

    Raises:
        Unauthenticated: no token where one is needed, or one that is not known.
        NotFound: no such workspace.
        NotPermitted: a workspace that the token is not of.
    """
    authorization = _bearer(request.headers.get("authorization", ""))
    wanted = request.headers.get(WORKSPACE)
    if wanted is None or not authorization:
        return await identified(services, authorization, wanted, request_id=request_id(request))
    actor = await identified(services, authorization, None, request_id=request_id(request))
    if wanted != actor.workspace_name:
        await services.workspace(wanted)
        raise NotPermitted(f"{actor.name} has no right in workspace {wanted[:80]}")
    return actor


def _bearer(authorization: str) -> str:
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() != "basic":
        return authorization
    try:
        _, _, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        password = ""
    return f"Bearer {password}"
