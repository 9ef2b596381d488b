"""Tags and params: rows of their own beside the node, read by filters and comparisons.

What the agent wrote gives way: a client's first write replaces it without error, and no report replaces what a client wrote.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from registry.catalog.interning import find_names, intern_names
from registry.db.session import Session
from registry.errors import Conflict, NotFound
from registry.names import Author, NodeKind, check_key, check_text, prefix_of
from registry.tables.graph import names, params, tags

MAX_VALUE = 1_000_000


def set_tags(
    session: Session, kind: NodeKind, values: Mapping[int, Mapping[str, str]], *, author: Author = Author.CLIENT
) -> None:
    """Upsert the tags of several nodes of one kind. A report leaves a client's tag as it is."""
    ids = intern_names(session, {check_key(key, "tag key") for entry in values.values() for key in entry})
    rows = [
        {
            "kind": kind,
            "node": node,
            "name_id": ids[key],
            "value": check_text(value, "tag value", limit=MAX_VALUE),
            "value_prefix": prefix_of(value),
            "author": author,
        }
        for node, entry in values.items()
        for key, value in entry.items()
    ]
    if author is Author.AGENT:
        rows = _without_client_rows(session, tags, kind, rows)
    session.upsert(tags, rows, key=("kind", "node", "name_id"), update=("value", "value_prefix", "author"))


def delete_tag(session: Session, kind: NodeKind, node: int, key: str) -> None:
    """Raises NotFound where there is no such tag."""
    ids = find_names(session, [key])
    gone = 0
    if key in ids:
        where = (tags.c.kind == kind, tags.c.node == node, tags.c.name_id == ids[key])
        gone = session.execute(sa.delete(tags).where(*where)).rowcount
    if not gone:
        raise NotFound("tag", key)


def set_params(
    session: Session, kind: NodeKind, values: Mapping[int, Mapping[str, str]], *, author: Author = Author.CLIENT
) -> dict[int, Conflict]:
    """Write params, which do not change once a client has set them; the same value again is fine.

    Returns the nodes whose params would change; nothing is written for them.
    """
    ids = intern_names(session, {check_key(key, "param key") for entry in values.values() for key in entry})
    rows = [
        {
            "kind": kind,
            "node": node,
            "name_id": ids[key],
            "value": check_text(value, "param value", limit=MAX_VALUE),
            "value_prefix": prefix_of(value),
            "author": author,
            "artifact_id": None,
        }
        for node, entry in values.items()
        for key, value in entry.items()
    ]
    if not rows:
        return {}
    if author is Author.AGENT:
        session.upsert(
            params,
            _without_client_rows(session, params, kind, rows),
            key=("kind", "node", "name_id"),
            update=("value", "value_prefix", "author"),
        )
        return {}
    refused = _changed(session, kind, rows)
    rows = [row for row in rows if row["node"] not in refused]
    inserted = session.insert_ignore(params, sorted(rows, key=lambda row: (row["node"], row["name_id"])))
    if inserted < len(rows):  # some are there: the same, the agent's, or just written by somebody else
        refused |= _changed(session, kind, rows)
        _take_over(session, [row for row in rows if row["node"] not in refused])
    return refused


def _take_over(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Replace what the agent wrote."""
    for row in rows:
        session.execute(
            sa.update(params)
            .where(
                params.c.kind == row["kind"],
                params.c.node == row["node"],
                params.c.name_id == row["name_id"],
                params.c.author == Author.AGENT,
            )
            .values(value=row["value"], value_prefix=row["value_prefix"], author=Author.CLIENT)
        )


def _changed(session: Session, kind: NodeKind, rows: Sequence[Mapping[str, Any]]) -> dict[int, Conflict]:
    wanted = {(row["node"], row["name_id"]): row["value"] for row in rows}
    stored = session.all(
        sa.select(params.c.node, params.c.name_id, params.c.value, names.c.name)
        .join(names, names.c.id == params.c.name_id)
        .where(
            params.c.kind == kind,
            params.c.node.in_({row["node"] for row in rows}),
            params.c.name_id.in_({row["name_id"] for row in rows}),
            params.c.author == Author.CLIENT,
        )
    )
    return {
        row.node: Conflict(
            f"param {row.name!r} is {row.value[:80]!r} already and cannot become {str(wanted[row.node, row.name_id])[:80]!r}",
            kind="param",
            key=row.name,
        )
        for row in stored
        if wanted.get((row.node, row.name_id), row.value) != row.value
    }


def _without_client_rows(
    session: Session, table: sa.Table, kind: NodeKind, rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    if not rows:
        return []
    taken = {
        (row.node, row.name_id)
        for row in session.all(
            sa.select(table.c.node, table.c.name_id).where(
                table.c.kind == kind, table.c.node.in_({row["node"] for row in rows}), table.c.author == Author.CLIENT
            )
        )
    }
    return [row for row in rows if (row["node"], row["name_id"]) not in taken]


def read_pairs(
    session: Session, table: sa.Table, kind: NodeKind, nodes: Sequence[int], *, keys: Iterable[str] | None = None
) -> dict[int, dict[str, str]]:
    """Tags or params (`table`) of the nodes, keys in code-point order; one statement for all of them."""
    found: dict[int, dict[str, str]] = defaultdict(dict)
    if not nodes:
        return found
    query = (
        sa.select(table.c.node, names.c.name, table.c.value)
        .join(names, names.c.id == table.c.name_id)
        .where(table.c.kind == kind, table.c.node.in_(nodes))
        .order_by(table.c.node, names.c.name)
    )
    if keys is not None:
        query = query.where(names.c.name.in_(list(keys)))
    for row in session.all(query):
        found[row.node][row.name] = row.value
    return found
