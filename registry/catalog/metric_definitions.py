"""What a workspace says of a metric's name: which way is better, in which unit."""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.interning import find_names, intern_names
from registry.catalog.outbox import record
from registry.db.session import Session
from registry.names import Direction, check_key, check_text
from registry.tables.graph import names
from registry.tables.metrics import metric_definitions as table


@dataclass(frozen=True)
class MetricDefinition:
    key: str
    direction: Direction
    unit: str | None


def define_metric(
    session: Session, actor: Actor, key: str, direction: Direction, *, now: int, unit: str | None = None
) -> MetricDefinition:
    """Set or replace. Idempotent."""
    check_key(key, "metric key")
    check_text(unit or "", "unit", limit=255)
    before = definitions(session, actor, [key]).get(key)
    made = MetricDefinition(key, direction, unit)
    if before == made:
        return made
    name_id = intern_names(session, [key])[key]
    row = {"workspace": actor.workspace, "name_id": name_id, "direction": direction, "unit": unit}
    session.upsert(table, [row], key=("workspace", "name_id"), update=("direction", "unit"))
    old = None if before is None else _shown(before)
    record(session, actor, "metric.defined", f"metric:{key}", now=now, before=old, after=_shown(made))
    return made


def definitions(session: Session, actor: Actor, keys: Iterable[str]) -> dict[str, MetricDefinition]:
    """Those of the keys that are defined; at most two statements."""
    ids = find_names(session, keys)
    if not ids:
        return {}
    words = {id: key for key, id in ids.items()}
    query = sa.select(table).where(table.c.workspace == actor.workspace, table.c.name_id.in_(sorted(words)))
    return {
        words[row.name_id]: MetricDefinition(words[row.name_id], Direction(row.direction), row.unit) for row in session.all(query)
    }


def list_definitions(session: Session, actor: Actor, *, after: str = "", limit: int = 100) -> list[MetricDefinition]:
    """By key, from behind `after`."""
    query = (
        sa.select(names.c.name, table.c.direction, table.c.unit)
        .join(names, names.c.id == table.c.name_id)
        .where(table.c.workspace == actor.workspace, names.c.name > after)
        .order_by(names.c.name)
        .limit(limit)
    )
    return [MetricDefinition(row.name, Direction(row.direction), row.unit) for row in session.all(query)]


def _shown(definition: MetricDefinition) -> dict[str, str | None]:
    return {"direction": definition.direction.name.lower(), "unit": definition.unit}
