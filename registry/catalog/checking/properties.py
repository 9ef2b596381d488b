"""The blob of every node against its index rows."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from registry.catalog.checking.problem import Problem
from registry.catalog.nodes import TABLES
from registry.catalog.properties import decoded, index_rows
from registry.db.session import Session
from registry.names import NodeKind
from registry.tables.graph import names, properties

BATCH = 1000
_VALUES = ("int_value", "double_value", "string_value", "string_prefix", "bool_value")


def check(session: Session) -> Iterator[Problem]:
    for kind, table in TABLES.items():
        after = 0
        while True:
            page = sa.select(table.c.id, table.c.properties).where(table.c.id > after).order_by(table.c.id).limit(BATCH)
            nodes = session.all(page)
            if not nodes:
                break
            indexed = _indexed(session, kind, [node.id for node in nodes])
            for node in nodes:
                yield from _compare(table.name, node, indexed[node.id])
            after = nodes[-1].id


def _compare(name: str, node: sa.Row[Any], found: dict[tuple[int, str], tuple[Any, ...]]) -> Iterator[Problem]:
    try:
        rows = index_rows(decoded(node.properties))
    except (ValueError, KeyError, TypeError) as error:
        yield Problem(name, str(node.id), f"its properties cannot be read: {error}")
        return
    wanted = {(space, key): tuple(values) for space, key, *values in rows}
    for key in sorted(wanted.keys() | found.keys()):
        if wanted.get(key) != found.get(key):
            yield Problem(name, str(node.id), f"property {key[1]!r} differs between blob and index")


def _indexed(session: Session, kind: NodeKind, nodes: list[int]) -> dict[int, dict[tuple[int, str], tuple[Any, ...]]]:
    found: dict[int, dict[tuple[int, str], tuple[Any, ...]]] = defaultdict(dict)
    query = (
        sa.select(properties, names.c.name)
        .join(names, names.c.id == properties.c.name_id)
        .where(properties.c.kind == kind, properties.c.node.in_(nodes))
    )
    for row in session.all(query):
        found[row.node][row.space, row.name] = tuple(getattr(row, column) for column in _VALUES)
    return found
