"""Finding runs by the ids that clients were shown: their own hex, or one that a merged run had."""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from registry.db.session import Session
from registry.errors import NotFound
from registry.names import KeyKind, Lifecycle, NodeKind, Status
from registry.tables.runs import runs
from registry.tables.service import keys


@dataclass(frozen=True)
class RunRef:
    """What a write must know of a run."""

    id: int
    hex: str
    lifecycle: Lifecycle
    status: Status | None

    @property
    def is_final(self) -> bool:
        return self.status is not None and self.status.is_final


_COLUMNS = (runs.c.id, runs.c.hex, runs.c.lifecycle, runs.c.status, runs.c.workspace)


_OWN = sa.select(*_COLUMNS).where(runs.c.hex.in_(sa.bindparam("hexes", expanding=True)))
_OTHER = (
    sa.select(*_COLUMNS, keys.c.key)
    .join(keys, (keys.c.node == runs.c.id) & (keys.c.node_kind == NodeKind.CONTEXT) & (keys.c.kind == KeyKind.RUN_ID))
    .where(keys.c.key.in_(sa.bindparam("hexes", expanding=True)), keys.c.workspace == runs.c.workspace)
)
_QUERIES = {
    False: (_OWN, _OTHER),
    True: (
        _OWN.order_by(runs.c.id).with_for_update(read=True, key_share=True),
        _OTHER.order_by(runs.c.id).with_for_update(read=True, key_share=True, of=runs),
    ),
}
"""By `held`. Built once: this is the first statement of every call that logs."""


def find_runs(session: Session, wanted: Iterable[tuple[int, str]], *, held: bool = False) -> dict[tuple[int, str], RunRef]:
    """By (workspace, 32 hex). One statement, and a second only for ids that no run bears as its own.

    `held`: until the transaction ends none of them is merged into another, so that what is written to them is not left behind.
    """
    own, other = _QUERIES[held]
    pairs = set(wanted)
    rows = session.all(own, {"hexes": sorted({hex for _, hex in pairs})})
    found = {(row.workspace, row.hex): _ref(row) for row in rows if (row.workspace, row.hex) in pairs}
    missing = pairs - found.keys()
    if missing:
        merged = session.all(other, {"hexes": sorted({hex for _, hex in missing})})
        found |= {(row.workspace, row.key): _ref(row) for row in merged if (row.workspace, row.key) in missing}
    return found


def get_run_ref(session: Session, workspace: int, hex: str, *, held: bool = False) -> RunRef:
    """`held` as of `find_runs`. Raises NotFound: absent, or in another workspace."""
    found = find_runs(session, [(workspace, hex)], held=held).get((workspace, hex))
    if found is None:
        raise NotFound("run", f"run_{hex}")
    return found


def lock_run(session: Session, table: sa.Table, workspace: int, hex: str) -> RunRef:
    """As `get_run_ref`, its row of `table` (contexts or runs) locked until the transaction ends, and as it is under that lock:
    it may have been merged into another run while this waited for it.
    """
    ref = get_run_ref(session, workspace, hex)
    while True:
        session.lock(table, [ref.id])
        again = ref if session.dialect == "sqlite" else get_run_ref(session, workspace, hex)
        if again.id == ref.id:
            return again
        ref = again


def _ref(row: sa.Row[tuple[object, ...]]) -> RunRef:
    status = None if row.status is None else Status(row.status)
    return RunRef(row.id, row.hex, Lifecycle(row.lifecycle), status)
