"""Counters against what they count: version numbers of models, and the id sources against the highest id."""

from collections.abc import Iterator

import sqlalchemy as sa

from registry.catalog.checking.problem import Problem
from registry.db.ids import KINDS
from registry.db.session import Session
from registry.tables import graph, metrics, models, runs, service, targets

SOURCES: dict[str, list[sa.Column[int]]] = {
    "context": [graph.contexts.c.id],
    "execution": [graph.executions.c.id],
    "artifact": [graph.artifacts.c.id, metrics.series.c.artifact_id, graph.params.c.artifact_id],
    "type": [graph.types.c.id],
    "event": [graph.events.c.id],
    "name": [graph.names.c.id],
    "workspace": [service.workspaces.c.id],
    "record": [
        runs.objects.c.id,
        runs.pipelines.c.id,
        runs.pipeline_versions.c.id,
        models.datasets.c.id,
        models.traffic.c.id,
        models.revisions.c.id,
        targets.target_moves.c.id,
        service.tokens.c.id,
        service.audit_events.c.id,
        service.outbox.c.id,
        service.blobs.c.id,
    ],
}
"""Which columns hold ids of each kind of `registry/db/ids.py`."""


def check(session: Session) -> Iterator[Problem]:
    numbers = sa.select(sa.func.max(models.model_versions.c.number))
    highest = numbers.where(models.model_versions.c.model == models.registered_models.c.id).scalar_subquery()
    counters = models.registered_models.c
    query = sa.select(counters.id, counters.last_number, highest.label("highest")).where(highest > counters.last_number)
    for row in session.all(query):
        yield Problem("registered_models", str(row.id), f"its counter {row.last_number} is below its version {row.highest}")
    yield from _sources(session)


def _sources(session: Session) -> Iterator[Problem]:
    """A source below a stored id would give that id again. The ids are read first: both only grow."""
    for kind in KINDS:
        for column in SOURCES[kind]:
            top = session.scalar(sa.select(sa.func.max(column)))
            mark = _mark(session, kind)
            if top is not None and top > mark:
                yield Problem("id source", kind, f"is at {mark}, but {column.table.name} has {column.name} {top}")


def _mark(session: Session, kind: str) -> int:
    """The last id that the source gave; 0 before the first."""
    if session.dialect == "sqlite":
        statement = f"SELECT high FROM id_marks WHERE kind = '{kind}'"  # noqa: S608  (kind is one of KINDS)
    elif session.dialect == "postgresql":
        statement = f"SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM ids_{kind}"  # noqa: S608
    else:
        statement = f"SELECT MAX(id) FROM ids_{kind}"  # noqa: S608
    return int(session.scalar(sa.text(statement)) or 0)
