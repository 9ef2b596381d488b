"""A lineage graph put straight into the tables: what the walk reads, without the use cases that write it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import sqlalchemy as sa

from lineage.graph import Node, NodeKind
from registry.catalog import node_types
from registry.catalog.nodes import artifact_row, node_row
from registry.db.session import Session
from registry.names import ArtifactKind, Author, DesiredState, EventType, Lifecycle, LinkKind, Readiness, Status, new_run_hex
from registry.names import NodeKind as Stored
from registry.tables import graph, models
from registry.tables import runs as running

_ids: Iterator[int] = count(1)
"""One row of numbers for all kinds of nodes, so that a mix-up of kinds cannot pass by luck."""


def artifact(id: int) -> Node:
    return Node(NodeKind.ARTIFACT, id)


def execution(id: int) -> Node:
    return Node(NodeKind.EXECUTION, id)


def context(id: int) -> Node:
    return Node(NodeKind.CONTEXT, id)


@dataclass
class Rows:
    """Writes rows of one workspace."""

    session: Session
    workspace: int = 1

    def artifact(self, *, kind: ArtifactKind = ArtifactKind.OTHER, **own: Any) -> Node:
        id = next(_ids)
        given = {"workspace": self.workspace, "now": id} | own
        row = artifact_row(id, type_id=node_types.ARTIFACT, kind=kind, **{k: v for k, v in given.items() if k != "deleted_at"})
        self.session.insert(graph.artifacts, row | {"deleted_at": own.get("deleted_at")})
        return artifact(id)

    def execution(self, type_id: int = node_types.STEP) -> Node:
        id = next(_ids)
        self.session.insert(graph.executions, node_row(id, type_id=type_id, workspace=self.workspace, now=id, name=f"e{id}"))
        return execution(id)

    def step(self, run: Node | None = None, name: str = "train") -> Node:
        node = self.execution()
        null = [column.name for column in running.steps.c if column.nullable]
        own = {"id": node.id, "workspace": self.workspace, "run": run and run.id, "path": f"{name}/{node.id}"}
        row = dict.fromkeys(null) | own | {"path_key": f"{name}/{node.id}", "name": name}
        self.session.insert(running.steps, row | {"status": Status.SUCCEEDED, "status_author": 0})
        if run is not None:
            self.session.insert(graph.associations, {"context": run.id, "execution": node.id})
        return node

    def run(self, *, name: str = "run", parent: Node | None = None, own: Node | None = None) -> Node:
        node = self._context(node_types.RUN)
        null = [column.name for column in running.runs.c if column.nullable]
        row = dict.fromkeys(null) | {
            "id": node.id,
            "workspace": self.workspace,
            "hex": new_run_hex(),
            "experiment_author": 0,
            "name": name,
            "name_author": 0,
            "status": Status.FAILED,
            "status_author": 0,
            "parent": parent and parent.id,
            "lifecycle": Lifecycle.ACTIVE,
            "origin": 0,
            "execution": own and own.id,
        }
        self.session.insert(running.runs, row)
        if own is not None:
            self.session.insert(graph.associations, {"context": node.id, "execution": own.id})
        return node

    def version(self, *, of: Node | None = None, run: Node | None = None, lifecycle: Lifecycle = Lifecycle.ACTIVE) -> Node:
        node = self._context(node_types.VERSION)
        null = [column.name for column in models.model_versions.c if column.nullable]
        row = dict.fromkeys(null) | {
            "id": node.id,
            "workspace": self.workspace,
            "model": node.id,
            "number": 3,
            "name": "3",
            "lifecycle": lifecycle,
            "readiness": Readiness.READY,
            "origin": 0,
            "artifact": of and of.id,
            "run": run and run.id,
        }
        self.session.insert(models.model_versions, row)
        return node

    def deployment(self, version: Node) -> Node:
        node = self._context(node_types.DEPLOYMENT)
        null = [column.name for column in models.deployments.c if column.nullable]
        row = dict.fromkeys(null) | {
            "id": node.id,
            "workspace": self.workspace,
            "environment": 1,
            "name": "churn in production",
            "model_version": version.id,
            "desired_state": DesiredState.DEPLOYED,
            "pin_author": Author.CLIENT,
            "lifecycle": Lifecycle.ACTIVE,
        }
        self.session.insert(models.deployments, row)
        return node

    def _context(self, type_id: int) -> Node:
        id = next(_ids)
        self.session.insert(graph.contexts, node_row(id, type_id=type_id, workspace=self.workspace, now=id))
        return context(id)

    def reads(self, execution: Node, artifact: Node, *, type: EventType = EventType.INPUT, port: str = "in", at: int = 5) -> None:
        self._event(execution, artifact, type, port, at)

    def writes(self, execution: Node, artifact: Node, *, port: str = "out", at: int = 5) -> None:
        self._event(execution, artifact, EventType.OUTPUT, port, at)

    def _event(self, execution: Node, artifact: Node, type: EventType, port: str, at: int) -> None:
        ends = {"artifact": artifact.id, "execution": execution.id}
        self.session.insert(graph.events, {"id": next(_ids), **ends, "type": type, "at": at, "port": port})

    def derive(self, source: Node, target: Node, *, inferred: int = 0) -> None:
        self.session.insert(graph.derivations, {"source": source.id, "target": target.id, "inferred": inferred, "at": 7})

    def link(self, kind: LinkKind, source: Node, target: Node) -> None:
        numbers = {NodeKind.ARTIFACT: Stored.ARTIFACT, NodeKind.CONTEXT: Stored.CONTEXT, NodeKind.EXECUTION: Stored.EXECUTION}
        ends = {"from_kind": numbers[source.kind], "from_node": source.id, "to_kind": numbers[target.kind], "to_node": target.id}
        self.session.insert(graph.links, {"kind": kind, **ends, "inferred": 0, "at": 9, "seconds_saved": None})

    def forget(self, node: Node) -> None:
        """Delete the node's row, as a purge would."""
        table = {NodeKind.ARTIFACT: graph.artifacts, NodeKind.CONTEXT: graph.contexts, NodeKind.EXECUTION: graph.executions}
        self.session.execute(sa.delete(table[node.kind]).where(table[node.kind].c.id == node.id))
