"""One version with all that it shows, in one statement: a row for itself, and one for each alias, tag, param and metric."""

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from registry.catalog import targets
from registry.catalog.metrics import Point, shown
from registry.db.row_reads import RowRead
from registry.db.session import Session
from registry.names import NodeKind, OwnerKind
from registry.tables.graph import contexts, names, params, tags
from registry.tables.metrics import series
from registry.tables.models import model_versions

_HEAD, _ALIAS, _TAG, _PARAM, _RUN_PARAM, _METRIC, _RUN_METRIC = range(7)


@dataclass
class Whole:
    """`head`: what `heads` select. Own values and those of the run that made it, in no order."""

    head: tuple[Any, ...] = ()
    stage: str | None = None
    aliases: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    run_params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, Point] = field(default_factory=dict)
    run_metrics: dict[str, Point] = field(default_factory=dict)


class WholeRead:
    """`heads` select from `model_versions` and `contexts`; `which` gives `id` and `run` of one version, or nothing."""

    def __init__(self, heads: "sa.Select[Any]", which: "sa.Select[Any]") -> None:
        self._read = RowRead(lambda: _parts(heads, which.cte("found")))

    def run(self, session: Session, **asked: Any) -> Whole | None:
        whole = Whole()
        pairs = {_TAG: whole.tags, _PARAM: whole.params, _RUN_PARAM: whole.run_params}
        points = {_METRIC: whole.metrics, _RUN_METRIC: whole.run_metrics}
        for part, key, text, at, step, special, value, stage, *own in self._read.run(session, **asked):
            if part == _HEAD:
                whole.head, whole.stage = tuple(own), stage
            elif part == _ALIAS:
                whole.aliases.append(key)
            elif part in pairs:
                pairs[part][key] = text
            else:
                points[part][key] = Point(key, shown(value, special), at, step)
        return whole if whole.head else None


def _parts(heads: "sa.Select[Any]", found: sa.CTE) -> sa.CompoundSelect[Any]:
    """Rows of part, key, text, timestamp, step, special flag, value, stage, heads. What a part has not is NULL; only the first
    part has values everywhere, by which PostgreSQL knows the types. Metrics are those of no dataset.

    The ids are values, not joined: without statistics a planner would start from all tags of all nodes.
    """
    own, run = (sa.select(column).scalar_subquery() for column in (found.c.id, found.c.run))
    nothing = [sa.null()] * (1 + len(heads.selected_columns))
    typed = (model_versions.c.name, model_versions.c.source, contexts.c.created_at, contexts.c.created_at)
    more: Any = (model_versions.c.lifecycle, sa.literal_column("0.0", sa.Double()), targets.stage_of(model_versions.c.id))
    head = heads.where(model_versions.c.id == own)
    alias, is_held = targets.alias_of(own)
    parts = [
        head.with_only_columns(_part(_HEAD), *typed, *more, *heads.selected_columns),
        sa.select(_part(_ALIAS), alias, *[sa.null()] * 5, *nothing).where(is_held),
    ]
    for part, table, node in ((_TAG, tags, own), (_PARAM, params, own), (_RUN_PARAM, params, run)):
        joined = sa.join(table, names, names.c.id == table.c.name_id)
        query = sa.select(_part(part), names.c.name, table.c.value, *[sa.null()] * 4, *nothing).select_from(joined)
        parts.append(query.where(table.c.kind == _constant(NodeKind.CONTEXT), table.c.node == node))
    for part, kind, owner in ((_METRIC, OwnerKind.VERSION, own), (_RUN_METRIC, OwnerKind.RUN, run)):
        joined = sa.join(series, names, names.c.id == series.c.name_id)
        values = (names.c.name, sa.null(), series.c.at, series.c.step, series.c.special, series.c.value)
        query = sa.select(_part(part), *values, *nothing).select_from(joined)
        own_series = series.c.owner_kind == _constant(kind), series.c.owner == owner, series.c.dataset == _constant(0)
        parts.append(query.where(*own_series))
    return sa.union_all(*parts)


def _part(number: int) -> Any:
    return _constant(number).label("part")


def _constant(number: int) -> Any:
    return sa.literal_column(str(int(number)), sa.Integer())
