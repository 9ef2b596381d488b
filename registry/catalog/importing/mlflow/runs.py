"""Runs of a store of MLflow: each keeps its run id. One that is here already stays as it is."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types, tagging
from registry.catalog.importing.mlflow.experiments import experiment_ids
from registry.catalog.importing.mlflow.into import Into, kept_pairs, kept_text
from registry.catalog.importing.mlflow.records import Run
from registry.catalog.importing.mlflow.state import State
from registry.catalog.importing.progress import Notes
from registry.catalog.merging import KFP_TAG, adopt_kfp_run
from registry.catalog.nodes import node_row
from registry.catalog.run_lookup import find_runs
from registry.catalog.run_search import STATUS_WORDS
from registry.catalog.run_tags import COLUMNS, NAME, PARENT, USER
from registry.db.session import Session
from registry.names import MAX_NAME, Author, Lifecycle, NodeKind, Origin, Status, run_hex_or_none
from registry.tables.graph import contexts
from registry.tables.runs import runs

STATUSES: Mapping[str, Status] = {word: status for status, word in STATUS_WORDS.items()}
PARENTS_AT_ONCE = 1_000


def shown_name(run: Run) -> str:
    """The column; the tag in stores from before there was one; a name of ours where it has none."""
    name = run.name or run.tags.get(NAME) or f"run-{run.id[:8]}"
    return name[:MAX_NAME]


def shown_user(run: Run) -> str | None:
    return run.tags.get(USER) or run.user or None


def write_runs(session: Session, into: Into, found: Sequence[Run], state: State, notes: Notes) -> None:
    """Each id once."""
    homes = experiment_ids(session, into, {run.experiment for run in found})
    taken = _taken(session, into, [run.id for run in found])
    new: list[Run] = []
    for run in found:
        if run_hex_or_none(run.id) != run.id:
            notes.add("run", run.id, "it is left out: its id is not 32 hexadecimal characters")
        elif run.experiment not in homes:
            notes.add("run", run.id, f"it is left out: its experiment {run.experiment} is not taken over")
        elif run.id in taken and not taken[run.id]:
            notes.add("run", run.id, "it is left out: another workspace has a run of that id")
        else:
            if run.id in taken:
                notes.add("run", run.id, "it is here already, and stays as it is")
                state.met.append(f"run {run.id}")
            else:
                new.append(run)
            state.count(written=1)
            continue
        state.count(left_out=1)
    _insert(session, into, new, homes, state=state, notes=notes)
    for run in new:
        if KFP_TAG in run.tags:
            adopt_kfp_run(session, into.actor, run.id, run.tags[KFP_TAG], now=into.now)


def _taken(session: Session, into: Into, ids: Sequence[str]) -> dict[str, bool]:
    """Ids that runs have or had, and whether one of this workspace."""
    rows = session.all(sa.select(runs.c.hex, runs.c.workspace).where(runs.c.hex.in_(ids)))
    merged = find_runs(session, [(into.actor.workspace, id) for id in ids])
    return {row.hex: row.workspace == into.actor.workspace for row in rows} | {hex: True for _, hex in merged}


def _insert(session: Session, into: Into, new: Sequence[Run], homes: Mapping[str, int], *, state: State, notes: Notes) -> None:
    if not new:
        return
    ids = dict(zip([run.id for run in new], session.next_ids("context", len(new)), strict=True))
    parents = {run.id: run.tags.get(PARENT) for run in new}
    known = find_runs(
        session, [(into.actor.workspace, hex) for text in parents.values() if text and (hex := run_hex_or_none(text))]
    )
    above = {hex: ref.id for (_, hex), ref in known.items()} | ids
    rows, nodes, tags, params = [], [], {}, {}
    for run in new:
        id, home = ids[run.id], homes[run.experiment]
        row = _row(into, run, id, home, notes)
        parent = run_hex_or_none(parents[run.id] or "")
        row["parent"] = above.get(parent) if parent is not None and parent != run.id else None
        rows.append(row)
        nodes.append(_node(into, run, id, row))
        tags[id] = kept_pairs({key: text for key, text in run.tags.items() if key not in COLUMNS}, "run", run.id, notes)
        params[id] = kept_pairs(run.params, "run", run.id, notes)
        for kind, values, kept in (("tags", run.tags, tags[id]), ("params", run.params, params[id])):
            columns = sum(1 for key in values if key in COLUMNS) if kind == "tags" else 0
            state.count(written=len(kept), left_out=len(values) - len(kept) - columns, of=kind)
    session.insert(contexts, nodes)
    session.insert(runs, rows)
    tagging.set_tags(session, NodeKind.CONTEXT, tags)
    tagging.set_params(session, NodeKind.CONTEXT, params)


def _row(into: Into, run: Run, id: int, experiment: int, notes: Notes) -> dict[str, Any]:
    status = STATUSES.get(run.status)
    if status is None:
        notes.add("run", run.id, f"its status {run.status!r} is none: it is unknown")
        status = Status.UNKNOWN
    client = int(Author.CLIENT)
    root = kept_text(run.artifact_uri, "artifact_uri", "run", run.id, notes)
    return dict.fromkeys(column.name for column in runs.columns) | {
        "id": id,
        "workspace": into.actor.workspace,
        "hex": run.id,
        "experiment": experiment,
        "experiment_author": client,
        "name": kept_text(shown_name(run), NAME, "run", run.id, notes, limit=MAX_NAME) or f"run-{run.id[:8]}",
        "name_author": client,
        "status": int(status),
        "status_author": client,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "user_name": kept_text(shown_user(run), USER, "run", run.id, notes, limit=MAX_NAME),
        "parent_text": kept_text(run.tags.get(PARENT), PARENT, "run", run.id, notes, limit=MAX_NAME),
        "artifact_root": into.placed(root) if root else None,
        "lifecycle": int(Lifecycle.DELETED if run.is_deleted else Lifecycle.ACTIVE),
        "origin": int(Origin.MLFLOW),
        "final_at": into.now if status.is_final else None,
    }


def _node(into: Into, run: Run, id: int, row: Mapping[str, Any]) -> dict[str, Any]:
    at = run.started_at if run.started_at is not None else into.now
    key = f"{row['experiment']}:{run.id}"
    node = node_row(id, type_id=node_types.RUN, workspace=into.actor.workspace, now=at, name=row["name"], name_key=key)
    gone = (run.deleted_at or into.now) if run.is_deleted else None
    return node | {"updated_at": max(at, run.ended_at or at), "deleted_at": gone}


def link_parents(session: Session, into: Into, after: int) -> int | None:
    """Of the next runs behind `after` (a context id), whose parents came later than they did; the last id, None at the end."""
    query = sa.select(runs.c.id, runs.c.hex, runs.c.parent_text).where(
        runs.c.workspace == into.actor.workspace, runs.c.parent.is_(None), runs.c.parent_text.is_not(None), runs.c.id > after
    )
    rows = session.all(query.order_by(runs.c.id).limit(PARENTS_AT_ONCE))
    wanted = {row.id: run_hex_or_none(row.parent_text) for row in rows}
    pairs = [(into.actor.workspace, hex) for hex in wanted.values() if hex is not None]
    known = {hex: ref.id for (_, hex), ref in find_runs(session, pairs).items()} if pairs else {}
    for row in rows:
        parent = known.get(wanted[row.id] or "")
        if parent is not None and parent != row.id:
            session.execute(sa.update(runs).where(runs.c.id == row.id).values(parent=parent))
    return int(rows[-1].id) if rows else None


def here(session: Session, into: Into, ids: Iterable[str]) -> dict[str, int]:
    """The contexts of those runs that are here, by the id that they had."""
    return {hex: ref.id for (_, hex), ref in find_runs(session, [(into.actor.workspace, id) for id in ids]).items()}
