"""Experiments of a store of MLflow. One keeps its id while that is free; else its old id is an alias of the new one.

The experiment `0` is the workspace's Default. One whose name is taken is the one that has it.
"""

import re
from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from registry.catalog import node_types, tagging
from registry.catalog.default_experiment import find_default
from registry.catalog.importing.mlflow.into import Into, kept_pairs, kept_text
from registry.catalog.importing.mlflow.records import DEFAULT_EXPERIMENT, Experiment
from registry.catalog.importing.mlflow.state import State
from registry.catalog.importing.progress import Notes
from registry.catalog.keys import claim, find_many
from registry.catalog.nodes import node_row
from registry.db.ids import seed_ids
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.names import Door, Lifecycle, NodeKind, Origin, check_name
from registry.tables.graph import contexts
from registry.tables.runs import experiments
from registry.tables.service import id_aliases

KEPT_BELOW = 100_000_000
"""Higher ids (a file store's have 18 digits) would use up those that are left for others."""

_ID = re.compile(r"[0-9]{1,18}")


def kept_number(id: str) -> int | None:
    """The id as one of ours, if it could be one."""
    number = int(id) if _ID.fullmatch(id) else 0
    return number if 0 < number < KEPT_BELOW else None


def seed(session: Session, highest: int) -> None:
    """Before the first: what is drawn from now on is above every id that is to be kept."""
    seed_ids(session, "context", highest)


def experiment_ids(session: Session, into: Into, ids: Iterable[str]) -> dict[str, int]:
    """Ours, by the source's, of those that were taken over. One statement."""
    keys = {into.key(id): id for id in set(ids)}
    found = find_many(session, into.actor.workspace, keys, NodeKind.CONTEXT)
    return {keys[key]: node for key, node in found.items()}


def write_experiments(session: Session, into: Into, found: Sequence[Experiment], state: State, notes: Notes) -> None:
    for one in found:
        try:
            check_name(one.name)
        except InvalidArgument as error:
            notes.add("experiment", one.id, f"it is left out: {error.message}")
            state.count(left_out=1)
            continue
        node = _find(session, into, one)
        if node is None:
            node = _create(session, into, one, notes)
        else:
            state.met.append(f"experiment {one.id}")
            if one.id != DEFAULT_EXPERIMENT:
                notes.add("experiment", one.id, f"the name {one.name!r} is taken: it is experiment {node}, which stays as it is")
        claim(session, into.actor.workspace, [into.key(one.id)], NodeKind.CONTEXT, node)
        _alias(session, into, one, node, notes)
        state.count(written=1)


def _find(session: Session, into: Into, one: Experiment) -> int | None:
    default = find_default(session, into.actor.workspace) if one.id == DEFAULT_EXPERIMENT else None
    if default is not None:
        return default
    named = (experiments.c.workspace == into.actor.workspace, experiments.c.name == one.name)
    held = session.scalar(sa.select(experiments.c.id).where(*named))
    return None if held is None else int(held)


def _create(session: Session, into: Into, one: Experiment, notes: Notes) -> int:
    wanted, workspace = kept_number(one.id), into.actor.workspace
    taken = wanted is None or session.scalar(sa.select(contexts.c.id).where(contexts.c.id == wanted)) is not None
    id = session.next_id("context") if wanted is None or taken else wanted
    if wanted is not None and taken:
        notes.add("experiment", one.id, f"the id is taken: it has {id}")
    created_at = into.now if one.created_at is None else one.created_at
    node = node_row(id, type_id=node_types.EXPERIMENT, workspace=workspace, now=created_at, name=one.name, name_key=one.name)
    updated_at = created_at if one.updated_at is None else one.updated_at
    session.insert(contexts, node | {"updated_at": updated_at, "deleted_at": updated_at if one.is_deleted else None})
    location = kept_text(one.location, "artifact_location", "experiment", one.id, notes)
    row = {
        "id": id,
        "workspace": workspace,
        "name": one.name,
        "description": None,
        "artifact_location": into.placed(location) if location else None,
        "lifecycle": int(Lifecycle.DELETED if one.is_deleted else Lifecycle.ACTIVE),
        "origin": int(Origin.MLFLOW),
        "derived": 0,
    }
    session.insert(experiments, row)
    tagging.set_tags(session, NodeKind.CONTEXT, {id: kept_pairs(one.tags, "experiment", one.id, notes)})
    return id


def _alias(session: Session, into: Into, one: Experiment, node: int, notes: Notes) -> None:
    """Its old id goes on answering at MLflow's door."""
    if not _ID.fullmatch(one.id):
        notes.add("experiment", one.id, f"its id is none that clients can ask for: it has {node}")
    elif int(one.id) != node:
        row = {"workspace": into.actor.workspace, "door": int(Door.MLFLOW), "kind": int(NodeKind.CONTEXT)}
        if not session.insert_if_absent(id_aliases, row | {"old_id": int(one.id), "node": node}):
            known = sa.select(id_aliases.c.node).where(*(id_aliases.c[name] == value for name, value in row.items()))
            if session.scalar(known.where(id_aliases.c.old_id == int(one.id))) != node:
                notes.add("experiment", one.id, f"its id means another experiment of an earlier import: it has {node}")
