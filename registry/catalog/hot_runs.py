"""Making runs as the doors do it: together with what else is waiting, and on PostgreSQL as one statement.

With care it is three there: the experiments, ids, all rows. The statement looks at the experiments, draws an id for each run that
may be made, writes all rows of those, and tells what it found: nothing is read after what has committed by itself.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from registry.catalog import tagging
from registry.catalog.run_creation import Home, NewRun, create_runs, made_run, node_of, refusal, run_row, wrong
from registry.catalog.runs import Run
from registry.db.coalescing import Answers, HotKind
from registry.db.ids import NODE_LIMIT, below_limit
from registry.db.row_inserts import array_of, element_of
from registry.db.session import Session
from registry.errors import RegistryError
from registry.names import Lifecycle, NodeKind, Origin
from registry.tables.graph import contexts, tags
from registry.tables.runs import runs

Columns = Sequence[sa.Column[Any]]
_RUN: Columns = [column for column in runs.columns if column.name != "id"]
_NODE: Columns = [column for column in contexts.columns if column.name != "id"]
_TAG: Columns = [tags.c[name] for name in ("node", "name_id", "value", "value_prefix", "author")]
"""`node`: the place of its run, from 1."""


def create_at_once(session: Session, wanted: Sequence[NewRun]) -> Answers[Run] | None:
    """A parent has to be held until its child is there: that takes a transaction. None also where a run's id is taken."""
    if any(new.parent_hex is not None or wrong(new) is not None for new in wanted):
        return None
    given = {
        **_arrays("run", _RUN, [tuple(run_row(new, 0, None, None).values())[1:] for new in wanted]),
        **_arrays("node", _NODE, [tuple(node_of(new, 0).values())[1:] for new in wanted]),
        **_arrays("tag", _TAG, _tags(session, wanted)),
    }
    try:
        rows: Sequence[Any] = session.change(_text(session.connection.dialect), given).all()
    except sa.exc.IntegrityError:
        return None
    below_limit("context", sorted(row.id for row in rows if row.id is not None))
    answers: dict[int, Run | RegistryError] = {}
    for place, id, name, lifecycle, location in rows:
        new, home = wanted[place - 1], None if name is None else Home(name, Lifecycle(lifecycle), location)
        answers[place] = refusal(new, home, None) or made_run(new, id, home, None)
    return [answers[place] for place in sorted(answers)]


HOT_CREATE: HotKind[NewRun, Run] = HotKind("create run", create_runs, replayable=False, at_once=create_at_once)
"""Of runs whose tags name no KFP run: these may become one with another (`merging.create_claiming`)."""


def _tags(session: Session, wanted: Sequence[NewRun]) -> list[tuple[Any, ...]]:
    rows: list[tagging.PairRow] = []
    for author in {new.actor.author for new in wanted}:
        tagged = {place: new.tags for place, new in enumerate(wanted, 1) if new.actor.author == author}
        rows += tagging.pair_rows(session, NodeKind.CONTEXT, tagged, author)
    return [row[1:] for row in rows]


def _arrays(prefix: str, columns: Columns, rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    values = zip(*rows, strict=True) if rows else [()] * len(columns)
    return {f"{prefix}_{column.name}": array_of(column.type)(own) for column, own in zip(columns, values, strict=True)}


_UNDER = """CASE WHEN strpos({location}, '://') > 0 AND strpos({location}, '?') > 0
    THEN rtrim(split_part({location}, '?', 1), '/') || '/' || {path} || substr({location}, strpos({location}, '?'))
    ELSE rtrim({location}, '/') || '/' || {path} END"""
"""`storage.locations.under` in PostgreSQL."""


@cache
def _text(dialect: sa.Dialect) -> str:
    """Answers of each run its place, from 1, its id, if it was made, and the experiment's name, lifecycle and location.

    Nothing is written if ids have come to their end.
    """

    def unnested(prefix: str, columns: Columns) -> str:
        types = (element_of(column).compile(dialect=dialect) for column in columns)
        return ", ".join(f"%({prefix}_{column.name})s::{type_}[]" for column, type_ in zip(columns, types, strict=True))

    def named(columns: Columns, of: str = "") -> str:
        return ", ".join(f"{of}{column.name}" for column in columns)

    below = f"(SELECT max(id) FROM drawn) <= {NODE_LIMIT}"  # noqa: S608  (a number of our own)
    others = [column for column in _RUN if column.name != "artifact_root"]
    return f"""
        WITH given AS (
            SELECT * FROM unnest({unnested("run", _RUN)}) WITH ORDINALITY AS given ({named(_RUN)}, place)
        ), homed AS (
            SELECT place, experiment, experiments.name, experiments.lifecycle, experiments.artifact_location AS location
            FROM given LEFT JOIN experiments ON experiments.id = experiment AND experiments.workspace = given.workspace
        ), drawn AS MATERIALIZED (
            SELECT place, nextval('ids_context') AS id, location FROM homed
            WHERE experiment IS NULL OR lifecycle <> {int(Lifecycle.DELETED)}
        ), of_runs AS (
            INSERT INTO runs (id, {named(others)}, artifact_root)
            SELECT drawn.id, {named(others, "given.")}, CASE
                WHEN given.origin = {int(Origin.MLFLOW)} AND drawn.location <> ''
                THEN {_UNDER.format(path="given.hex || '/artifacts'", location="drawn.location")} ELSE given.artifact_root END
            FROM drawn JOIN given ON given.place = drawn.place WHERE {below}
        ), of_nodes AS (
            INSERT INTO contexts (id, {named(_NODE)})
            SELECT drawn.id, {named(_NODE, "node.")}
            FROM unnest({unnested("node", _NODE)}) WITH ORDINALITY AS node ({named(_NODE)}, place)
            JOIN drawn ON drawn.place = node.place WHERE {below}
        ), of_tags AS (
            INSERT INTO tags (kind, {named(_TAG)})
            SELECT {int(NodeKind.CONTEXT)}, drawn.id, {named(_TAG[1:], "tag.")}
            FROM unnest({unnested("tag", _TAG)}) AS tag ({named(_TAG)}) JOIN drawn ON drawn.place = tag.node WHERE {below}
        )
        SELECT homed.place, drawn.id, homed.name, homed.lifecycle, homed.location
        FROM homed LEFT JOIN drawn ON drawn.place = homed.place"""  # noqa: S608  (names of our own)
