"""Experiments and runs of a Model Registry database, and the metrics and parameters of its runs and versions.

There a metric's last value and each of its earlier ones are artifacts; here they are points of a series, a parameter is one of
the run's, and both keep their number as handle.
"""

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types, tagging
from registry.catalog.actors import Actor
from registry.catalog.importing.mlmd.owned import Owned, Record, lifecycle_of, split, text_of, time_of
from registry.catalog.importing.mlmd.source import SourceNode
from registry.catalog.interning import intern_names
from registry.catalog.metrics import Point, point_rows, write_points
from registry.catalog.properties import PropertyKind
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.names import Author, NodeKind, Origin, OwnerKind, Status, check_key, check_text
from registry.tables.graph import contexts, params
from registry.tables.metrics import series
from registry.tables.models import model_versions
from registry.tables.runs import experiments, runs

MEASURES = {"kf.Metric", "kf.MetricHistory", "kf.Parameter"}
"""Types whose artifacts are no artifacts here."""

_STATUSES = {
    "SCHEDULED": Status.PENDING,
    "RUNNING": Status.RUNNING,
    "FINISHED": Status.SUCCEEDED,
    "FAILED": Status.FAILED,
    "KILLED": Status.CANCELED,
}
_HISTORY = re.compile(r"(.+)__\d+", re.DOTALL)


def insert_experiment(session: Session, record: Record) -> None:
    row = {"description": text_of(record, "description"), "artifact_location": None, "lifecycle": int(lifecycle_of(record))}
    own = {"id": record.row["id"], "workspace": record.row["workspace"], "name": record.row["name"]}
    session.insert(experiments, own | row | {"origin": int(Origin.KMR), "derived": 0})


def insert_run(session: Session, actor: Actor, record: Record, owned: Owned, *, now: int) -> bool:
    """Changes the row's name to the run's own. False: it is a run of no experiment."""
    experiment, name = split(record.row["name"], owned)
    if not experiment:
        return False
    hex = uuid.uuid5(uuid.NAMESPACE_OID, f"{actor.scope}\x00{node_types.RUN}\x00{record.row['id']}").hex
    if session.scalar(sa.select(runs.c.id).where(runs.c.hex == hex)) is not None:
        hex = uuid.uuid4().hex
    keyed = (contexts.c.scope == actor.scope, contexts.c.type_id == node_types.RUN, contexts.c.name_key == f"{experiment}:{name}")
    taken = session.scalar(sa.select(contexts.c.id).where(*keyed)) is not None
    record.row["name"], record.row["name_key"] = name, f"{experiment}:{hex if taken else name}"
    status = _STATUSES.get(text_of(record, "status") or "RUNNING", Status.UNKNOWN)
    client = int(Author.CLIENT)
    session.insert(
        runs,
        dict.fromkeys(column.name for column in runs.columns)
        | {"id": record.row["id"], "workspace": record.row["workspace"], "hex": hex, "experiment": experiment, "name": name}
        | {"experiment_author": client, "name_author": client, "status_author": client}
        | {"status": int(status), "user_name": text_of(record, "owner"), "lifecycle": int(lifecycle_of(record))}
        | {"started_at": time_of(record, "start_time_since_epoch") or record.row["created_at"] or None}
        | {"ended_at": time_of(record, "end_time_since_epoch"), "final_at": now if status.is_final else None}
        | {"artifact_root": f"{actor.workspace_name}/runs/{hex}/artifacts", "origin": int(Origin.KMR)},
    )
    return True


def write_measures(
    session: Session, nodes: Sequence[tuple[SourceNode, str]], owners: Mapping[int, int], numbers: Mapping[int, int]
) -> Iterable[str]:
    """(artifact, name of its type) as points and params of the run or version that has it. By the artifact: whose it is here,
    and its number here.

    A line for each that cannot be one.
    """
    kinds = _kinds_of(session, sorted(set(owners.values())))
    points: dict[tuple[OwnerKind, int], list[Point]] = {}
    handles: list[dict[str, Any]] = []
    values: dict[int, dict[str, str]] = {}
    told: list[tuple[int, str, int]] = []
    for node, type_name in nodes:
        owner = owners.get(node.id, 0)
        name = _name_of(node, type_name)
        kind = kinds.get(owner)
        try:
            check_key(name, "key")
            if kind is None:
                raise InvalidArgument("it is of no run and no version")
            if type_name != "kf.Parameter":
                points.setdefault((kind, owner), []).append(_point(node, name))
            else:
                values.setdefault(owner, {})[name] = check_text(str(_value(node, "value")), "value")
                told.append((owner, name, numbers[node.id]))
            if type_name == "kf.Metric":
                handles.append({"kind": int(kind), "of": owner, "name": name, "handle": numbers[node.id]})
        except InvalidArgument as error:
            yield f"artifact {node.id}: {error.message}"
    for of_kind in sorted({kind for kind, _ in points}):
        entries = [(owner, 0, found) for (kind, owner), found in sorted(points.items()) if kind is of_kind]
        write_points(session, point_rows(session, of_kind, entries))
    tagging.set_params(session, NodeKind.CONTEXT, values)
    names = intern_names(session, {one["name"] for one in handles} | {name for _, name, _ in told})
    for one in handles:
        where = (series.c.owner_kind == one["kind"], series.c.owner == one["of"], series.c.name_id == names[one["name"]])
        session.execute(sa.update(series).where(*where).values(artifact_id=one["handle"]))
    for owner, name, id in told:
        own = (params.c.kind == int(NodeKind.CONTEXT), params.c.node == owner, params.c.name_id == names[name])
        session.execute(sa.update(params).where(*own).values(artifact_id=id))


def _kinds_of(session: Session, ids: Sequence[int]) -> dict[int, OwnerKind]:
    of_runs = session.scalars(sa.select(runs.c.id).where(runs.c.id.in_(ids)))
    of_versions = session.scalars(sa.select(model_versions.c.id).where(model_versions.c.id.in_(ids)))
    return {**dict.fromkeys(of_runs, OwnerKind.RUN), **dict.fromkeys(of_versions, OwnerKind.VERSION)}


def _name_of(node: SourceNode, type_name: str) -> str:
    """Without the owner's id, and of an earlier value without its time."""
    own = (node.name or "").partition(":")[2] or node.name or ""
    earlier = _HISTORY.fullmatch(own) if type_name == "kf.MetricHistory" else None
    return earlier[1] if earlier else own


def _value(node: SourceNode, field: str) -> Any:
    found = node.properties.declared.get(field)
    return None if found is None or found.kind in {PropertyKind.STRUCT, PropertyKind.PROTO} else found.value


def _point(node: SourceNode, name: str) -> Point:
    """Raises InvalidArgument: it has no number."""
    value, at, step = _value(node, "value"), str(_value(node, "timestamp") or ""), _value(node, "step")
    if not isinstance(value, int | float):
        raise InvalidArgument("it has no number")
    when = int(at) if at.isdecimal() and int(at) < 2**63 else node.created_at
    return Point(name, float(value), when, step if isinstance(step, int) else 0)
