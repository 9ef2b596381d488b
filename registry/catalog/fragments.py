"""Stored fragments: derived bytes of final runs, built by readers, valid only while their version is the run's.

A run's fragment is what a door renders of its metrics, params and tags, the part of a run's JSON that costs. The run's own
columns, and what it shows of its experiment and parent, are read fresh: renaming an experiment moves no run's version.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.pages import Page, Search
from registry.catalog.run_lookup import get_run_ref
from registry.catalog.runs import HEADS, Run, page_of_runs, with_values, without_values
from registry.db.row_inserts import RowInsert, replaced
from registry.db.session import Session
from registry.names import FragmentKind, Lifecycle
from registry.tables.graph import contexts
from registry.tables.runs import fragments, runs

Row = sa.Row[tuple[Any, ...]]
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
    asked = {"workspace": actor.workspace, "kind": int(kind)}
    row = session.first(_BY_HEX, asked | {"hex": hex})
    if row is None:
        row = session.first(_BY_ID, asked | {"id": get_run_ref(session, actor.workspace, hex).id})
    if row is None:  # merged into another run between the two statements; its id is that run's now
        return read_run(session, actor, hex, kind, now=now)
    if row.body is not None:
        return RunRead(without_values(row), bytes(row.body), may_keep=False)
    settled = row.final_at is not None and row.final_at <= now - SETTLED_MS
    return RunRead(with_values(session, [row])[0], None, may_keep=settled)


_READ = (
    HEADS.add_columns(fragments.c.body)
    .join(
        fragments,
        (fragments.c.node == runs.c.id)
        & (fragments.c.kind == sa.bindparam("kind"))
        & (fragments.c.version == contexts.c.version),
        isouter=True,
    )
    .where(runs.c.workspace == sa.bindparam("workspace"))
)
_BY_HEX = _READ.where(runs.c.hex == sa.bindparam("hex"))
_BY_ID = _READ.where(runs.c.id == sa.bindparam("id"))


def list_run_reads(
    session: Session,
    actor: Actor,
    search: Search,
    kind: FragmentKind,
    *,
    now: int,
    lifecycle: Lifecycle | None = None,
    experiment: int | None = None,
) -> Page[RunRead]:
    """As `runs.list_runs`: two statements where valid fragments of all are stored, at most five."""

    def read(session: Session, rows: Sequence[Row]) -> list[RunRead]:
        return read_rows(session, rows, kind, now=now)

    return page_of_runs(session, actor, search, lifecycle=lifecycle, experiment=experiment, read=read)


def read_rows(session: Session, rows: Sequence[Row], kind: FragmentKind, *, now: int) -> list[RunRead]:
    """The runs of rows of `HEADS`."""
    settled = {row.id for row in rows if row.final_at is not None and row.final_at <= now - SETTLED_MS}
    stored = {}
    if settled:
        asked = {"kind": int(kind), "nodes": sorted(settled)}
        stored = {(node, version): body for node, version, body in session.tuples(_STORED, asked)}
    others = [row for row in rows if (row.id, row.version) not in stored]
    whole = {run.id: run for run in with_values(session, others)} if others else {}
    return [
        RunRead(whole[row.id], None, may_keep=row.id in settled)
        if row.id in whole
        else RunRead(without_values(row), bytes(stored[row.id, row.version]), may_keep=False)
        for row in rows
    ]


_STORED = sa.select(fragments.c.node, fragments.c.version, fragments.c.body).where(
    fragments.c.kind == sa.bindparam("kind"), fragments.c.node.in_(sa.bindparam("nodes", expanding=True))
)
_KEPT = RowInsert(fragments, ("kind", "node", "version", "body"), replaced("version", "body"))


@dataclass(frozen=True)
class Built:
    """What a reader built of this version of the run."""

    run: int
    version: int
    body: bytes


def keep_fragments(session: Session, kind: FragmentKind, built: Sequence[Built]) -> int:
    """Store them, but those of runs that have gone or moved on; how many."""
    ids = sorted(one.run for one in built)
    session.lock(contexts, ids)
    found = session.all(sa.select(contexts.c.id, contexts.c.version).where(contexts.c.id.in_(ids)))
    versions = {row.id: row.version for row in found}
    rows = sorted((int(kind), one.run, one.version, one.body) for one in built if versions.get(one.run) == one.version)
    _KEPT.run(session, rows)
    return len(rows)


def drop_fragments(session: Session, run_ids: list[int]) -> None:
    """Of all kinds."""
    session.execute(sa.delete(fragments).where(fragments.c.kind.in_(list(FragmentKind)), fragments.c.node.in_(run_ids)))
