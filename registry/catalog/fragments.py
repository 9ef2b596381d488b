"""Stored fragments: derived bytes of final runs, built by readers, valid only while their version is the run's.

A run's fragment is what a door renders of its metrics, params and tags, the part of a run's JSON that costs. The run's own
columns, and what it shows of its experiment and parent, are read fresh: renaming an experiment moves no run's version.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.run_lookup import get_run_ref
from registry.catalog.runs import HEADS, Run, with_values, without_values
from registry.db.session import Session
from registry.names import FragmentKind
from registry.tables.graph import contexts
from registry.tables.runs import fragments, runs

SETTLED_MS = 60_000
"""Longer than any transaction. A write that saw the run unfinished, and so left its version, has ended by then."""


@dataclass(frozen=True)
class RunRead:
    """`fragment`: the stored bytes; `run` then has no metrics, params and tags. `may_keep`: a fragment may be stored."""

    run: Run
    fragment: bytes | None
    may_keep: bool


def read_run(session: Session, actor: Actor, hex: str, kind: FragmentKind, *, now: int) -> RunRead:
    """By its id or one that a merged run had: one statement where a valid fragment is stored, else four.

    Raises NotFound.
    """
    query = (
        HEADS.add_columns(fragments.c.body)
        .join(
            fragments,
            (fragments.c.node == runs.c.id) & (fragments.c.kind == kind) & (fragments.c.version == contexts.c.version),
            isouter=True,
        )
        .where(runs.c.workspace == actor.workspace)
    )
    row = session.first(query.where(runs.c.hex == hex))
    if row is None:
        row = session.first(query.where(runs.c.id == get_run_ref(session, actor.workspace, hex).id))
    if row is None:  # merged into another run between the two statements; its id is that run's now
        return read_run(session, actor, hex, kind, now=now)
    if row.body is not None:
        return RunRead(without_values(row), bytes(row.body), may_keep=False)
    settled = row.final_at is not None and row.final_at <= now - SETTLED_MS
    return RunRead(with_values(session, [row])[0], None, may_keep=settled)


def keep_fragment(session: Session, run: int, kind: FragmentKind, version: int, body: bytes) -> bool:
    """Store what a reader built of this version; False where the run has gone or moved on."""
    session.lock(contexts, [run])
    if session.scalar(sa.select(contexts.c.version).where(contexts.c.id == run)) != version:
        return False
    row = {"kind": kind, "node": run, "version": version, "body": body}
    session.upsert(fragments, [row], key=("kind", "node"), update=("version", "body"))
    return True


def drop_fragments(session: Session, run_ids: list[int]) -> None:
    """Of all kinds."""
    session.execute(sa.delete(fragments).where(fragments.c.kind.in_(list(FragmentKind)), fragments.c.node.in_(run_ids)))
