"""The calls about workspaces that a client needs before it uses one."""

import orjson
from starlette.responses import Response

from registry.api.mlflow.calls import Answer, Call
from registry.api.mlflow.limits import check_workspace_name
from registry.catalog.workspaces import find_workspace, get_or_create_workspace, list_workspaces
from registry.db.session import Session
from registry.errors import AlreadyExists, NotFound
from registry.names import Role


async def listed(call: Call) -> Answer:
    """Those that the caller may select."""
    return {"workspaces": [{"name": name} for name in await _visible(call)]}


async def get(call: Call) -> Answer:
    name = call.fields.required("workspace_name")
    if name not in await _visible(call):
        raise NotFound("workspace", name)
    return {"workspace": {"name": name}}


async def create(call: Call) -> Answer:
    """For administrators; 201, which MLflow's client insists on. A name follows MLflow's rules, which are narrower than ours."""
    call.actor.require(Role.ADMIN)
    name = check_workspace_name(call.fields.required("name"), "name")

    def write(session: Session) -> None:
        if find_workspace(session, name) is not None:
            raise AlreadyExists("workspace", name)
        get_or_create_workspace(session, name, now=call.now)

    await call.runner.awrite(write)
    return Response(orjson.dumps({"workspace": {"name": name}}), 201, media_type="application/json")


async def _visible(call: Call) -> list[str]:
    found = await call.runner.aread(list_workspaces)
    return [name for id, name, _ in found if not call.services.login or id == call.actor.workspace]
