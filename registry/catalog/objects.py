"""Reading the Kubernetes objects that runs, steps and deployments come from; reports write them (`reports/`)."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.db.session import Session
from registry.names import IdPrefix, own_id
from registry.tables.runs import objects


@dataclass(frozen=True)
class KubernetesObject:
    """As the newest report said. `cluster` is empty for the home cluster; run, step and deployment are what it became."""

    id: int
    cluster: str
    namespace: str
    kind: str
    name: str
    uid: str | None
    resource_version: str | None
    phase: str | None
    run: int | None
    step: int | None
    deployment: int | None
    deleted: bool
    received_at: int

    @property
    def own_id(self) -> str:
        return own_id(IdPrefix.OBJECT, self.id)


_FIELDS = (
    "id",
    "cluster",
    "namespace",
    "kind",
    "name",
    "uid",
    "resource_version",
    "phase",
    "run",
    "step",
    "deployment",
    "deleted",
    "received_at",
)


def get_objects(session: Session, actor: Actor, ids: Sequence[int]) -> list[KubernetesObject]:
    """In the order of `ids`, those that are not here left out; one statement."""
    query = sa.select(*(objects.c[name] for name in _FIELDS)).where(objects.c.id.in_(ids), objects.c.workspace == actor.workspace)
    rows = {row.id: row for row in session.all(query)} if ids else {}
    return [KubernetesObject(**rows[id]._asdict() | {"deleted": bool(rows[id].deleted)}) for id in ids if id in rows]
