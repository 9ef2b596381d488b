"""What edges there are in the tables: one SELECT for each kind of edge, kind of node and direction.

All take `ids` (`among`) and `workspace`. A run is one node, its context: the execution that stands for it in events is never
shown. One that read or wrote an artifact in several ways did so once. An edge without a time of its own has the creation of its
target.
"""

from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from lineage.graph import Direction, EdgeKind
from lineage.graph import NodeKind as LineageKind
from registry.catalog.lineage_places import (
    fetched,
    fetched_with_folder,
    labelled,
    lies_in_what_is_registered,
    lies_where_registered,
    named,
    routed,
    served,
    taken_from,
)
from registry.catalog.lineage_selects import ARTIFACT, CONTEXT, EXECUTION, Column, Part, code_of, ends, is_here, kind_of, number
from registry.db.row_reads import among
from registry.names import INPUT_EVENTS, OUTPUT_EVENTS, LinkKind, NodeKind
from registry.tables.graph import artifacts, associations, contexts, derivations, events, executions, links
from registry.tables.models import deployments, model_versions
from registry.tables.runs import runs

_STORED = {
    LineageKind.ARTIFACT: NodeKind.ARTIFACT,
    LineageKind.CONTEXT: NodeKind.CONTEXT,
    LineageKind.EXECUTION: NodeKind.EXECUTION,
}


def parts(kind: LineageKind, direction: Direction) -> list[Part]:
    """Of the edges into (UPSTREAM) or out of (DOWNSTREAM) nodes of a kind."""
    outward = direction is Direction.DOWNSTREAM
    return [*_OWN[kind](outward), *_linked(kind, outward=outward)]


def own_run(execution: Column) -> Column:
    """Id of the run that the execution stands for, or NULL. `runs.execution` has no index, so by the association."""
    belongs, run = associations.alias(), runs.alias()
    query = sa.select(sa.func.min(run.c.id)).select_from(belongs).join(run, run.c.id == belongs.c.context)
    query = query.where(belongs.c.execution == execution, run.c.execution == execution)
    return query.correlate_except(belongs, run).scalar_subquery()


_USE: dict[str, Any] = {"at": events.c.at, "role": events.c.port, "is_repeated": True}


def _read_or_written(kind: EdgeKind) -> Column:
    return events.c.type.in_([number(type) for type in (INPUT_EVENTS if kind is EdgeKind.INPUT else OUTPUT_EVENTS)])


def _used_by(*, outward: bool) -> Part:
    """From artifacts to who read or wrote them."""
    kind = EdgeKind.INPUT if outward else EdgeKind.OUTPUT
    near, far = events.c.artifact, events.c.execution
    where = among(near), _read_or_written(kind), is_here(executions, far)
    return Part(code_of(kind, outward=outward), near, EXECUTION, far, events, where, run=own_run(far), **_USE)


def _uses(*, outward: bool) -> Part:
    """From executions to what they read or wrote."""
    kind = EdgeKind.OUTPUT if outward else EdgeKind.INPUT
    near, far = events.c.execution, events.c.artifact
    where = among(near), _read_or_written(kind), is_here(artifacts, far)
    return Part(code_of(kind, outward=outward), near, ARTIFACT, far, events, where, **_USE)


def _uses_of_runs(*, outward: bool) -> Part:
    """From runs to what they themselves, in no step, read or wrote."""
    kind = EdgeKind.OUTPUT if outward else EdgeKind.INPUT
    far = events.c.artifact
    rows = sa.join(runs, events, events.c.execution == runs.c.execution)
    where = among(runs.c.id), _read_or_written(kind), is_here(artifacts, far)
    return Part(code_of(kind, outward=outward), runs.c.id, ARTIFACT, far, rows, where, **_USE)


def _derived(*, outward: bool) -> Part:
    near, far = ends(derivations.c.source, derivations.c.target, outward=outward)
    where = among(near), is_here(artifacts, far)
    more: dict[str, Any] = {"at": derivations.c.at, "inferred": derivations.c.inferred}
    return Part(code_of(EdgeKind.DERIVATION, outward=outward), near, ARTIFACT, far, derivations, where, **more)


def _steps(*, outward: bool) -> Part:
    """Between runs and the executions in them: what belongs to a run has its workspace."""
    near, far = ends(associations.c.context, associations.c.execution, outward=outward)
    context, execution = associations.c.context, associations.c.execution
    rows = sa.join(associations, executions, executions.c.id == execution)
    where = among(near), is_here(runs, context), is_here(executions, execution), own_run(execution).is_(None)
    kind = EXECUTION if outward else CONTEXT
    return Part(code_of(EdgeKind.CONTAINS, outward=outward), near, kind, far, rows, where, executions.c.created_at)


def _nested(*, outward: bool) -> Part:
    near, far = ends(runs.c.parent, runs.c.id, outward=outward)
    rows = sa.join(runs, contexts, contexts.c.id == runs.c.id)
    where = among(near), is_here(runs, runs.c.id), is_here(runs, runs.c.parent)
    return Part(code_of(EdgeKind.CONTAINS, outward=outward), near, CONTEXT, far, rows, where, contexts.c.created_at)


def _registered(source: Column, table: sa.Table, source_kind: Column, *, outward: bool) -> Part:
    """From artifacts, or runs, to the versions that were made of them."""
    near, far = ends(source, model_versions.c.id, outward=outward)
    rows = sa.join(model_versions, contexts, contexts.c.id == model_versions.c.id)
    where = among(near), is_here(model_versions, model_versions.c.id), is_here(table, source)
    kind = CONTEXT if outward else source_kind
    return Part(code_of(EdgeKind.REGISTERED_AS, outward=outward), near, kind, far, rows, where, contexts.c.created_at)


def _registered_artifact(*, outward: bool) -> Part:
    return _registered(model_versions.c.artifact, artifacts, ARTIFACT, outward=outward)


def _registered_run(*, outward: bool) -> Part:
    return _registered(model_versions.c.run, runs, CONTEXT, outward=outward)


def _deployed(*, outward: bool) -> Part:
    near, far = ends(deployments.c.model_version, deployments.c.id, outward=outward)
    rows = sa.join(deployments, contexts, contexts.c.id == deployments.c.id)
    where = among(near), is_here(deployments, deployments.c.id), is_here(model_versions, deployments.c.model_version)
    return Part(code_of(EdgeKind.DEPLOYED_AS, outward=outward), near, CONTEXT, far, rows, where, contexts.c.created_at)


def _linked(kind: LineageKind, *, outward: bool) -> Iterator[Part]:
    """Links name the later one first: `from` was reused from `to`. SAME_AS has no direction; its source is `from`."""
    for near, far, near_is_source in (("to", "from", False), ("from", "to", True)):
        is_reused = links.c.kind == number(LinkKind.REUSED_FROM)
        here, far_kind, far_node = links.c[f"{near}_node"], links.c[f"{far}_kind"], links.c[f"{far}_node"]
        # Not by the kind, which is the first column of the primary key: a planner without statistics would read all links of it.
        wanted = links.c.kind + number(0) == number(LinkKind.SAME_AS)
        if near == "to":  # a node that is linked to itself is met once
            wanted = sa.and_(wanted, sa.or_(links.c.from_kind != links.c.to_kind, links.c.from_node != links.c.to_node))
        if outward is (near == "to"):
            wanted = sa.or_(wanted, is_reused)
        where = links.c[f"{near}_kind"] == number(_STORED[kind]), among(here), wanted, _is_visible(far_kind, far_node)
        same, reused = code_of(EdgeKind.SAME_AS, outward=near_is_source), code_of(EdgeKind.REUSED_FROM, outward=outward)
        numbers = [(far_kind == number(there), kind_of(of)) for of, there in _STORED.items()]
        more: dict[str, Any] = {"at": links.c.at, "inferred": links.c.inferred}
        yield Part(sa.case((is_reused, reused), else_=same), here, sa.case(*numbers), far_node, links, where, **more)


def _is_visible(kind: Column, id: Column) -> Column:
    return sa.or_(
        sa.and_(kind == number(NodeKind.ARTIFACT), is_here(artifacts, id)),
        sa.and_(kind == number(NodeKind.CONTEXT), is_here(contexts, id)),
        sa.and_(kind == number(NodeKind.EXECUTION), is_here(executions, id), own_run(id).is_(None)),
    )


_FROM_ARTIFACTS = (_registered_artifact, lies_where_registered, lies_in_what_is_registered, fetched, fetched_with_folder)


def _of_artifacts(outward: bool) -> list[Part]:
    below = [part(outward=True) for part in _FROM_ARTIFACTS] if outward else []
    return [_used_by(outward=outward), _derived(outward=outward), taken_from(outward=outward), *below]


def _of_executions(outward: bool) -> list[Part]:
    return [_uses(outward=outward), *([] if outward else [_steps(outward=False)])]


def _of_contexts(outward: bool) -> list[Part]:
    one_way = [_steps(outward=True)] if outward else [part(outward=False) for part in _FROM_ARTIFACTS]
    both = [_nested, _registered_run, _deployed, served, labelled, named, routed]
    return [_uses_of_runs(outward=outward), *one_way, *(part(outward=outward) for part in both)]


_OWN: dict[LineageKind, Callable[[bool], list[Part]]] = {
    LineageKind.ARTIFACT: _of_artifacts,
    LineageKind.EXECUTION: _of_executions,
    LineageKind.CONTEXT: _of_contexts,
}
