"""Writing to the server's own nodes (`kf.*`, `lineal.*`) as ML Metadata's clients do: through the use cases that know them.

A client sends back what it has read. What is unchanged changes nothing, in whichever form it was shown; a name goes to the rename
of the record, a state to the step's or run's status, a changed tag sets the tag. Custom properties are the door's own and kept
beside the tags: a map that is replaced deletes among them only. Everything else of such a record is changed by its own calls.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from registry.catalog import artifacts, experiments, graph_steps, models, node_types, runs, tagging, version_reads, versions
from registry.catalog.actors import Actor
from registry.catalog.graph_puts import Mask, NodePut, Values, changed_values
from registry.catalog.graph_reads import DISPLAY_NAME, Node
from registry.catalog.graph_types import GraphType
from registry.catalog.properties import Properties, PropertyKind, decoded
from registry.db.session import Session
from registry.errors import InvalidArgument, NotWritable
from registry.names import NodeKind
from registry.tables.runs import runs as runs_table


@dataclass(frozen=True)
class OwnChange:
    """What a put asks of a record beside its custom properties and external id: a name, a state, tags.

    `label`: how other doors are to call it, where its name is none that a put can change.
    """

    type: GraphType
    name: str | None = None
    state: int | None = None
    label: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


def plan_own(put: NodePut, type_: GraphType, row: Any, shown: Node, mask: Mask | None) -> tuple[Values, OwnChange, bool]:
    """(the node's columns as they will be, what goes to its use cases, whether any of it differs). Pure.

    Raises:
        InvalidArgument: as of any put.
        NotWritable: the record is deleted, or the put changes what only its own calls change.
    """
    before = Values(shown.name, shown.external_id, shown.state, shown.uri, shown.properties)
    given = replace(
        put,
        name=before.name if put.name is None else put.name,
        state=before.state if put.state is None else put.state,
        uri=before.uri if put.uri is None or put.place == before.uri else put.uri,
    )
    after, _ = changed_values(given, type_, before, mask)
    held = decoded(row.properties).custom
    tags = shown.properties.custom.keys() - held.keys()
    changed = {key: value for key, value in after.properties.custom.items() if before.properties.custom.get(key) != value}
    new_tags = {key: value.value for key, value in changed.items() if key in tags and value.kind is PropertyKind.STRING}
    named = shown.label is not None and DISPLAY_NAME not in shown.tags
    custom = {
        key: value
        for key, value in after.properties.custom.items()
        if key in held or key not in tags or (key in changed and key not in new_tags)
    }
    label = new_tags.pop(DISPLAY_NAME, None) if named else None
    if (after.uri or "") != (before.uri or "") or (put.kind is NodeKind.ARTIFACT and after.state != before.state):
        raise NotWritable(f"{put.kind.name.lower()} {row.id} is a {type_.name}: its files are changed through other calls")
    columns = Values(row.name, after.external_id, row.state, getattr(row, "uri", None), Properties({}, custom))
    change = OwnChange(
        type_,
        after.name if after.name != before.name else None,
        after.state if after.state != before.state else None,
        label,
        new_tags,
    )
    own_moves = change.name or change.state is not None or label is not None or new_tags
    moves = bool(own_moves or custom != dict(held) or after.external_id != before.external_id)
    if moves and row.deleted_at is not None:
        raise NotWritable(f"{put.kind.name.lower()} {row.id} is deleted")
    return columns, change, moves


def apply_own(session: Session, actor: Actor, id: int, change: OwnChange, *, now: int) -> None:
    """Through the record's use cases; their errors."""
    if change.name is not None:
        _rename(session, actor, id, change, change.name, now=now)
    if change.state is not None:
        values = Values(None, None, change.state, None, Properties())
        if change.type.id == node_types.RUN_EXECUTION:
            hex = _run_of(session, id)
            status = graph_steps.status_of(change.type, None, change.state)
            if hex is None or status is None:
                raise NotWritable(f"execution {id} has no run")
            runs.update_run(session, actor, hex, now=now, status=status)
        elif change.type.id == node_types.STEP:
            graph_steps.follow(session, {id: (change.type, values)}, now=now)
        else:
            raise NotWritable(f"execution {id} is a {change.type.name}: its state is changed through other calls")
    if change.label is not None:
        _relabel(session, actor, id, change.type, change.label, now=now)
    if change.tags:
        tagging.set_tags(session, change.type.kind, {id: change.tags}, author=actor.author)


def _run_of(session: Session, execution: int) -> str | None:
    """The run (32 hex) whose own execution it is."""
    found: str | None = session.scalar(sa.select(runs_table.c.hex).where(runs_table.c.execution == execution))
    return found


def _relabel(session: Session, actor: Actor, id: int, type_: GraphType, label: str, *, now: int) -> None:
    hex = _run_of(session, id) if type_.id == node_types.RUN_EXECUTION else None
    if type_.id in {node_types.ARTIFACT, node_types.LOGGED_MODEL, node_types.MODEL_ARTIFACT, node_types.DOC_ARTIFACT}:
        artifacts.update_artifact(session, actor, id, now=now, display_name=label)
    elif hex is not None:
        runs.update_run(session, actor, hex, now=now, name=label)
    else:
        raise NotWritable(f"{type_.kind.name.lower()} {id} is a {type_.name}: it is called otherwise through other calls")


def _rename(session: Session, actor: Actor, id: int, change: OwnChange, name: str, *, now: int) -> None:
    match change.type.id:
        case node_types.EXPERIMENT:
            experiments.update_experiment(session, actor, id, now=now, name=name)
        case node_types.MODEL:
            models.update_model(session, actor, id, now=now, name=name)
        case node_types.VERSION:
            held = version_reads.get_version(session, actor, id)
            prefix = f"{held.model}:"
            if not name.startswith(prefix):
                raise InvalidArgument(f"the name of a version of model {held.model} begins with {prefix!r}", field="name")
            versions.update_version(session, actor, id, now=now, name=name.removeprefix(prefix))
        case node_types.RUN:
            hex = session.scalar(sa.select(runs_table.c.hex).where(runs_table.c.id == id))
            runs.update_run(session, actor, str(hex), now=now, name=name)
        case _:
            raise NotWritable(f"a {change.type.name} is renamed through other calls")
