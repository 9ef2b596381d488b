"""Calls about versions of registered models."""

from registry.api.mlflow import wire
from registry.api.mlflow.calls import Answer, Call
from registry.api.mlflow.fields import invalid
from registry.api.mlflow.limits import MAX_VERSIONS_PAGE, check_key, page_size
from registry.api.mlflow.models import registry_tag, registry_tags, searched
from registry.catalog import targets, version_sources
from registry.catalog import versions as catalog
from registry.catalog.logged_models import note_registered
from registry.catalog.model_lookup import get_model_id, get_version_id, lock_model_id, read_version
from registry.catalog.model_search import PROMPT, search_versions
from registry.catalog.targets import ANY, Target
from registry.catalog.version_reads import ModelVersion
from registry.db.session import Session
from registry.errors import NotFound
from registry.filtering.keyset import token_of
from registry.names import Origin, TargetKind

ACTIVE_STAGES = ("Staging", "Production")
"""Those whose other holders may be archived by a transition."""


async def create(call: Call) -> Answer:
    """The next number; the logged model that it came from is told."""
    name, fields = call.fields.required("name"), call.fields
    tags = registry_tags(call)
    asked = version_sources.Asked(
        fields.required("source"), fields.text("run_id"), fields.text("model_id"), tags.get(PROMPT, "").lower() == "true"
    )
    run_link, description = fields.text("run_link") or None, fields.text("description") or None

    def write(session: Session) -> ModelVersion:
        try:
            model = lock_model_id(session, call.actor, name)  # before its files, as everywhere
        except NotFound:
            version_sources.resolve(session, call.actor, call.places, asked, now=call.now)  # a wrong source is told first
            raise
        source = version_sources.resolve(session, call.actor, call.places, asked, now=call.now)
        made = catalog.create_version(
            session,
            call.actor,
            model,
            now=call.now,
            description=description,
            source=source.text,
            location=source.location,
            run=source.run,
            run_text=source.run_text,
            run_link=run_link,
            artifact=source.artifact,
            tags=tags,
            origin=Origin.MLFLOW,
        )
        if source.logged_model is not None:
            note_registered(session, call.actor, source.logged_model.model_id, name, made.number)
        return made

    return {"model_version": wire.model_version(await call.runner.awrite(write), aliases=True)}


async def get(call: Call) -> Answer:
    return {"model_version": wire.model_version(await _read(call), aliases=True)}


async def get_download_uri(call: Call) -> Answer:
    found = await _read(call)
    return {"artifact_uri": found.location or found.source or ""}


async def _read(call: Call) -> ModelVersion:
    name, number = call.fields.required("name"), call.version()
    return await call.runner.aread(lambda session: read_version(session, call.actor, name, number))


async def update(call: Call) -> Answer:
    """Without `description` it has none."""
    name, number, description = call.fields.required("name"), call.version(), call.fields.text("description") or ""

    def write(session: Session) -> ModelVersion:
        id = get_version_id(session, call.actor, name, number)
        catalog.update_version(session, call.actor, id, now=call.now, description=description)
        return read_version(session, call.actor, name, number)

    return {"model_version": wire.model_version(await call.runner.awrite(write, replayable=True), aliases=True)}


async def delete(call: Call) -> Answer:
    name, number = call.fields.required("name"), call.version()

    def write(session: Session) -> None:
        catalog.delete_version(session, call.actor, get_version_id(session, call.actor, name, number), now=call.now)

    await call.runner.awrite(write)
    return {}


async def search(call: Call) -> Answer:
    limit = page_size(call.fields.integer("max_results"), default=MAX_VERSIONS_PAGE, most=MAX_VERSIONS_PAGE)
    wanted, query = searched(call, "mlflow model versions", limit)
    page = await call.runner.aread(lambda session: search_versions(session, call.actor, wanted))
    shown = [wire.model_version(one, aliases=False) for one in page.records]
    return wire.given(model_versions=shown, next_page_token=None if page.end is None else token_of(page.end, *query))


async def transition_stage(call: Call) -> Answer:
    """With `archive_existing_versions` those that held the stage become Archived, in the same transaction."""
    name, number, stage = call.fields.required("name"), call.version(), call.stage("stage")
    archive = bool(call.fields.flag("archive_existing_versions"))
    if archive and stage not in ACTIVE_STAGES:
        raise invalid("stage", stage, f"existing versions are archived for {' and '.join(ACTIVE_STAGES)} only")

    def write(session: Session) -> ModelVersion:
        version = get_version_id(session, call.actor, name, number)
        target = Target(TargetKind.STAGE, get_model_id(session, call.actor, name), stage)
        targets.move(session, target, version, expected=ANY, actor=call.actor, now=call.now, archive_existing=archive)
        return read_version(session, call.actor, name, number)

    return {"model_version": wire.model_version(await call.runner.awrite(write, replayable=True), aliases=True)}


async def set_tag(call: Call) -> Answer:
    name, number, (key, value) = call.fields.required("name"), call.version(), registry_tag(call)

    def write(session: Session) -> None:
        catalog.set_version_tags(session, call.actor, get_version_id(session, call.actor, name, number), {key: value})

    await call.runner.awrite(write, replayable=True)
    return {}


async def delete_tag(call: Call) -> Answer:
    """One that is not there is gone already."""
    name, number, key = call.fields.required("name"), call.version(), check_key(call.fields.required("key"), "key")

    def write(session: Session) -> None:
        id = get_version_id(session, call.actor, name, number)
        try:
            catalog.delete_version_tag(session, call.actor, id, key)
        except NotFound as error:
            if error.data["kind"] != "tag":
                raise

    await call.runner.awrite(write, replayable=True)
    return {}
