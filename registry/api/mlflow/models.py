"""Calls about registered models and their aliases. Prompts are registered models with a tag."""

from collections.abc import Sequence

from registry.api.mlflow import wire
from registry.api.mlflow.calls import Answer, Call, stage_of
from registry.api.mlflow.fields import Fields, invalid
from registry.api.mlflow.limits import (
    MAX_MODELS_PAGE,
    MAX_REGISTRY_VALUE,
    check_key,
    check_length,
    check_model_name,
    page_size,
)
from registry.catalog import models as catalog
from registry.catalog import targets
from registry.catalog.model_creation import HOT_CREATE_MODEL, NewModel, RegisteredModel
from registry.catalog.model_lookup import find_aliased, get_model_id, get_named_model, get_version_id, latest_versions
from registry.catalog.model_search import PROMPT, Wanted, search_models
from registry.catalog.models import find_model
from registry.catalog.pages import Page
from registry.catalog.run_tags import LIFECYCLE
from registry.catalog.targets import ANY, NO_STAGE, Target
from registry.catalog.version_reads import ModelVersion
from registry.db.session import Session
from registry.errors import AlreadyExists, InvalidArgument, NotFound
from registry.filtering.keyset import place_of, token_of
from registry.names import Origin, TargetKind


def registry_tags(call: Call) -> dict[str, str]:
    """Of a model or version that is being made."""
    tags = {}
    for item in call.fields.items("tags"):
        key, value = _tag(item)
        tags[key] = value
    return tags


def registry_tag(call: Call) -> tuple[str, str]:
    return _tag(call.fields)


def _tag(fields: Fields) -> tuple[str, str]:
    key = check_key(fields.required("key"), "key")
    if key == LIFECYCLE:
        raise invalid("key", key, "it shows what the record is and cannot be set")
    return key, check_length(fields.text("value") or "", "value", MAX_REGISTRY_VALUE)


async def create(call: Call) -> Answer:
    name = check_model_name(call.fields.required("name"), "name")
    description = call.fields.text("description") or None
    new = NewModel(call.actor, name, call.now, description, tags=registry_tags(call), origin=Origin.MLFLOW)
    try:
        made = await call.runner.agroup(HOT_CREATE_MODEL, new)
    except AlreadyExists:
        there = await call.runner.aread(lambda session: find_model(session, call.actor, name))
        if there is not None and there.tags.get(PROMPT, "").lower() == "true":
            raise AlreadyExists("prompt", name) from None
        raise
    return {"registered_model": wire.registered_model(made, [])}


async def get(call: Call) -> Answer:
    name = call.fields.required("name")

    def read(session: Session) -> tuple[RegisteredModel, Sequence[ModelVersion]]:
        found = get_named_model(session, call.actor, name)
        return found, latest_versions(session, [found.id]).get(found.id, [])

    return {"registered_model": wire.registered_model(*await call.runner.aread(read))}


async def update(call: Call) -> Answer:
    description = call.fields.text("description") or ""
    return await _changed(call, description=description)


async def rename(call: Call) -> Answer:
    name = check_model_name(call.fields.required("new_name"), "new_name")
    return await _changed(call, name=name)


async def _changed(call: Call, *, name: str | None = None, description: str | None = None) -> Answer:
    model = call.fields.required("name")

    def write(session: Session) -> tuple[RegisteredModel, Sequence[ModelVersion]]:
        id = get_model_id(session, call.actor, model)
        changed = catalog.update_model(session, call.actor, id, now=call.now, name=name, description=description)
        return changed, latest_versions(session, [id]).get(id, [])

    return {"registered_model": wire.registered_model(*await call.runner.awrite(write, replayable=True))}


async def delete(call: Call) -> Answer:
    name = call.fields.required("name")

    def write(session: Session) -> None:
        catalog.delete_model(session, call.actor, get_model_id(session, call.actor, name), now=call.now)

    await call.runner.awrite(write)
    return {}


async def search(call: Call) -> Answer:
    limit = page_size(call.fields.integer("max_results"), default=100, most=MAX_MODELS_PAGE)
    wanted, query = searched(call, "mlflow registered models", limit)

    def read(session: Session) -> tuple[Page[RegisteredModel], dict[int, Sequence[ModelVersion]]]:
        page = search_models(session, call.actor, wanted)
        return page, dict(latest_versions(session, [one.id for one in page.records]))

    page, latest = await call.runner.aread(read)
    shown = [wire.registered_model(one, latest.get(one.id, [])) for one in page.records]
    return wire.given(registered_models=shown, next_page_token=None if page.end is None else token_of(page.end, *query))


def searched(call: Call, what: str, limit: int) -> tuple[Wanted, Sequence[object]]:
    """And the query that its tokens are valid for. Raises InvalidPageToken."""
    filter, order_by = call.fields.text("filter") or "", call.fields.texts("order_by")
    query = (what, call.actor.workspace, filter, order_by)
    token = call.fields.text("page_token")
    return Wanted(filter, order_by, place_of(token, *query) if token else None, limit), query


async def get_latest_versions(call: Call) -> Answer:
    """The highest version of each stage, or of those named."""
    name = call.fields.required("name")
    stages = {stage_of(stage) for stage in call.fields.texts("stages")}

    def read(session: Session) -> Sequence[ModelVersion]:
        id = get_model_id(session, call.actor, name)
        return latest_versions(session, [id]).get(id, [])

    found = await call.runner.aread(read)
    shown = [one for one in found if not stages or (one.stage or NO_STAGE) in stages]
    return wire.given(model_versions=[wire.model_version(one, aliases=True) for one in shown])


async def set_tag(call: Call) -> Answer:
    name, (key, value) = call.fields.required("name"), registry_tag(call)

    def write(session: Session) -> None:
        catalog.set_model_tags(session, call.actor, get_model_id(session, call.actor, name), {key: value})

    await call.runner.awrite(write, replayable=True)
    return {}


async def delete_tag(call: Call) -> Answer:
    """One that is not there is gone already."""
    name, key = call.fields.required("name"), check_key(call.fields.required("key"), "key")

    def write(session: Session) -> None:
        id = get_model_id(session, call.actor, name)
        try:
            catalog.delete_model_tag(session, call.actor, id, key)
        except NotFound as error:
            if error.data["kind"] != "tag":
                raise

    await call.runner.awrite(write, replayable=True)
    return {}


# ---- aliases ---------------------------------------------------------------------------------------------------------


async def get_alias(call: Call) -> Answer:
    """Raises InvalidArgument, as in MLflow: nobody holds it."""
    name, alias = call.fields.required("name"), call.fields.required("alias")
    found = await call.runner.aread(lambda session: find_aliased(session, call.actor, name, alias))
    if found is None:
        raise InvalidArgument(f"Registered model alias {alias[:256]} not found.", field="alias")
    return {"model_version": wire.model_version(found, aliases=True)}


async def set_alias(call: Call) -> Answer:
    return await _move_alias(call, call.version())


async def delete_alias(call: Call) -> Answer:
    """Idempotent: `latest` and `v3`, which no version was given, are gone already."""
    name, alias = call.fields.required("name"), call.fields.required("alias")
    if targets.is_reserved(alias):
        await call.runner.aread(lambda session: get_model_id(session, call.actor, name))
        return {}
    return await _move_alias(call, None)


async def _move_alias(call: Call, number: int | None) -> Answer:
    name, alias = call.fields.required("name"), targets.check_alias(call.fields.required("alias"))

    def write(session: Session) -> None:
        version = None if number is None else get_version_id(session, call.actor, name, number)
        target = Target(TargetKind.ALIAS, get_model_id(session, call.actor, name), alias)
        targets.move(session, target, version, expected=ANY, actor=call.actor, now=call.now)

    await call.runner.awrite(write, replayable=True)
    return {}
