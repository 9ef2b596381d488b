"""Counters against what they count: version numbers of models, and the id sources against the highest id."""

from collections.abc import Iterator

import sqlalchemy as sa

from registry.catalog.checking.problem import Problem
from registry.db.session import Session
from registry.tables.graph import artifacts, contexts, events, executions, names
from registry.tables.models import model_versions, registered_models


def check(session: Session) -> Iterator[Problem]:
    numbers = sa.select(sa.func.max(model_versions.c.number))
    highest = numbers.where(model_versions.c.model == registered_models.c.id).scalar_subquery()
    query = sa.select(registered_models.c.id, registered_models.c.last_number, highest.label("highest"))
    for row in session.all(query.where(highest > registered_models.c.last_number)):
        yield Problem("registered_models", str(row.id), f"counter {row.last_number} is below version {row.highest}")
    if session.dialect == "sqlite":
        yield from _marks(session)


def _marks(session: Session) -> Iterator[Problem]:
    """On SQLite: a mark below a stored id would give that id again."""
    tables = {"context": contexts, "execution": executions, "artifact": artifacts, "event": events, "name": names}
    marks = {row.kind: row.high for row in session.all(sa.text("SELECT kind, high FROM id_marks"))}
    for kind, table in tables.items():
        top = session.scalar(sa.select(sa.func.max(table.c.id)))
        if top is not None and top > marks.get(kind, 0):
            yield Problem("id_marks", kind, f"is {marks.get(kind, 0)}, but {table.name} has id {top}")
