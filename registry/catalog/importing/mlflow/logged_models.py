"""Logged models of a store of MLflow, and what runs measured on them."""

from collections.abc import Sequence
from typing import Any

from registry.catalog import node_types, tagging
from registry.catalog.artifacts import location_hash
from registry.catalog.importing.mlflow.experiments import experiment_ids
from registry.catalog.importing.mlflow.into import Into, kept_pairs, kept_text
from registry.catalog.importing.mlflow.points import kept_points
from registry.catalog.importing.mlflow.records import LoggedModel, ModelPoint
from registry.catalog.importing.mlflow.runs import here
from registry.catalog.importing.mlflow.state import State
from registry.catalog.importing.mlflow.uses import Use, dataset_id, model_ids, tie, untied
from registry.catalog.importing.progress import Notes
from registry.catalog.metrics import point_rows, write_points
from registry.catalog.nodes import artifact_row
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.names import ArtifactKind, EventType, NodeKind, OwnerKind, Readiness, check_name, check_text
from registry.tables.graph import artifacts
from registry.tables.models import logged_models

STATUSES = {"READY": Readiness.READY, "PENDING": Readiness.PENDING, "FAILED": Readiness.FAILED}


def write_logged_models(session: Session, into: Into, found: Sequence[LoggedModel], state: State, notes: Notes) -> None:
    homes = experiment_ids(session, into, {one.experiment for one in found})
    taken = model_ids(session, into, [one.id for one in found])
    makers = here(session, into, [one.run for one in found if one.run])
    nodes, rows, tags, params = [], [], {}, {}
    for one in found:
        why = _refusal(one, homes)
        if why is not None:
            notes.add("logged model", one.id, f"it is left out: {why}")
            state.count(left_out=1)
            continue
        state.count(written=1)
        if one.id in taken:
            notes.add("logged model", one.id, "it is here already, and stays as it is")
            state.met.append(f"logged model {one.id}")
            continue
        id = session.next_id("artifact")
        nodes.append(_node(into, one, id, notes))
        maker = makers.get(one.run or "")
        row = {"id": id, "workspace": into.actor.workspace, "model_id": one.id, "experiment": homes[one.experiment]}
        row |= {"name": one.name, "model_type": kept_text(one.model_type, "model_type", "logged model", one.id, notes, limit=512)}
        text = kept_text(one.run, "source_run_id", "logged model", one.id, notes, limit=512)
        rows.append(row | {"run": maker, "run_text": text if maker is None else None})
        tags[id] = kept_pairs(one.tags, "logged model", one.id, notes)
        params[id] = kept_pairs(one.params, "logged model", one.id, notes)
    session.insert(artifacts, nodes)
    session.insert(logged_models, rows)
    tagging.set_tags(session, NodeKind.ARTIFACT, tags)
    tagging.set_params(session, NodeKind.ARTIFACT, params)


def _refusal(one: LoggedModel, homes: dict[str, int]) -> str | None:
    if one.experiment not in homes:
        return f"its experiment {one.experiment} is not taken over"
    try:
        check_name(one.name)
        check_text(one.id, "its id", limit=255, empty=False)
        check_text(one.location, "its location", limit=tagging.MAX_VALUE)
    except InvalidArgument as error:
        return error.message
    return None


def _node(into: Into, one: LoggedModel, id: int, notes: Notes) -> dict[str, Any]:
    readiness = STATUSES.get(one.status)
    if readiness is None:
        notes.add("logged model", one.id, f"its status {one.status!r} is none: it is pending")
        readiness = Readiness.PENDING
    uri = into.recorded(one.location)
    node = artifact_row(
        id,
        type_id=node_types.LOGGED_MODEL,
        workspace=into.actor.workspace,
        now=one.created_at,
        kind=ArtifactKind.LOGGED_MODEL,
        author=into.actor.author,
        uri=uri,
        location_hash=location_hash(uri),
        display_name=one.name,
        readiness=readiness,
    )
    return node | {"updated_at": one.updated_at, "deleted_at": one.updated_at if one.is_deleted else None}


def write_model_points(session: Session, into: Into, found: Sequence[ModelPoint], state: State, notes: Notes) -> None:
    """Which run measured a point is told by its being that run's as well, which is tied to the model."""
    met = set(state.met)
    models = model_ids(session, into, {one.model for one in found})
    runs_here = here(session, into, {one.run for one in found if one.run})
    sets: dict[tuple[str, str] | None, int] = {}
    entries, measured, left_out = [], [], 0
    for one in found:
        model = None if f"logged model {one.model}" in met else models.get(one.model)
        points = [] if model is None else kept_points([one.point], "logged model", one.model, notes)
        if model is None or not points:
            left_out += 1
            continue
        try:
            if one.dataset not in sets:
                sets[one.dataset] = 0 if one.dataset is None else dataset_id(session, into, *one.dataset)
        except InvalidArgument as error:
            notes.add("logged model", one.model, f"a point is left out: its dataset cannot be kept: {error.message}")
            left_out += 1
            continue
        entries.append((model, sets[one.dataset], points))
        run = runs_here.get(one.run or "")
        if run is not None:
            measured.append((run, model))
    if entries:
        write_points(session, point_rows(session, OwnerKind.LOGGED_MODEL, entries))
    tie(session, into, [Use(run, model, EventType.INTERNAL_INPUT) for run, model in untied(session, measured)])
    state.count(written=len(found) - left_out, left_out=left_out)
