"""Calls about experiments."""

from registry.api.mlflow import wire
from registry.api.mlflow.calls import Answer, Call
from registry.api.mlflow.limits import (
    MAX_EXPERIMENT_NAME,
    MAX_EXPERIMENT_TAG_VALUE,
    check_key,
    check_length,
    check_location,
)
from registry.catalog import experiments as catalog
from registry.db.session import Session
from registry.errors import NotFound
from registry.names import Lifecycle, Origin


async def create(call: Call) -> Answer:
    name = check_length(call.fields.required("name"), "name", MAX_EXPERIMENT_NAME)
    location = call.fields.text("artifact_location")
    if location:
        check_location(location)
    tags = {}
    for item in call.fields.items("tags"):
        key = check_key(item.required("key"), "key")
        tags[key] = check_length(item.text("value") or "", "value", MAX_EXPERIMENT_TAG_VALUE)
    made = await call.runner.awrite(
        lambda session: catalog.create_experiment(
            session, call.actor, name, now=call.now, artifact_location=location or None, tags=tags, origin=Origin.MLFLOW
        )
    )
    return {"experiment_id": call.shown_experiment(made.id)}


async def get(call: Call) -> Answer:
    id = call.experiment_id(call.fields.required("experiment_id"))
    found = await call.runner.aread(lambda session: catalog.get_experiment(session, call.actor, id))
    return {"experiment": wire.experiment(call, found)}


async def get_by_name(call: Call) -> Answer:
    """Deleted ones too: their name is taken."""
    name = call.fields.required("experiment_name")
    found = await call.runner.aread(lambda session: catalog.find_experiment(session, call.actor, name))
    if found is None:
        raise NotFound("experiment", name)
    return {"experiment": wire.experiment(call, found)}


async def update(call: Call) -> Answer:
    id = call.experiment_id(call.fields.required("experiment_id"))
    name = check_length(call.fields.required("new_name"), "new_name", MAX_EXPERIMENT_NAME)
    await call.runner.awrite(
        lambda session: catalog.update_experiment(session, call.actor, id, now=call.now, name=name), replayable=True
    )
    return {}


async def delete(call: Call) -> Answer:
    return await _move(call, Lifecycle.DELETED)


async def restore(call: Call) -> Answer:
    return await _move(call, Lifecycle.ACTIVE)


async def _move(call: Call, lifecycle: Lifecycle) -> Answer:
    """Deleting what is deleted and restoring what is not are 404, as in MLflow."""
    id = call.experiment_id(call.fields.required("experiment_id"))

    def move(session: Session) -> None:
        before = catalog.get_experiment(session, call.actor, id)
        if (before.lifecycle is Lifecycle.DELETED) is (lifecycle is Lifecycle.DELETED):
            wanted = "active" if lifecycle is Lifecycle.DELETED else "deleted"
            raise NotFound(f"{wanted} experiment", call.shown_experiment(id))
        catalog.set_experiment_lifecycle(session, call.actor, id, lifecycle, now=call.now)

    await call.runner.awrite(move)
    return {}


async def set_tag(call: Call) -> Answer:
    id = call.experiment_id(call.fields.required("experiment_id"))
    key = check_key(call.fields.required("key"), "key")
    value = check_length(call.fields.text("value") or "", "value", MAX_EXPERIMENT_TAG_VALUE)
    await call.runner.awrite(lambda session: catalog.set_experiment_tags(session, call.actor, id, {key: value}), replayable=True)
    return {}


async def delete_tag(call: Call) -> Answer:
    id = call.experiment_id(call.fields.required("experiment_id"))
    key = call.fields.required("key")
    await call.runner.awrite(lambda session: catalog.delete_experiment_tag(session, call.actor, id, key))
    return {}
