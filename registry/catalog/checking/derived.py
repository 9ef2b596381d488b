"""What is derived from a row and stored beside it: prefixes and words of filters, hashes of locations, fragments of runs."""

import json
from collections.abc import Iterator

import sqlalchemy as sa

from registry.catalog.artifacts import location_hash
from registry.catalog.checking.problem import Problem, named
from registry.catalog.nodes import folder_hash
from registry.catalog.uses import DATASET_CONTEXT
from registry.db.session import Session
from registry.names import FragmentKind
from registry.tables.graph import artifacts, contexts, events, params, tags
from registry.tables.models import revisions
from registry.tables.runs import fragments

BATCH = 1000
LIMIT = 100
_PREFIX = 200


def check(session: Session) -> Iterator[Problem]:
    yield from _prefixes(session)
    yield from _locations(session)
    yield from _purposes(session)
    yield from _fragments(session)


def _prefixes(session: Session) -> Iterator[Problem]:
    for table in (tags, params):
        wrong = table.c.value_prefix != sa.func.substr(table.c.value, 1, _PREFIX)
        for row in session.all(sa.select(*table.primary_key.columns).where(wrong).limit(LIMIT)):
            yield Problem(table.name, named(row), "its prefix is not the beginning of its value")


def _locations(session: Session) -> Iterator[Problem]:
    for table in (artifacts, revisions):
        after = 0
        query = sa.select(table.c.id, table.c.uri, table.c.location_hash).order_by(table.c.id).limit(BATCH)
        while page := session.all(query.where(table.c.id > after)):
            for row in page:
                if row.location_hash != location_hash(row.uri):
                    yield Problem(table.name, str(row.id), "its location_hash is not that of its uri")
            after = page[-1].id
    after = 0
    query = sa.select(artifacts.c.id, artifacts.c.uri, artifacts.c.folder_hash).order_by(artifacts.c.id).limit(BATCH)
    while page := session.all(query.where(artifacts.c.id > after)):
        for row in page:
            if row.folder_hash != folder_hash(row.uri):
                yield Problem("artifacts", str(row.id), "its folder_hash is not that of its uri")
        after = page[-1].id


def _purposes(session: Session) -> Iterator[Problem]:
    after = 0
    query = sa.select(events.c.id, events.c.tags, events.c.purpose).where(events.c.tags.is_not(None))
    while page := session.all(query.where(events.c.id > after).order_by(events.c.id).limit(BATCH)):
        for row in page:
            if row.purpose != json.loads(row.tags).get(DATASET_CONTEXT):
                yield Problem("events", str(row.id), f"its purpose is not what its tag {DATASET_CONTEXT} says")
        after = page[-1].id


def _fragments(session: Session) -> Iterator[Problem]:
    """A version that the run has not reached yet would be taken for valid once it has."""
    query = (
        sa.select(fragments.c.kind, fragments.c.node, fragments.c.version, contexts.c.version.label("owners"))
        .join(contexts, contexts.c.id == fragments.c.node)
        .where(fragments.c.kind == FragmentKind.RUN_VALUES_JSON, fragments.c.version > contexts.c.version)
    )
    for row in session.all(query.limit(LIMIT)):
        what = f"is of version {row.version}, which its run has not reached: {row.owners}"
        yield Problem("fragments", named(row[:2]), what)
