"""The store as JSON rows: `dump` is the full export, `canonical` what two stores that were told the same have in common.

In `canonical` ids stand as numbers by content order: every row gets a digest of what it says, then, a few times over, of that
with the digests of the rows it names and that name it. Rows that still cannot be told apart are alike and share a number. Left
out: audit, outbox, imports, times of receipt, versions, aliases of ids, run ids in `keys`, derived experiments without a run.
"""

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types
from registry.db.session import Session
from registry.names import KeyKind, NodeKind, OwnerKind
from registry.tables import metadata
from registry.tables.service import secrets

ROUNDS = 4
_CHUNK = 2000

Line = dict[str, Any]


def dump(session: Session) -> Iterator[Line]:
    """`{"table": name, "row": {...}}` of every row of every table, in the order of table names and primary keys.

    `secrets` is left out: who has the audit key can forge audit rows, and a dump is made to be handed on.
    Bytes are `{"base64": text}`, so that they cannot be taken for text.
    """
    tables = [table for table in metadata.tables.values() if table is not secrets]
    for table in sorted(tables, key=lambda table: table.name):
        for row in _rows(session, table):
            yield {"table": table.name, "row": {name: _plain(value) for name, value in row.items()}}


def _rows(session: Session, table: sa.Table) -> Iterator[Line]:
    """By primary key, in pages: no cursor is held and no table is read at once."""
    key = list(table.primary_key.columns)
    after: tuple[Any, ...] | None = None
    while True:
        query = _first_page(table)
        if after is not None:
            query = query.where(
                sa.tuple_(*key) > sa.tuple_(*(sa.literal(value, column.type) for value, column in zip(after, key, strict=True)))
            )
        page = session.all(query)
        for row in page:
            yield row._asdict()
        if len(page) < _CHUNK:
            return
        last = page[-1]._asdict()
        after = tuple(last[column.name] for column in key)


@cache
def _first_page(table: sa.Table) -> sa.Select[Any]:
    return sa.select(table).order_by(*table.primary_key.columns).limit(_CHUNK)


def _plain(value: Any) -> Any:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes | memoryview) else value


# ---- canonical ----

_LEFT_OUT = {
    "audit_events",
    "audit_seals",
    "audit_waiting",
    "outbox",
    "id_aliases",
    "idempotency",
    "imports",
    "secrets",
    "tokens",
    "fragments",
    "names",
    "workspaces",
}
_RECEIPT = {"version", "created_at", "updated_at", "received_at", "final_at", "moved_at", "deleted_at", "mlflow_updated_at"}

_REFERENCES: dict[str, dict[str, str]] = {
    "events": {"artifact": "artifact", "execution": "execution"},
    "attributions": {"context": "context", "artifact": "artifact"},
    "associations": {"context": "context", "execution": "execution"},
    "parent_contexts": {"child": "context", "parent": "context"},
    "derivations": {"source": "artifact", "target": "artifact"},
    "artifacts": {"id": "artifact", "step": "execution"},
    "contexts": {"id": "context"},
    "executions": {"id": "execution"},
    "experiments": {"id": "context"},
    "runs": {"id": "context", "experiment": "context", "parent": "context", "execution": "execution", "pipeline": "pipeline"},
    "steps": {"id": "execution", "run": "context", "parent": "execution"},
    "objects": {
        "id": "object",
        "run": "context",
        "step": "execution",
        "deployment": "context",
        "blob": "blob",
        "experiment": "context",
    },
    "pipelines": {"id": "pipeline"},
    "pipeline_versions": {"id": "pipeline_version", "pipeline": "pipeline"},
    "registered_models": {"id": "context"},
    "model_versions": {"id": "context", "model": "context", "run": "context", "artifact": "artifact"},
    "logged_models": {"id": "artifact", "experiment": "context", "run": "context"},
    "datasets": {"id": "dataset"},
    "dataset_versions": {"id": "artifact", "dataset": "dataset"},
    "environments": {"id": "context"},
    "deployments": {"id": "context", "environment": "context", "model": "context", "model_version": "context"},
    "traffic": {"deployment": "context"},
    "revisions": {"deployment": "context"},
    "aliases": {"model": "context", "model_version": "context"},
    "stages": {"model": "context", "model_version": "context"},
    "target_moves": {"model": "context", "from_version": "context", "to_version": "context"},
    "series": {"dataset": "artifact", "source": "artifact", "artifact_id": "artifact"},
    "metric_points": {"dataset": "artifact"},
    "params": {"artifact_id": "artifact"},
    "blobs": {"id": "blob"},
}
_BY_KIND = {
    "tags": [("kind", "node")],
    "params": [("kind", "node")],
    "properties": [("kind", "node")],
    "keys": [("node_kind", "node")],
    "links": [("from_kind", "from_node"), ("to_kind", "to_node")],
}
_KINDS = {NodeKind.CONTEXT: "context", NodeKind.EXECUTION: "execution", NodeKind.ARTIFACT: "artifact"}
_OWNERS = {OwnerKind.RUN: "context", OwnerKind.VERSION: "context", OwnerKind.LOGGED_MODEL: "artifact"}
Node = tuple[str, int]


class _Row:
    """One row: `says` without ids, `names` the nodes by column."""

    def __init__(self, table: str, says: Line, names: Mapping[str, Node]) -> None:
        self.table = table
        self.says = says
        self.names = names
        self.digest = _digest([table, says])


def canonical(session: Session) -> Iterator[Line]:
    """Sorted lines as `dump` gives them. The whole store is held in memory."""
    rows = list(_canonical_rows(session))
    colors = _colors(rows)
    numbers: dict[Node, str] = {}
    by_kind: dict[str, set[str]] = defaultdict(set)
    for (kind, _), color in colors.items():
        by_kind[kind].add(color)
    order = {kind: {color: number for number, color in enumerate(sorted(found), 1)} for kind, found in by_kind.items()}
    for node, color in colors.items():
        numbers[node] = f"{node[0]}-{order[node[0]][color]}"
    lines = [{"table": row.table, "row": row.says | {name: numbers[node] for name, node in row.names.items()}} for row in rows]
    yield from sorted(lines, key=lambda line: json.dumps(line, sort_keys=True, ensure_ascii=False))


def _colors(rows: list[_Row]) -> dict[Node, str]:
    """A digest per node: of what its rows say, refined by what the rows around it say."""
    touching: dict[Node, list[_Row]] = defaultdict(list)
    for row in rows:
        for node in set(row.names.values()):
            touching[node].append(row)
    colors = {node: _digest(node[0]) for node in touching}
    for _ in range(ROUNDS):
        around = {id(row): {name: colors[node] for name, node in row.names.items()} for row in rows}
        colors = {
            node: _digest(
                sorted(
                    _digest(
                        [
                            row.digest,
                            sorted(around[id(row)].items()),
                            sorted(n for n, other in row.names.items() if other == node),
                        ]
                    )
                    for row in found
                )
            )
            for node, found in touching.items()
        }
    return colors


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _canonical_rows(session: Session) -> Iterator[_Row]:
    tables = metadata.tables
    names = {row["id"]: row["name"] for row in _rows(session, tables["names"])}
    spaces = {row["id"]: row["name"] for row in _rows(session, tables["workspaces"])}
    types = {known.id: known.name for known in node_types.BUILT_IN.values()}
    for row in _rows(session, tables["types"]):
        types[row["id"]] = "/".join((row["name"], row["version"], spaces.get(row["scope"], str(row["scope"]))))
    hexes = {row["id"]: row["hex"] for row in _rows(session, tables["runs"])}
    words = _Words(names, spaces, types, hexes)
    empty = _empty_experiments(session)
    for table in sorted(tables.values(), key=lambda table: table.name):
        if table.name not in _LEFT_OUT:
            for row in _rows(session, table):
                read = _read(table.name, row, words)
                if read is not None and not any(node[0] == "context" and node[1] in empty for node in read.names.values()):
                    yield read


def _empty_experiments(session: Session) -> set[int]:
    """Derived ones that hold no run and that no report tells of."""
    experiments = metadata.tables["experiments"]
    used: set[int] = set()
    for column in (metadata.tables["runs"].c.experiment, metadata.tables["objects"].c.experiment):
        used |= set(session.scalars(sa.select(column).where(column.is_not(None)).distinct()))
    return set(session.scalars(sa.select(experiments.c.id).where(experiments.c.derived == 1))) - used


@dataclass(frozen=True)
class _Words:
    """What small integers stand for."""

    names: Mapping[int, str]
    workspaces: Mapping[int, str]
    types: Mapping[int, str]
    hexes: Mapping[int, str]


def _read(table: str, row: Line, words: _Words) -> _Row | None:
    if table == "keys" and row["kind"] == KeyKind.RUN_ID:
        return None
    references = dict(_REFERENCES.get(table, {}))
    names: dict[str, Node] = {}
    for kind, column in _BY_KIND.get(table, ()):
        references[column] = _KINDS[row[kind]]
    if "owner_kind" in row and table in {"series", "metric_points"}:
        references["owner"] = _OWNERS[row["owner_kind"]]
    says: Line = {}
    for column, value in row.items():
        if column in references:
            if value:
                names[column] = (references[column], int(value))
        elif column == "deleted_at":
            says["deleted"] = value is not None
        elif column == "name_id":
            says["name"] = words.names.get(value, value)
        elif column in {"workspace", "scope"}:
            says[column] = words.workspaces.get(value, value)
        elif column == "type_id":
            says["type"] = words.types.get(value, value)
        elif column not in _RECEIPT and column != "id":
            says[column] = _plain(value)
    _without_ids(table, row, says, names, words.hexes)
    return _Row(table, says, names)


def _without_ids(table: str, row: Line, says: Line, names: dict[str, Node], hexes: Mapping[int, str]) -> None:
    """Ids and run hexes inside texts."""
    if table == "contexts" and row["id"] in hexes:
        says["name_key"] = (
            None if row["name_key"] is None else row["name_key"].rpartition(":")[2].replace(hexes[row["id"]], "<hex>")
        )
    elif table == "contexts" and row["type_id"] in {node_types.DEPLOYMENT, node_types.VERSION}:
        for column in ("name", "name_key"):  # behind the id of its environment or model
            says[column] = row[column] and row[column].partition(":")[2]
    elif table == "runs":
        says["hex"] = "<hex>"
        root = row["artifact_root"] and row["artifact_root"].replace(row["hex"], "<hex>")
        says["artifact_root"] = root and root.replace(f"/{row['experiment']}/<hex>/", "/<experiment>/<hex>/")
    elif table == "keys" and row["kind"] == KeyKind.OUTPUT:
        says["key"] = "<step, port, URI>"
    elif table == "steps" and row["detail"]:
        detail = json.loads(row["detail"])
        if "object" in detail:
            names["object"] = ("object", int(detail.pop("object")))
        says["detail"] = detail
