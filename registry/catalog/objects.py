"""Reading the Kubernetes objects that runs, steps, deployments and searches come from; reports write them (`reports/`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.pages import FIRST_PAGE, Page, Search, find_page
from registry.catalog.run_lookup import get_run_ref
from registry.catalog.subjects import OBJECTS
from registry.db.session import Session
from registry.errors import NotFound
from registry.names import IdPrefix, NodeKind, own_id
from registry.tables.graph import names, tags
from registry.tables.runs import objects, runs

NOTEBOOK_TAG = "lineal.notebook"
"""On a run: `<namespace>/<name>` of the notebook that it was logged from."""
TOLD_ELSEWHERE = {"object", "tasks", "edges"}
"""Parts of a report that the object's own fields and its steps show."""


@dataclass(frozen=True)
class KubernetesObject:
    """As the newest report said. `cluster` is empty for the home cluster; the last five are what it became and belongs to."""

    id: int
    cluster: str
    namespace: str
    kind: str
    name: str
    uid: str | None
    resource_version: str | None
    phase: str | None
    deleted: bool
    received_at: int
    owner_uid: str | None
    run: int | None
    run_hex: str | None
    step: int | None
    deployment: int | None
    experiment: int | None

    @property
    def own_id(self) -> str:
        return own_id(IdPrefix.OBJECT, self.id)


_OWN = (
    "id",
    "cluster",
    "namespace",
    "kind",
    "name",
    "uid",
    "resource_version",
    "phase",
    "deleted",
    "received_at",
    "owner_uid",
    "run",
    "step",
    "deployment",
    "experiment",
)
_QUERY = sa.select(*(objects.c[name] for name in _OWN), runs.c.hex.label("run_hex")).join(
    runs, runs.c.id == objects.c.run, isouter=True
)


def get_object(session: Session, actor: Actor, id: int) -> KubernetesObject:
    """Raises NotFound: absent, or in another workspace."""
    found = get_objects(session, actor, [id])
    if not found:
        raise NotFound("object", own_id(IdPrefix.OBJECT, id))
    return found[0]


def get_objects(session: Session, actor: Actor, ids: Sequence[int]) -> list[KubernetesObject]:
    """In the order of `ids`, those that are not here left out; one statement."""
    return _rendered(session, session.by_ids(_QUERY.where(objects.c.workspace == actor.workspace), objects.c.id, ids))


def list_objects(
    session: Session,
    actor: Actor,
    search: Search = FIRST_PAGE,
    *,
    kind: str | None = None,
    name: str | None = None,
    run: str | None = None,
    deployment: int | None = None,
    experiment: int | None = None,
) -> Page[KubernetesObject]:
    """`run`: 32 hex. One statement whatever the size of the page. Raises as `find_page`."""
    where = [objects.c.workspace == actor.workspace]
    if run is not None:
        where.append(objects.c.run.in_(sa.select(runs.c.id).where(runs.c.hex == run)))
    given = {"kind": kind, "name": name, "deployment": deployment, "experiment": experiment}
    where += [objects.c[column] == value for column, value in given.items() if value is not None]
    return find_page(session, OBJECTS, where, search, rows=_QUERY, read=_rendered)


def notebooks_of_runs(session: Session, actor: Actor, ids: Sequence[int]) -> dict[int, KubernetesObject]:
    """The notebook that each run says it was logged from, if it was reported: of several of that name the newest.

    Two statements.
    """
    said = (tags.c.kind == NodeKind.CONTEXT, tags.c.node.in_(ids), names.c.name == NOTEBOOK_TAG)
    query = sa.select(tags.c.node, tags.c.value).join(names, names.c.id == tags.c.name_id).where(*said)
    wanted = {row.node: tuple(row.value.split("/", 1)) for row in session.all(query) if "/" in row.value} if ids else {}
    if not wanted:
        return {}
    here = (objects.c.workspace == actor.workspace, objects.c.kind == "Notebook")
    called = objects.c.name.in_(sorted({name for _, name in wanted.values()}))
    rows = session.all(_QUERY.where(*here, called).order_by(objects.c.deleted.desc(), objects.c.id))
    found = {(one.namespace, one.name): one for one in _rendered(session, rows)}
    return {run: found[place] for run, place in wanted.items() if place in found}


def find_notebook(session: Session, actor: Actor, hex: str) -> KubernetesObject:
    """Of the run. Raises NotFound: no such run, or it names no notebook that was reported."""
    ref = get_run_ref(session, actor.workspace, hex)
    found = notebooks_of_runs(session, actor, [ref.id]).get(ref.id)
    if found is None:
        raise NotFound("notebook of run", f"run_{ref.hex}")
    return found


def read_details(session: Session, ids: Sequence[int]) -> dict[int, Mapping[str, Any]]:
    """What the newest report of each says beside the object's own fields and its tasks; one statement."""
    rows = session.all(sa.select(objects.c.id, objects.c.report).where(objects.c.id.in_(ids))) if ids else []
    found: dict[int, Mapping[str, Any]] = {}
    for row in rows:
        said: dict[str, Any] = {} if row.report is None else msgspec.json.decode(row.report)
        found[row.id] = {key: shown for key, part in said.items() if key not in TOLD_ELSEWHERE and (shown := _shown(part))}
    return found


def _shown(part: Any) -> Any:
    """Without what is not there."""
    if isinstance(part, dict):
        return {key: value for key, value in part.items() if value is not None and value not in ({}, [])}
    return part


def _rendered(_session: Session, rows: Sequence[sa.Row[tuple[Any, ...]]]) -> list[KubernetesObject]:
    names = (*_OWN, "run_hex")
    return [KubernetesObject(**{name: getattr(row, name) for name in names} | {"deleted": bool(row.deleted)}) for row in rows]
