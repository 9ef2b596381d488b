"""Objects that are gone from their cluster: what they left unfinished was canceled.

A deletion that somebody watched brings the object's last state. One that nobody watched brings only that the object is gone (a
report of nothing but its object): then what was reported of it before stands as its last state. A uid never comes back, so an
object that is gone stays gone, whatever arrives later. What reports say is kept as they say it; that a run or step was canceled
follows from the newest one and from the object being gone, in whatever order the two are told.
"""

import msgspec
import sqlalchemy as sa

from registry.catalog import tagging
from registry.catalog.reports.record import STATUS, Report, Run, kept, millis
from registry.db.session import Session
from registry.names import Author, NodeKind, Status
from registry.tables.runs import objects

REASON = "lineal.reason"
DELETED = "The Kubernetes object was deleted before it ended."


def says_only_gone(report: Report) -> bool:
    return report.object.deleted and report.object.uid is not None and report == Report(report.object)


def goes_on(run: Run) -> bool:
    """Whether nothing but a deletion ends it: for that the agent says CANCELED of an object that it saw go, without an end."""
    return not STATUS[run.state].is_final or (run.state == "CANCELED" and run.finished_at is None)


def was_cut_short(report: Report) -> bool:
    """Whether the object was deleted while its run went on."""
    return report.object.deleted and report.run is not None and goes_on(report.run)


def closed(report: Report) -> Report:
    """The report as one of an object that is gone."""
    return msgspec.structs.replace(report, object=msgspec.structs.replace(report.object, deleted=True))


def mark_gone(session: Session, object_id: int, report: Report) -> tuple[bool, Report | None]:
    """Remember it, and the earliest time that was told. Whether that is news, and what was reported before, if anything."""
    session.lock(objects, [object_id])
    held = session.first(sa.select(objects.c.deleted, objects.c.gone_at, objects.c.report).where(objects.c.id == object_id))
    assert held is not None  # noqa: S101 - the row was found or made
    at = min((time for time in (held.gone_at, millis(report.object.gone_at)) if time is not None), default=None)
    is_news = not held.deleted or at != held.gone_at
    if is_news:
        session.execute(sa.update(objects).where(objects.c.id == object_id).values(deleted=1, gone_at=at))
    return is_news, kept(held.report) if held.report is not None else None


def gone_at(session: Session, object_id: int) -> int | None:
    """When it was first found to be gone, if nobody saw it go."""
    at: int | None = session.scalar(sa.select(objects.c.gone_at).where(objects.c.id == object_id))
    return at


def is_gone(session: Session, object_id: int) -> bool:
    return bool(session.scalar(sa.select(objects.c.deleted).where(objects.c.id == object_id)))


def tell_reason(session: Session, run: int, report: Report, *, was: int | None) -> None:
    """The run says why it ended, as a tag that gives way to a client's; one that goes on does not. `was`: its status."""
    if was_cut_short(report):
        tagging.set_tags(session, NodeKind.CONTEXT, {run: {REASON: DELETED}}, author=Author.AGENT)
    elif was == Status.CANCELED:
        tagging.remove_tag(session, NodeKind.CONTEXT, run, REASON, author=Author.AGENT)
