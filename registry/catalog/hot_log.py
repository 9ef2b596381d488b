"""The log call as the doors make it: together with what else is waiting, and on PostgreSQL as one statement.

There a careful log is five round trips (BEGIN, runs, series, points, COMMIT), which is most of what it takes. The statement
holds the runs and writes points and series if all of them can be written to as they are; else it writes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from registry.catalog.metrics import Batch, can_mirror, log_many, newer_wins, newest_rows, point_rows, wrong
from registry.db.coalescing import Answers, HotKind
from registry.db.row_inserts import array_text, ignored, text_array
from registry.db.session import Session
from registry.names import Author, Lifecycle, OwnerKind, Status
from registry.tables.metrics import metric_points, series
from registry.tables.runs import runs

_POINT = ("name_id", "dataset", "at", "step", "value", "special")
_LATEST = ("name_id", "dataset", "step", "at", "value", "special")


def log_at_once(session: Session, batches: Sequence[Batch]) -> Answers[None] | None:
    """Takes points alone, of runs that are there under their own id and neither deleted nor final (whose version moves)."""
    if not all(map(_is_plain, batches)):
        return None
    pairs = list({(batch.workspace, batch.run): None for batch in batches})
    calls = {pair: call for call, pair in enumerate(pairs, 1)}
    points = point_rows(session, OwnerKind.RUN, [(calls[batch.workspace, batch.run], 0, batch.points) for batch in batches])
    given = {
        "hexes": text_array([hex for _, hex in pairs]),
        "workspaces": array_text([workspace for workspace, _ in pairs]),
        "number": len(pairs),
        **_arrays("point", _POINT, points),
        **_arrays("latest", _LATEST, newest_rows(points, Author.CLIENT)),
    }
    return [None] * len(batches) if session.change(_text(session.connection.dialect), given).scalar() == len(pairs) else None


HOT_LOG: HotKind[Batch, None] = HotKind("log", log_many, at_once=log_at_once)


def _is_plain(batch: Batch) -> bool:
    plain = batch.points and not batch.params and not batch.tags and not any(can_mirror(point.key) for point in batch.points)
    return bool(plain) and wrong(batch) is None


def _arrays(prefix: str, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, str]:
    """Of rows whose second column is the call, which the columns `names` follow."""
    columns = list(zip(*rows, strict=True))[1:]
    return {f"{prefix}_{name}": array_text(column) for name, column in zip(("call", *names), columns, strict=False)}


@cache
def _text(dialect: sa.Dialect) -> str:
    """Answers how many of the runs it took: all, or nothing was written."""
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
    all_taken = sa.select(sa.func.count()).select_from(taken).scalar_subquery() == sa.bindparam("number", type_=sa.BigInteger())
    written = []
    for table, prefix, names, conflict in ((series, "latest", _LATEST, newer_wins), (metric_points, "point", _POINT, ignored)):
        types = {"call": sa.BigInteger()} | {name: table.c[name].type for name in names}
        rows = _unnested(prefix, {name: (type_, f"{prefix}_{name}") for name, type_ in types.items()})
        columns = {"owner_kind": _constant(OwnerKind.RUN), "owner": taken.c.id} | {name: rows.c[name] for name in names}
        if table is series:
            columns["author"] = _constant(Author.CLIENT)
        source = sa.select(*columns.values()).join_from(rows, taken, rows.c.call == taken.c.call).where(all_taken)
        source = source.order_by(taken.c.id, *(rows.c[name] for name in names))  # as all writers of the table do
        insert = postgresql.insert(table).from_select(list(columns), source, include_defaults=False)
        written.append(conflict(insert).cte(f"{prefix}_written"))
    answer = sa.select(sa.func.count()).select_from(taken).add_cte(*written)
    return str(answer.compile(dialect=dialect))


def _unnested(name: str, columns: Mapping[str, tuple[Any, str]], *, numbered: str | None = None) -> Any:
    """A table of arrays: by column its type and its parameter; `numbered`: the column that counts the rows."""
    arrays = [sa.bindparam(parameter, type_=postgresql.ARRAY(type_)) for type_, parameter in columns.values()]
    shape = [sa.column(column, type_) for column, (type_, _) in columns.items()]
    more = {} if numbered is None else {"with_ordinality": numbered}
    return sa.func.unnest(*arrays).table_valued(*shape, **more).render_derived(name=name)


def _constant(value: int) -> Any:
    """In the text, where the planner sees it."""
    return sa.literal_column(str(int(value)))
