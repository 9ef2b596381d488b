"""The calls about workspaces that a client needs before it uses one."""

from registry.api.mlflow.calls import Answer, Call
from registry.catalog.workspaces import get_or_create_workspace, list_workspaces
from registry.errors import NotFound
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
    """For administrators. Idempotent."""
    call.actor.require(Role.ADMIN)
    name = call.fields.required("name")
    await call.runner.awrite(lambda session: get_or_create_workspace(session, name, now=call.now), replayable=True)
    return {"workspace": {"name": name}}


async def _visible(call: Call) -> list[str]:
    found = await call.runner.aread(list_workspaces)
    return [name for id, name, _ in found if not call.services.login or id == call.actor.workspace]
