"""Registering: from files to a named version in one call, so that nobody sees half of it."""

from collections.abc import Mapping

import sqlalchemy as sa

from registry.catalog import artifacts, targets, uses
from registry.catalog.actors import Actor
from registry.catalog.models import get_or_create_model
from registry.catalog.run_lookup import get_run_ref
from registry.catalog.targets import ANY, Target
from registry.catalog.version_reads import ModelVersion, get_version
from registry.catalog.versions import create_version
from registry.db.session import Session
from registry.errors import InvalidArgument, NotFound
from registry.names import OUTPUT_EVENTS, ArtifactKind, EventType, Origin, Readiness, TargetKind
from registry.tables.graph import artifacts as artifacts_table
from registry.tables.graph import events
from registry.tables.runs import runs, steps


def register(
    session: Session,
    actor: Actor,
    name: str,
    *,
    now: int,
    output: str | None = None,
    uri: str | None = None,
    artifact: int | None = None,
    run: str | None = None,
    version_name: str | None = None,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
    alias: str | None = None,
    stage: str | None = None,
    readiness: Readiness = Readiness.READY,
    origin: Origin = Origin.REST,
) -> ModelVersion:
    """A new version of model `name`, which is made where it is missing; with `alias` and `stage` moved onto it.

    The files are exactly one of: `output`, the name under which `run` (32 hex) wrote an artifact; `uri`, an artifact that is
    there already or made for it; `artifact`, the id of an upload. Without `run` the artifact's producer is the version's.

    Raises:
        InvalidArgument: not exactly one of the three, or `output` without `run`, or several artifacts have that output's name.
        NotFound: the run, its output or the artifact is not here.
        NotWritable: the artifact is deleted.
        AlreadyExists: the model has a version of that name.
    """
    if sum(given is not None for given in (output, uri, artifact)) != 1:
        raise InvalidArgument("name the files by exactly one of output, uri and artifact")
    if output is not None:
        if run is None:
            raise InvalidArgument("an output is a run's: name the run", field="run")
        artifact = _find_output(session, actor, run, output)
    elif uri is not None:
        artifact = files_at(session, actor, uri, run, now=now)
    files = artifacts.get_artifact(session, actor, artifact or 0)
    if run is not None:
        get_run_ref(session, actor.workspace, run)
    model = get_or_create_model(session, actor, name, now=now, origin=origin)
    made = create_version(
        session,
        actor,
        model.id,
        now=now,
        name=version_name,
        description=description,
        source=uri if uri is not None else files.uri,
        run=run or uses.find_producer(session, actor, files.id),
        artifact=files.id,
        readiness=readiness if files.readiness is Readiness.READY else files.readiness,
        tags=tags,
        origin=origin,
    )
    for kind, target in ((TargetKind.ALIAS, alias), (TargetKind.STAGE, stage)):
        if target is not None:
            targets.move(session, Target(kind, model.id, target), made.id, expected=ANY, actor=actor, now=now)
    return get_version(session, actor, made.id)


def _find_output(session: Session, actor: Actor, run: str, output: str) -> int:
    """The artifact that the run, or one of its steps, wrote under that name.

    Raises NotFound, InvalidArgument (several): what came last is not what was meant.
    """
    found = session.scalars(_outputs_of(session, actor, run).where(events.c.port == output).distinct().limit(2))
    if not found:
        raise NotFound("output", f"{output} of run_{run}")
    if len(found) > 1:
        raise InvalidArgument(f"run_{run} has several outputs named {output[:80]!r}: name the artifact by its id", field="output")
    return int(found[0])


def files_at(session: Session, actor: Actor, uri: str, run: str | None, *, now: int) -> int:
    """The artifact at the URI: the output of the run (32 hex) there, or, without a run, the first one made there; else a new one.

    Raises NotFound (run), NotWritable (the run is deleted, and a new artifact would be its output).
    """
    if run is None:
        found = artifacts.find_artifact_id(session, actor, uri)
        return artifacts.add_artifact(session, actor, now=now, kind=ArtifactKind.MODEL, uri=uri) if found is None else found
    here = artifacts_table.c.location_hash == artifacts.location_hash(uri)
    held = session.scalar(_outputs_of(session, actor, run).where(here).order_by(artifacts_table.c.id).limit(1))
    if held is not None:
        return int(held)
    made = artifacts.add_artifact(session, actor, now=now, kind=ArtifactKind.MODEL, uri=uri)
    uses.link(session, actor, made, run, EventType.OUTPUT, now=now)
    return made


def _outputs_of(session: Session, actor: Actor, run: str) -> "sa.Select[tuple[int]]":
    """The ids of the artifacts that the run and its steps wrote, deleted ones aside."""
    ref = get_run_ref(session, actor.workspace, run)
    own = sa.select(runs.c.execution).where(runs.c.id == ref.id, runs.c.execution.is_not(None))
    members = sa.union_all(own, sa.select(steps.c.id).where(steps.c.run == ref.id)).subquery()
    return (
        sa.select(artifacts_table.c.id)
        .join(events, events.c.artifact == artifacts_table.c.id)
        .where(events.c.execution.in_(sa.select(members.c[0])), events.c.type.in_(OUTPUT_EVENTS))
        .where(artifacts_table.c.workspace == actor.workspace, artifacts_table.c.deleted_at.is_(None))
    )
