"""Names that only one live record may have but no unique key of the record's own table holds, and targets of another model."""

from collections.abc import Iterator

import sqlalchemy as sa

from registry.catalog.checking.problem import Problem, named
from registry.db.session import Session
from registry.names import Lifecycle
from registry.tables.graph import contexts
from registry.tables.models import environments, model_versions, registered_models
from registry.tables.runs import experiments
from registry.tables.targets import aliases, stages

LIMIT = 100


def check(session: Session) -> Iterator[Problem]:
    live = sa.exists().where(contexts.c.id == environments.c.id, contexts.c.deleted_at.is_(None))
    yield from _twice(session, experiments, "workspace", sa.true())  # a deleted experiment keeps its name
    yield from _twice(session, registered_models, "workspace", registered_models.c.lifecycle != Lifecycle.DELETED)
    yield from _twice(session, model_versions, "model", model_versions.c.lifecycle != Lifecycle.DELETED)
    yield from _twice(session, environments, "workspace", live)
    for table in (aliases, stages):
        query = (
            sa.select(*table.primary_key.columns)
            .join(model_versions, model_versions.c.id == table.c.model_version)
            .where(model_versions.c.model != table.c.model)
        )
        for row in session.all(query.limit(LIMIT)):
            yield Problem(table.name, named(row), "names a version of another model")


def _twice(session: Session, table: sa.Table, scope: str, live: sa.ColumnElement[bool]) -> Iterator[Problem]:
    query = (
        sa.select(table.c.name, sa.func.min(table.c.id).label("first"), sa.func.max(table.c.id).label("other"))
        .where(live)
        .group_by(table.c[scope], table.c.name)
        .having(sa.func.count() > 1)
        .limit(LIMIT)
    )
    for row in session.all(query):
        yield Problem(table.name, str(row.other), f"has the name {row.name!r}, which {row.first} has as well")
