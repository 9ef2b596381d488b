"""The run of a report: found by the ids that it may be known under, or born with the id of the report."""

import math
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from registry.catalog import tagging
from registry.catalog.actors import Actor
from registry.catalog.experiments import get_or_create_experiment
from registry.catalog.interning import intern_names
from registry.catalog.metrics import write_points
from registry.catalog.nodes import touch
from registry.catalog.reports.ranking import Rank
from registry.catalog.reports.record import STATUS, Report, millis, worded
from registry.catalog.runs import create_run
from registry.db.session import Session
from registry.names import MAX_KEY, Author, KeyKind, Lifecycle, NodeKind, Origin, OwnerKind, Status, run_hex_or_none
from registry.tables.graph import contexts, names, params
from registry.tables.metrics import metric_points, series
from registry.tables.runs import experiments, runs
from registry.tables.service import keys

UNNAMED = "unnamed"


def find_or_make_run(session: Session, actor: Actor, report: Report, *, now: int) -> int:
    """The context id. A key that is claimed gives that run; a new run claims its keys."""
    run = report.run
    assert run is not None  # noqa: S101  (the caller has a run)
    hex = run_hex_or_none(run.id)
    uid = run_hex_or_none(report.object.uid or "")
    wanted = [(KeyKind.RUN_ID, hex), (KeyKind.KFP_RUN, hex), (KeyKind.KUBERNETES_UID, uid or hex)]
    where = (runs.c.hex == hex, runs.c.workspace == actor.workspace)
    found = session.scalar(sa.select(runs.c.id).where(*where))
    if found is None:
        claimed = sa.tuple_(keys.c.kind, keys.c.key).in_(wanted)
        query = sa.select(keys.c.node).where(keys.c.workspace == actor.workspace, claimed, keys.c.node_kind == NodeKind.CONTEXT)
        found = session.scalar(query.order_by(keys.c.node).limit(1))
    if found is None:
        experiment = get_or_create_experiment(
            session, actor, f"pipelines/{run.pipeline or UNNAMED}", now=now, derived=True, origin=Origin.AGENT
        )
        active = experiment.lifecycle is not Lifecycle.DELETED
        found = create_run(
            session,
            actor,
            now=now,
            experiment=experiment.id if active else None,
            hex=hex,
            name=run.name or report.object.name,
            status=STATUS[run.state],
            started_at=millis(run.started_at) or now,
            origin=Origin.AGENT,
        )
        if not active:  # born deleted, like all of its experiment
            values = {"experiment": experiment.id, "lifecycle": Lifecycle.DELETED}
            session.execute(sa.update(runs).where(runs.c.id == found).values(**values))
            session.execute(sa.update(contexts).where(contexts.c.id == found).values(deleted_at=now))
    claims = [(KeyKind.KUBERNETES_UID, uid)] if uid else []
    if uid and hex != uid:
        claims.append((KeyKind.KFP_RUN, hex or uid))
    rows = [
        {"workspace": actor.workspace, "kind": kind, "key": key, "node_kind": NodeKind.CONTEXT, "node": found}
        for kind, key in claims
    ]
    session.insert_ignore(keys, rows)
    return int(found)


def write_run(session: Session, actor: Actor, id: int, report: Report, before: Rank, *, now: int) -> None:
    """What the newest report says of the run, where no client has said otherwise."""
    run = report.run
    assert run is not None  # noqa: S101
    held = session.first(sa.select(runs).where(runs.c.id == id))
    assert held is not None  # noqa: S101
    values: dict[str, Any] = {"phase": run.phase}
    name = run.name or report.object.name
    if held.name_author == Author.AGENT and name:
        values["name"] = name
        session.execute(sa.update(contexts).where(contexts.c.id == id).values(name=name))
    if _may_set_status(held, report, before):
        status = STATUS[run.state]
        values |= {
            "status": status,
            "status_author": Author.AGENT,
            "started_at": millis(run.started_at) or held.started_at,
            "ended_at": millis(run.finished_at),
            "final_at": now if status.is_final else None,
        }
    if held.experiment_author == Author.AGENT and run.pipeline:
        values |= _experiment(session, actor, held, f"pipelines/{run.pipeline}", now=now)
    session.execute(sa.update(runs).where(runs.c.id == id).values(**values))
    touch(session, NodeKind.CONTEXT, id, now=now)
    replace_params(session, NodeKind.CONTEXT, {id: run.parameters})


def _may_set_status(held: Any, report: Report, before: Rank) -> bool:
    """A final state that a client set stays, unless the run was started again or a finished workflow runs again."""
    if held.status_author == Author.AGENT or held.status is None or not Status(held.status).is_final:
        return True
    assert report.run is not None  # noqa: S101
    runs_again = bool(before[2] > 0) and not STATUS[report.run.state].is_final
    return (report.object.retry_generation or 0) > max(before[0], 0) or runs_again


def _experiment(session: Session, actor: Actor, held: Any, name: str, *, now: int) -> dict[str, Any]:
    """A derived experiment follows the pipeline's name; a named one stays."""
    if held.experiment is not None:
        current = session.scalar(sa.select(experiments.c.name).where(experiments.c.id == held.experiment))
        if current == name:
            return {}
    found = get_or_create_experiment(session, actor, name, now=now, derived=True, origin=Origin.AGENT)
    return {"experiment": found.id}


def replace_params(session: Session, kind: NodeKind, values: dict[int, dict[str, Any]]) -> None:
    """The agent's params of the nodes become these; a client's stay. A null value is written as the empty text."""
    if not values:
        return
    session.execute(
        sa.delete(params).where(params.c.kind == kind, params.c.node.in_(sorted(values)), params.c.author == Author.AGENT)
    )
    entries = {
        node: {key[:MAX_KEY]: "" if value is None else worded(value)[: tagging.MAX_VALUE] for key, value in own.items() if key}
        for node, own in values.items()
    }
    tagging.set_params(session, kind, {node: own for node, own in entries.items() if own}, author=Author.AGENT)


def settle_metrics(session: Session, run: int, wanted: Mapping[str, tuple[float, int]]) -> None:
    """The agent's series of the run become exactly `wanted` ({key: (value, at)}), one point each (step 0); a client's stay."""
    held = {
        row.name: row
        for row in session.all(
            sa.select(series, names.c.name)
            .join(names, names.c.id == series.c.name_id)
            .where(series.c.owner_kind == OwnerKind.RUN, series.c.owner == run)
        )
    }
    rows: dict[str, dict[str, Any]] = {}
    for key, (value, at) in wanted.items():
        row = held.get(key)
        if row is not None and (row.author == Author.CLIENT or (row.value, row.at, row.step) == (value, at, 0)):
            continue
        rows[key] = {"owner_kind": OwnerKind.RUN, "owner": run, "dataset": 0, "at": at, "step": 0, "value": value, "special": 0}
    gone = [row.name_id for key, row in held.items() if row.author == Author.AGENT and (key not in wanted or key in rows)]
    for table in (series, metric_points):
        if gone:
            where = (table.c.owner_kind == OwnerKind.RUN, table.c.owner == run, table.c.name_id.in_(gone))
            session.execute(sa.delete(table).where(*where))
    ids = intern_names(session, rows)
    if rows:
        write_points(session, [row | {"name_id": ids[key]} for key, row in sorted(rows.items())], author=Author.AGENT)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and (isinstance(value, int) or math.isfinite(value))
