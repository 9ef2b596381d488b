"""Tags and params: rows of their own beside the node, read by filters and comparisons.

What the agent wrote gives way: a client's first write replaces it without error, and no report replaces what a client wrote.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from registry.catalog.interning import find_names, intern_names
from registry.db.row_inserts import RowInsert, ignored, replaced
from registry.db.row_reads import RowRead, among
from registry.db.session import Session
from registry.errors import Conflict, NotFound
from registry.names import Author, NodeKind, check_key, check_text, prefix_of
from registry.tables.graph import names, params, tags

MAX_VALUE = 1_000_000
PairRow = tuple[int, int, int, str, str, int]
"""Of `tags` and `params`, in their columns' order: kind, node, name, value, its prefix, author."""

_COLUMNS = ("kind", "node", "name_id", "value", "value_prefix", "author")
_WRITTEN = ("value", "value_prefix", "author")
TAGS = RowInsert(tags, _COLUMNS, replaced(*_WRITTEN))
_PARAMS = RowInsert(params, _COLUMNS, ignored)
_AGENT_PARAMS = RowInsert(params, _COLUMNS, replaced(*_WRITTEN))


def check_tags(values: Mapping[str, str]) -> None:
    """Raises InvalidArgument: a key or a value that cannot be kept."""
    for key, value in values.items():
        check_key(key, "tag key")
        check_text(value, "tag value", limit=MAX_VALUE)


def set_tags(
    session: Session, kind: NodeKind, values: Mapping[int, Mapping[str, str]], *, author: Author = Author.CLIENT
) -> None:
    """Upsert the tags of several nodes of one kind. A report leaves a client's tag as it is. Raises InvalidArgument."""
    for entry in values.values():
        check_tags(entry)
    rows = pair_rows(session, kind, values, author)
    if author is Author.AGENT:
        rows = _without_client_rows(session, tags, kind, rows)
    TAGS.run(session, rows)


def pair_rows(session: Session, kind: NodeKind, values: Mapping[int, Mapping[str, str]], author: Author) -> list[PairRow]:
    """In key order. Interns their names."""
    ids = intern_names(session, {key for entry in values.values() for key in entry})
    kind_, author_ = int(kind), int(author)
    rows = [
        (kind_, node, ids[key], value, prefix_of(value), author_)
        for node, entry in values.items()
        for key, value in entry.items()
    ]
    rows.sort()
    return rows


def delete_tag(session: Session, kind: NodeKind, node: int, key: str) -> None:
    """Raises NotFound where there is no such tag."""
    if not remove_tag(session, kind, node, key):
        raise NotFound("tag", key)


def remove_tag(session: Session, kind: NodeKind, node: int, key: str, *, author: Author | None = None) -> bool:
    """Whether there was one; of `author` alone, if given."""
    ids = find_names(session, [key])
    if key not in ids:
        return False
    where = [tags.c.kind == kind, tags.c.node == node, tags.c.name_id == ids[key]]
    if author is not None:
        where.append(tags.c.author == author)
    return bool(session.execute(sa.delete(tags).where(*where)).rowcount)


def set_params(
    session: Session, kind: NodeKind, values: Mapping[int, Mapping[str, str]], *, author: Author = Author.CLIENT
) -> dict[int, Conflict]:
    """Write params, which do not change once a client has set them; the same value again is fine.

    Returns the nodes whose params would change; nothing is written for them.
    """
    for entry in values.values():
        for key, value in entry.items():
            check_key(key, "param key")
            check_text(value, "param value", limit=MAX_VALUE)
    rows = pair_rows(session, kind, values, author)
    if not rows:
        return {}
    if author is Author.AGENT:
        _AGENT_PARAMS.run(session, _without_client_rows(session, params, kind, rows))
        return {}
    refused = _changed(session, rows)
    rows = [row for row in rows if row[1] not in refused]
    if _PARAMS.run(session, rows) < len(rows):  # some are there: the same, the agent's, or just written by somebody else
        refused |= _changed(session, rows)
        _take_over(session, [row for row in rows if row[1] not in refused])
    return refused


def _take_over(session: Session, rows: Sequence[PairRow]) -> None:
    """Replace what the agent wrote."""
    for kind, node, name_id, value, prefix, _ in rows:
        where = (params.c.kind == kind, params.c.node == node, params.c.name_id == name_id, params.c.author == Author.AGENT)
        session.execute(sa.update(params).where(*where).values(value=value, value_prefix=prefix, author=Author.CLIENT))


_HELD = RowRead(
    lambda: (
        sa.select(params.c.node, params.c.name_id, params.c.value, names.c.name)
        .join(names, names.c.id == params.c.name_id)
        .where(
            params.c.kind == sa.bindparam("kind"),
            among(params.c.node, "nodes"),
            among(params.c.name_id, "names"),
            params.c.author == sa.literal_column(str(int(Author.CLIENT))),
        )
    )
)


def _changed(session: Session, rows: Sequence[PairRow]) -> dict[int, Conflict]:
    """Of rows of one kind."""
    if not rows:
        return {}
    wanted = {(node, name_id): value for _, node, name_id, value, _, _ in rows}
    nodes, name_ids = sorted({row[1] for row in rows}), sorted({row[2] for row in rows})
    return {
        node: Conflict(
            f"param {name!r} is {value[:80]!r} already and cannot become {wanted[node, name_id][:80]!r}", kind="param", key=name
        )
        for node, name_id, value, name in _HELD.run(session, kind=rows[0][0], nodes=nodes, names=name_ids)
        if wanted.get((node, name_id), value) != value
    }


def _without_client_rows(session: Session, table: sa.Table, kind: NodeKind, rows: Sequence[PairRow]) -> list[PairRow]:
    if not rows:
        return []
    nodes = {row[1] for row in rows}
    query = sa.select(table.c.node, table.c.name_id).where(
        table.c.kind == kind, table.c.node.in_(nodes), table.c.author == Author.CLIENT
    )
    taken = {(row.node, row.name_id) for row in session.all(query)}
    return [row for row in rows if (row[1], row[2]) not in taken]


def read_pairs(
    session: Session, table: sa.Table, kind: NodeKind, nodes: Sequence[int], *, keys: Iterable[str] | None = None
) -> dict[int, dict[str, str]]:
    """Tags or params (`table`) of the nodes, keys in code-point order; one statement for all of them."""
    found: dict[int, dict[str, str]] = defaultdict(dict)
    if not nodes:
        return found
    if keys is None:
        rows = _all_pairs(table).run(session, nodes, kind=int(kind))
    else:
        rows = session.tuples(_some_pairs(table), {"kind": int(kind), "nodes": list(nodes), "keys": list(keys)})
    for node, name, value in rows:
        found[node][name] = value
    return found


@cache
def _all_pairs(table: sa.Table) -> RowRead:
    return RowRead(lambda: _pairs(table).where(among(table.c.node)))


@cache
def _some_pairs(table: sa.Table) -> Any:
    """Takes `kind`, `nodes` and `keys`."""
    some = table.c.node.in_(sa.bindparam("nodes", expanding=True)), names.c.name.in_(sa.bindparam("keys", expanding=True))
    return _pairs(table).where(*some)


def _pairs(table: sa.Table) -> Any:
    query = sa.select(table.c.node, names.c.name, table.c.value).join(names, names.c.id == table.c.name_id)
    return query.where(table.c.kind == sa.bindparam("kind")).order_by(table.c.node, names.c.name)
