"""The audit log: the walk of `sealing.flaws` over every workspace that has events or seals."""

from collections.abc import Iterator

import sqlalchemy as sa

from registry.catalog.checking.problem import Problem
from registry.catalog.sealing import flaws
from registry.db.session import Session
from registry.tables.service import audit_events, audit_seals


def check(session: Session) -> Iterator[Problem]:
    found = {
        *session.scalars(sa.select(audit_events.c.workspace).distinct()),
        *session.scalars(sa.select(audit_seals.c.workspace).distinct()),
    }
    for workspace in sorted(found):
        for flaw in flaws(session, workspace):
            yield Problem(flaw.table, flaw.row, flaw.what)
