"""Whether what a store of MLflow has is here: counts of rows, and records field by field, as MLflow's clients see them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from registry.catalog.experiments import get_experiments
from registry.catalog.importing.mlflow.experiments import experiment_ids
from registry.catalog.importing.mlflow.into import Into, kept_pairs
from registry.catalog.importing.mlflow.logged_models import STATUSES
from registry.catalog.importing.mlflow.points import kept_points
from registry.catalog.importing.mlflow.records import Experiment, LoggedModel, Model, Run, Uses
from registry.catalog.importing.mlflow.registered import kept_aliases, kept_stage
from registry.catalog.importing.mlflow.runs import STATUSES as RUN_STATUSES
from registry.catalog.importing.mlflow.runs import here, shown_name, shown_user
from registry.catalog.importing.mlflow.uses import model_ids
from registry.catalog.importing.progress import Notes
from registry.catalog.logged_models import get_logged_model
from registry.catalog.merging import KFP_TAG
from registry.catalog.metrics import Point, history_rows, latest_values
from registry.catalog.models import find_model
from registry.catalog.run_inputs import find_uses
from registry.catalog.run_tags import COLUMNS, NAME, NOBODY, PARENT, USER, column_tags
from registry.catalog.runs import get_runs
from registry.catalog.targets import NO_STAGE
from registry.catalog.version_reads import get_versions
from registry.db.session import Session
from registry.names import EventType, Lifecycle, NodeKind, OwnerKind
from registry.tables.graph import events, params, tags
from registry.tables.metrics import metric_points
from registry.tables.models import dataset_versions, logged_models, model_versions, registered_models
from registry.tables.runs import runs

Counts = dict[str, int]
_SHOWN = 200
VERSIONS = 500
"""Of a model that are compared."""


def count(session: Session, into: Into, phase: str, records: Sequence[Any], met: set[str]) -> Counts:
    """Of the source's records those that are here, with the rows that belong to them; of what was met, only that it is here."""
    return _COUNTERS[phase](session, into, records, met)


def _experiments(session: Session, into: Into, records: Sequence[Experiment], _met: set[str]) -> Counts:
    return {"experiments": len(experiment_ids(session, into, [one.id for one in records]))}


def _runs(session: Session, into: Into, records: Sequence[Run], met: set[str]) -> Counts:
    found = here(session, into, [run.id for run in records])
    own = sorted(id for hex, id in found.items() if f"run {hex}" not in met)
    of_runs = (metric_points.c.owner_kind == OwnerKind.RUN, metric_points.c.owner.in_(own))
    return {
        "runs": len(found),
        "params": _number(session, params, params.c.kind == NodeKind.CONTEXT, params.c.node.in_(own)),
        "tags": _number(session, tags, tags.c.kind == NodeKind.CONTEXT, tags.c.node.in_(own)),
        "metrics": _number(session, metric_points, *of_runs),
    }


def _logged_models(session: Session, into: Into, records: Sequence[LoggedModel], met: set[str]) -> Counts:
    found = model_ids(session, into, [one.id for one in records])
    own = sorted(id for name, id in found.items() if f"logged model {name}" not in met)
    of_models = (metric_points.c.owner_kind == OwnerKind.LOGGED_MODEL, metric_points.c.owner.in_(own))
    return {"logged_models": len(found), "model_metrics": _number(session, metric_points, *of_models)}


def _uses(session: Session, into: Into, records: Sequence[Uses], met: set[str]) -> Counts:
    found = here(session, into, [one.run for one in records if f"run {one.run}" not in met])
    query = (
        sa.select(sa.func.count())
        .select_from(events)
        .join(runs, runs.c.execution == events.c.execution)
        .where(runs.c.id.in_(sorted(found.values())), events.c.type.in_([EventType.INPUT, EventType.OUTPUT]))
        .where(sa.or_(*(sa.exists().where(table.c.id == events.c.artifact) for table in (dataset_versions, logged_models))))
    )
    return {"uses": int(session.scalar(query))}


def _models(session: Session, into: Into, records: Sequence[Model], _met: set[str]) -> Counts:
    names = [one.name for one in records]
    live = (registered_models.c.workspace == into.actor.workspace, registered_models.c.lifecycle != Lifecycle.DELETED)
    ids = session.scalars(sa.select(registered_models.c.id).where(*live, registered_models.c.name.in_(names)))
    return {"models": len(ids), "versions": _number(session, model_versions, model_versions.c.model.in_(ids))}


_COUNTERS: Mapping[str, Callable[..., Counts]] = {
    "experiments": _experiments,
    "runs": _runs,
    "logged_models": _logged_models,
    "uses": _uses,
    "models": _models,
}


def _number(session: Session, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    return int(session.scalar(sa.select(sa.func.count()).select_from(table).where(*where)))


# ---- field by field -------------------------------------------------------------------------------------------------


def differences(session: Session, into: Into, record: Any) -> list[str]:
    """A line for each field of the record that is not as in the source. What was left out is in the report, and in the counts."""
    return list(_COMPARERS[type(record)](session, into, record))


def _unlike(what: str, pairs: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    """`pairs`: (there, here)."""
    for name, (theirs, ours) in pairs.items():
        if theirs != ours:
            yield f"{what}: {name} is {str(ours)[:_SHOWN]!r}, there {str(theirs)[:_SHOWN]!r}"


def _experiment(session: Session, into: Into, one: Experiment) -> Iterator[str]:
    ids = experiment_ids(session, into, [one.id])
    for ours in get_experiments(session, into.actor, sorted(ids.values())):
        location = None if not one.location else into.placed(one.location)
        pairs: dict[str, tuple[Any, Any]] = {
            "name": (one.name, ours.name),
            "artifact_location": (location, ours.artifact_location),
            "lifecycle": (one.is_deleted, ours.lifecycle is Lifecycle.DELETED),
            "tags": (kept_pairs(one.tags, "", "", Notes()), dict(ours.tags)),
        }
        if one.created_at is not None:
            pairs["creation_time"] = (one.created_at, ours.created_at)
        if one.updated_at is not None:
            pairs["last_update_time"] = (one.updated_at, ours.updated_at)
        yield from _unlike(f"experiment {one.id}", pairs)


def _run(session: Session, into: Into, one: Run) -> Iterator[str]:
    ids = here(session, into, [one.id])
    homes = experiment_ids(session, into, [one.experiment])
    for ours in get_runs(session, into.actor, list(ids.values())):
        user = shown_user(one)
        wanted = kept_pairs({key: value for key, value in one.tags.items() if key not in COLUMNS}, "", "", Notes())
        wanted |= {NAME: shown_name(one)} | ({USER: user} if user and user != NOBODY else {})
        wanted |= {PARENT: one.tags[PARENT]} if PARENT in one.tags else {}
        pairs: dict[str, tuple[Any, Any]] = {
            "experiment": (homes.get(one.experiment), ours.experiment),
            "name": (shown_name(one), ours.name),
            "start_time": (one.started_at, ours.started_at),
            "end_time": (one.ended_at, ours.ended_at),
            "lifecycle": (one.is_deleted, ours.lifecycle is Lifecycle.DELETED),
            "artifact_uri": (None if not one.artifact_uri else into.placed(one.artifact_uri), ours.artifact_root),
            "tags": (wanted, {**ours.tags, **column_tags(ours)}),
            "params": (kept_pairs(one.params, "", "", Notes()), dict(ours.params)),
        }
        if one.status in RUN_STATUSES:
            pairs["status"] = (RUN_STATUSES[one.status], ours.status)
        if KFP_TAG in one.tags:  # it is one with what a workflow's report says
            pairs = {"experiment": pairs["experiment"], "name": pairs["name"]}
        yield from _unlike(f"run {one.id}", pairs)


def metric_keys(session: Session, into: Into, run: str) -> list[str]:
    """Of a run, by name."""
    ids = here(session, into, [run])
    return sorted(latest_values(session, list(ids.values())).get(ids.get(run, 0), {}))


def compare_history(session: Session, into: Into, run: str, key: str, there: Sequence[Point]) -> list[str]:
    ids = here(session, into, [run])
    rows = history_rows(session, ids[run], key, limit=len(there) + 1) if run in ids else []
    wanted = sorted({point.sort_key for point in kept_points(there, "", "", Notes())})
    found = sorted((at, step, value, special) for at, step, value, special in rows)
    return list(_unlike(f"run {run}, metric {key!r}", {"history": (wanted, found)})) if wanted != found else []


def _uses_of(session: Session, into: Into, one: Uses) -> Iterator[str]:
    ids = here(session, into, [one.run])
    found_runs = get_runs(session, into.actor, list(ids.values()))
    if not found_runs:
        return
    found = find_uses(session, found_runs).get(found_runs[0].id)
    known = model_ids(session, into, {*one.models, *(id for id, _ in one.made)})
    pairs = {
        "datasets": (
            sorted((given.name, given.digest, sorted(kept_pairs(given.tags, "", "", Notes()).items())) for given in one.inputs),
            sorted((given.name, given.digest, sorted(given.tags.items())) for given in found.datasets) if found else [],
        ),
        "models": (sorted(id for id in one.models if id in known), sorted(found.read) if found else []),
        "outputs": (
            sorted((id, step) for id, step in one.made if id in known),
            sorted((made.model_id, made.step) for made in found.made) if found else [],
        ),
    }
    yield from _unlike(f"run {one.run}", pairs)


def _logged_model(session: Session, into: Into, one: LoggedModel) -> Iterator[str]:
    if one.id not in model_ids(session, into, [one.id]):
        return
    ours = get_logged_model(session, into.actor, one.id, deleted=True)
    pairs: dict[str, tuple[Any, Any]] = {
        "name": (one.name, ours.name),
        "model_type": (one.model_type or None, ours.model_type),
        "source_run_id": (one.run or None, ours.run),
        "artifact_uri": (into.recorded(one.location), ours.uri),
        "lifecycle": (one.is_deleted, ours.lifecycle is Lifecycle.DELETED),
        "creation_timestamp": (one.created_at, ours.created_at),
        "last_updated_timestamp": (one.updated_at, ours.updated_at),
        "tags": (kept_pairs(one.tags, "", "", Notes()), dict(ours.tags)),
        "params": (kept_pairs(one.params, "", "", Notes()), dict(ours.params)),
    }
    if one.status in STATUSES:
        pairs["status"] = (STATUSES[one.status], ours.readiness)
    yield from _unlike(f"logged model {one.id}", pairs)


def _model(session: Session, into: Into, one: Model) -> Iterator[str]:
    ours = find_model(session, into.actor, one.name)
    if ours is None:
        return
    live = {version.number for version in one.versions if not version.is_deleted}
    pairs: dict[str, tuple[Any, Any]] = {
        "description": (one.description or None, ours.description or None),
        "aliases": ({name: number for name, number in kept_aliases(one).items() if number in live}, dict(ours.aliases)),
        "tags": (kept_pairs(one.tags, "", "", Notes()), dict(ours.tags)),
    }
    if one.updated_at is not None:
        pairs["last_updated_timestamp"] = (one.updated_at, ours.mlflow_updated_at)
    yield from _unlike(f"registered model {one.name}", pairs)
    some = one.versions[:VERSIONS]
    here_too = (model_versions.c.model == ours.id, model_versions.c.number.in_([version.number for version in some]))
    ids = session.scalars(sa.select(model_versions.c.id).where(*here_too))
    by_number = {found.number: found for found in get_versions(session, into.actor, ids)}
    for version in some:
        found = by_number.get(version.number)
        if found is None:
            yield f"model version {one.name}/{version.number} is not here"
            continue
        run = (found.run or "").removeprefix("run_") or found.run_text
        stage = kept_stage(one, version, Notes()) or NO_STAGE
        fields: dict[str, tuple[Any, Any]] = {
            "description": (version.description or None, found.description),
            "source": (version.source, found.source),
            "run_id": (version.run or None, run),
            "run_link": (version.run_link, found.run_link),
            "stage": (stage, found.stage or NO_STAGE),
            "lifecycle": (version.is_deleted, found.lifecycle is Lifecycle.DELETED),
            "tags": (kept_pairs(version.tags, "", "", Notes()), dict(found.tags)),
        }
        if version.created_at is not None:
            fields["creation_timestamp"] = (version.created_at, found.created_at)
        if version.updated_at is not None:
            fields["last_updated_timestamp"] = (version.updated_at, found.updated_at)
        yield from _unlike(f"model version {one.name}/{version.number}", fields)


_COMPARERS: Mapping[type, Any] = {
    Experiment: _experiment,
    Run: _run,
    Uses: _uses_of,
    LoggedModel: _logged_model,
    Model: _model,
}
