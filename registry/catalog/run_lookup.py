"""Finding runs by the ids that clients were shown: their own hex, or one that a merged run had."""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from registry.db.row_reads import RowRead, among
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


_OWN = sa.select(*_COLUMNS).where(among(runs.c.hex, "hexes"))
_OTHER = (
    sa.select(*_COLUMNS, keys.c.key)
    .join(keys, (keys.c.node == runs.c.id) & (keys.c.node_kind == NodeKind.CONTEXT) & (keys.c.kind == KeyKind.RUN_ID))
    .where(among(keys.c.key, "hexes"), keys.c.workspace == runs.c.workspace)
)
_QUERIES = {
    False: (RowRead(lambda: _OWN), RowRead(lambda: _OTHER)),
    True: (
        RowRead(lambda: _OWN.order_by(runs.c.id).with_for_update(read=True, key_share=True)),
        RowRead(lambda: _OTHER.order_by(runs.c.id).with_for_update(read=True, key_share=True, of=runs)),
    ),
}
"""By `held`."""


def find_runs(session: Session, wanted: Iterable[tuple[int, str]], *, held: bool = False) -> dict[tuple[int, str], RunRef]:
    """By (workspace, 32 hex). One statement, and a second only for ids that no run bears as its own.

    `held`: until the transaction ends none of them is merged into another, so that what is written to them is not left behind.
    """
    own, other = _QUERIES[held]
    pairs = set(wanted)
    if not pairs:
        return {}
    rows = own.run(session, hexes=sorted({hex for _, hex in pairs}))
    found = {
        (workspace, hex): _ref(id, hex, lifecycle, status)
        for id, hex, lifecycle, status, workspace in rows
        if (workspace, hex) in pairs
    }
    missing = pairs - found.keys()
    if missing:
        merged = other.run(session, hexes=sorted({hex for _, hex in missing}))
        found |= {
            (workspace, key): _ref(id, hex, lifecycle, status)
            for id, hex, lifecycle, status, workspace, key in merged
            if (workspace, key) in missing
        }
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


def _ref(id: int, hex: str, lifecycle: int, status: int | None) -> RunRef:
    return RunRef(id, hex, Lifecycle(lifecycle), None if status is None else Status(status))
