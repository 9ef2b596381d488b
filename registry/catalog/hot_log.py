"""The log call as the doors make it: together with what else is waiting, and on PostgreSQL as one statement.

There a careful log is five round trips (BEGIN, runs, series, points, COMMIT), one or two more with params, which is most of what
it takes. The statement holds the runs and writes points, series and params if all of them can be written as they are; else it
writes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from registry.catalog import tagging
from registry.catalog.metrics import Batch, can_mirror, log_many, newer_wins, newest_rows, point_rows, wrong
from registry.db.coalescing import Answers, HotKind
from registry.db.row_inserts import array_of, array_text, element_of, ignored, refused, text_array
from registry.db.session import Session
from registry.names import Author, Lifecycle, NodeKind, OwnerKind, Status
from registry.tables.graph import params
from registry.tables.metrics import metric_points, series
from registry.tables.runs import runs

_POINT = ("name_id", "dataset", "at", "step", "value", "special")
_LATEST = ("name_id", "dataset", "step", "at", "value", "special")
_PARAM = ("name_id", "value", "value_prefix", "author")
_SERIES_PART = (series, "latest", _LATEST, newer_wins)
_POINT_PART = (metric_points, "point", _POINT, ignored)
_PARAM_PART = (params, "param", _PARAM, refused)


def log_at_once(session: Session, batches: Sequence[Batch]) -> Answers[None] | None:
    """Takes points and params that are not there yet, of runs that are there under their own id and neither deleted nor final
    (whose version moves).
    """
    if not all(map(_is_plain, batches)):
        return None
    pairs = list({(batch.workspace, batch.run): None for batch in batches})
    calls = {pair: call for call, pair in enumerate(pairs, 1)}
    given: dict[str, Any] = {
        "hexes": text_array([hex for _, hex in pairs]),
        "workspaces": array_text([workspace for workspace, _ in pairs]),
        "number": len(pairs),
    }
    points = point_rows(session, OwnerKind.RUN, [(calls[batch.workspace, batch.run], 0, batch.points) for batch in batches])
    if points:
        given |= _arrays(_POINT_PART, points) | _arrays(_SERIES_PART, newest_rows(points, Author.CLIENT))
    values: dict[int, dict[str, str]] = {}
    for batch in batches:
        own = values.setdefault(calls[batch.workspace, batch.run], {})
        if not own.keys().isdisjoint(batch.params):
            return None
        own.update(batch.params)
    pairs_given = tagging.pair_rows(session, NodeKind.CONTEXT, values, Author.CLIENT)
    if pairs_given:
        given |= _arrays(_PARAM_PART, pairs_given)
    text = _text(session.connection.dialect, bool(points), bool(pairs_given))
    try:
        return [None] * len(batches) if session.change(text, given).scalar() else None
    except sa.exc.IntegrityError:  # somebody else has just set one of the params
        return None


HOT_LOG: HotKind[Batch, None] = HotKind("log", log_many, at_once=log_at_once)


def _is_plain(batch: Batch) -> bool:
    plain = (batch.points or batch.params) and not batch.tags and not any(can_mirror(point.key) for point in batch.points)
    return bool(plain) and wrong(batch) is None


def _arrays(part: Any, rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """Of rows whose second column is the call, which the part's columns follow."""
    table, prefix, names, _ = part
    columns = list(zip(*rows, strict=True))[1:]
    given = {f"{prefix}_{name}": array_of(table.c[name].type)(own) for name, own in zip(names, columns[1:], strict=False)}
    return {f"{prefix}_call": array_text(columns[0])} | given


@cache
def _text(dialect: sa.Dialect, with_points: bool, with_params: bool) -> str:
    """Answers whether it took all of the runs: else nothing was written."""
    given = _unnested("given", {"hex": (sa.Text(), "hexes"), "workspace": (sa.BigInteger(), "workspaces")}, numbered="call")
    taken = (
        sa.select(runs.c.id, given.c.call)
        .join_from(given, runs, (runs.c.hex == given.c.hex) & (runs.c.workspace == given.c.workspace))
        .where(
            runs.c.lifecycle != _constant(Lifecycle.DELETED),
            runs.c.status.is_(None) | runs.c.status.in_([_constant(status) for status in Status if not status.is_final]),
        )
        .order_by(runs.c.id)
        .with_for_update(read=True, key_share=True, of=runs)
        .cte("taken")
    )
    takes = sa.select(sa.func.count()).select_from(taken).scalar_subquery() == sa.bindparam("number", type_=sa.BigInteger())
    parts = [*([_SERIES_PART, _POINT_PART] if with_points else []), *([_PARAM_PART] if with_params else [])]
    rows = {prefix: _rows(table, prefix, names) for table, prefix, names, _ in parts}
    if with_params:
        own = rows["param"]
        same = params.c.kind == _constant(NodeKind.CONTEXT), params.c.node == taken.c.id, params.c.name_id == own.c.name_id
        # A look-up for each: joined, PostgreSQL reads the whole table where it was small when the statement was prepared.
        there = sa.select(params.c.node).where(*same).correlate(taken, own).scalar_subquery()
        some = sa.select(taken.c.id).join_from(own, taken, own.c.call == taken.c.call).where(there.is_not(None))
        takes &= ~some.exists()
    ready = sa.select(takes.label("all_of_them")).cte("ready")
    all_of_them = sa.select(ready.c.all_of_them).scalar_subquery()
    written = []
    for table, prefix, names, conflict in parts:
        own = rows[prefix]
        columns = _owner(table, taken) | {name: own.c[name] for name in names}
        source = sa.select(*columns.values()).join_from(own, taken, own.c.call == taken.c.call).where(all_of_them)
        key = (own.c[name] for name in names if table.c[name].primary_key)
        source = source.order_by(taken.c.id, *key)  # as all writers of the table do
        insert = postgresql.insert(table).from_select(list(columns), source, include_defaults=False)
        written.append(conflict(insert).cte(f"{prefix}_written"))
    return str(sa.select(ready.c.all_of_them).add_cte(*written).compile(dialect=dialect))


def _rows(table: sa.Table, prefix: str, names: Sequence[str]) -> Any:
    types = {"call": sa.BigInteger()} | {name: element_of(table.c[name]) for name in names}
    return _unnested(prefix, {name: (type_, f"{prefix}_{name}") for name, type_ in types.items()})


def _owner(table: sa.Table, taken: Any) -> dict[str, Any]:
    """The columns that say whose the row is, and what all rows have."""
    if table is params:
        return {"kind": _constant(NodeKind.CONTEXT), "node": taken.c.id}
    own = {"owner_kind": _constant(OwnerKind.RUN), "owner": taken.c.id}
    return own | {"author": _constant(Author.CLIENT)} if table is series else own


def _unnested(name: str, columns: Mapping[str, tuple[Any, str]], *, numbered: str | None = None) -> Any:
    """A table of arrays: by column its type and its parameter; `numbered`: the column that counts the rows."""
    arrays = [sa.bindparam(parameter, type_=postgresql.ARRAY(type_)) for type_, parameter in columns.values()]
    shape = [sa.column(column, type_) for column, (type_, _) in columns.items()]
    more = {} if numbered is None else {"with_ordinality": numbered}
    return sa.func.unnest(*arrays).table_valued(*shape, **more).render_derived(name=name)


def _constant(value: int) -> Any:
    """In the text, where the planner sees it."""
    return sa.literal_column(str(int(value)))
