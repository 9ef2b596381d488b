"""Steps that took their result from a cache: which step it is from, by the key under which Argo keeps it.

The original is the newest step of the workspace with that key that had succeeded when the other began; it may be reported later.
Of Kubeflow Pipelines' cache no Workflow says the original: ML Metadata's door does (`cached_execution_id`).
"""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from registry.catalog.reports.stepping import Step, Steps
from registry.db.session import Session
from registry.names import LinkKind, NodeKind, Status, narrow
from registry.tables.graph import links
from registry.tables.runs import steps

_EXECUTION = int(NodeKind.EXECUTION)


def fingerprint_of(step: Step) -> str | None:
    key = step.detail.get("cache_key")
    return None if key is None else narrow(f"argo/{key}")


def settle_reuse(session: Session, workspace: int, changes: Steps) -> None:
    """Fingerprints of steps that a report tells of, and the links of all steps that have these. Four statements, or none."""
    news = {step.id: fingerprint for step in changes.values() if (fingerprint := fingerprint_of(step)) is not None}
    if not news:
        return
    statement = sa.update(steps).where(steps.c.id == sa.bindparam("of")).values(fingerprint=sa.bindparam("key"))
    session.execute(statement, [{"of": id, "key": key} for id, key in sorted(news.items())])
    columns = (steps.c.id, steps.c.status, steps.c.fingerprint, steps.c.started_at, steps.c.ended_at)
    rows = session.all(
        sa.select(*columns).where(steps.c.workspace == workspace, steps.c.fingerprint.in_(sorted(set(news.values()))))
    )
    cached = [row for row in rows if row.status == Status.CACHED]
    made = [row for row in rows if row.status == Status.SUCCEEDED]
    if not cached:
        return
    mine = (
        links.c.kind == LinkKind.REUSED_FROM,
        links.c.from_kind == _EXECUTION,
        links.c.from_node.in_([row.id for row in cached]),
    )
    session.execute(sa.delete(links).where(*mine))
    session.insert(links, [link for row in cached if (link := _link(row, made)) is not None])


def _link(row: Any, made: Iterable[Any]) -> dict[str, Any] | None:
    begun = row.started_at or 0
    ended = [one for one in made if one.fingerprint == row.fingerprint and (one.ended_at or one.started_at or 0) <= begun]
    original = max(ended, key=lambda one: (one.ended_at or one.started_at or 0, -one.id), default=None)
    if original is None:
        return None
    times = (original.started_at, original.ended_at)
    return {
        "kind": int(LinkKind.REUSED_FROM),
        "from_kind": _EXECUTION,
        "from_node": row.id,
        "to_kind": _EXECUTION,
        "to_node": original.id,
        "inferred": 0,
        "at": begun,
        "seconds_saved": 0.0 if None in times else max(0, original.ended_at - original.started_at) / 1000,
    }


def unknown_originals(session: Session, told: Steps) -> tuple[str, ...]:
    """A warning, if there are cached steps of whose outputs nobody has said anything."""
    bare = [
        step
        for step in told.values()
        if step.columns["status"] == Status.CACHED and not step.detail.get("makes") and not step.detail.get("outputs")
    ]
    if not bare:
        return ()
    query = sa.select(links.c.from_node).where(
        links.c.kind == LinkKind.REUSED_FROM, links.c.from_kind == _EXECUTION, links.c.from_node.in_([step.id for step in bare])
    )
    known = set(session.scalars(query))
    names = sorted(step.path for step in bare if step.id not in known)
    if not names:
        return ()
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (f"What cached steps reuse is not in the object and ML Metadata has not said it: {', '.join(names[:3])}{more}.",)
