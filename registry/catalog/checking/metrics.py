"""The latest point of every series against its points."""

from collections.abc import Iterator

import sqlalchemy as sa

from registry.catalog.checking.problem import Problem, named
from registry.db.session import Session
from registry.tables.metrics import metric_points, series

LIMIT = 100
_KEY = ("owner_kind", "owner", "name_id", "dataset")


def check(session: Session) -> Iterator[Problem]:
    """Latest = the greatest (step, at, value), and it is one of the points."""
    newer = metric_points.alias("newer")
    stored = metric_points.alias("stored")
    greater = sa.tuple_(newer.c.step, newer.c.at, newer.c.value) > sa.tuple_(series.c.step, series.c.at, series.c.value)
    same = [stored.c[name] == series.c[name] for name in ("step", "at", "value", "special")]
    behind = sa.exists().where(*(newer.c[name] == series.c[name] for name in _KEY), greater)
    absent = ~sa.exists().where(*(stored.c[name] == series.c[name] for name in _KEY), *same)
    for what, wrong in (("a newer point than its latest is stored", behind), ("its latest is not among its points", absent)):
        for row in session.all(sa.select(*(series.c[name] for name in _KEY)).where(wrong).limit(LIMIT)):
            yield Problem("series", named(row), what)
    orphans = (
        sa.select(*(metric_points.c[name] for name in _KEY))
        .distinct()
        .where(~sa.exists().where(*(series.c[name] == metric_points.c[name] for name in _KEY)))
    )
    for row in session.all(orphans.limit(LIMIT)):
        yield Problem("metric_points", named(row), "points of a series that is not there")
