"""Deployments that reports tell of: what is wanted and what is the case, what each revision serves, who got which traffic when.

What the newest report says is the deployment's state. Traffic lists and revisions are a history: an older report adds its own. A
revision keeps the URI that the oldest report says: it never serves another model, but a controller may be slow to name a new one.
"""

import json
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.actors import Actor
from registry.catalog.artifacts import location_hash
from registry.catalog.environments import locked_environment, unmake_environment
from registry.catalog.keys import add_alias, find_alias
from registry.catalog.nodes import node_row, touch
from registry.catalog.reports import ranking, vanishing
from registry.catalog.reports.record import Deployment, ModelLabels, Report, millis
from registry.catalog.reports.stepping import cut
from registry.catalog.revisions import named_version
from registry.catalog.traffic import add_list, checked
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.names import MAX_NAME, Author, DesiredState, Lifecycle, NodeKind, Role, check_name, check_text
from registry.tables.graph import contexts, tags
from registry.tables.models import deployments, model_versions, registered_models, revisions, traffic
from registry.tables.runs import objects
from registry.tables.service import workspaces

GRAPH = "InferenceGraph"
SERVICE = "inferenceservice:"
"""Before the name of a service that a graph sends requests to."""
MAX_ENTRIES = 1000
MAX_OWN_NAME = 240
"""So that a uid and an environment have room beside it; Kubernetes' own limit for services is 63."""
_READY = {"True": "Ready", "False": "NotReady"}


def write_deployment(
    session: Session, agent: Actor, held: int, report: Report, said: Deployment, *, rank: ranking.Rank, newest: bool, now: int
) -> int:
    """Its id. `held`: the object's row, which is locked; `newest`: no newer report of the object is here.

    Raises InvalidArgument: a name, a URI or a list that the record does not take.
    """
    if max(len(said.traffic), len(said.revisions), len(said.services)) > MAX_ENTRIES:
        raise InvalidArgument(f"at most {MAX_ENTRIES} revisions and shares", field="deployment")
    known = session.scalar(sa.select(objects.c.deployment).where(objects.c.id == held))
    pins = _pins(session, agent, said.model) if newest or known is None else None
    home = agent if pins is None else pins.home
    id = _find_or_make(session, home, report, said, now=now) if known is None else int(known)
    session.lock(deployments, [id])
    if newest:
        if known is not None and pins is not None:
            id = _moved(session, id, home, report, said, agent=agent, now=now)
        _write_state(session, id, report, said, pins)
    learnt = _learn(session, id, said, rank)
    if newest and report.object.kind == GRAPH:
        _route(session, id, said)
    sent = _add_traffic(session, agent, id, said, rank)
    if report.object.deleted:
        _end_traffic(session, held, id)
    if newest or learnt or sent:
        touch(session, NodeKind.CONTEXT, id, now=now)
    return id


class _Pins:
    """The model and version that labels name, and the workspace in which they are."""

    def __init__(self, model: int, version: int | None, home: Actor) -> None:
        self.model, self.version, self.home = model, version, home


def _pins(session: Session, agent: Actor, labels: ModelLabels | None) -> _Pins | None:
    """None where no label names a model that the agent may deploy."""
    if labels is None:
        return None
    version, model = labels.model_version_id, labels.registered_model_id
    found = None
    if version is not None:
        versions = sa.select(model_versions.c.id, model_versions.c.model)
        found = session.first(versions.where(model_versions.c.id == _meant(session, version)))
    if found is not None and model is not None and found.model != _meant(session, model):
        found = None  # it is another model's
    wanted = found.model if found is not None else _meant(session, model) if model is not None else None
    query = sa.select(registered_models.c.id, registered_models.c.workspace, workspaces.c.name)
    query = query.join(workspaces, workspaces.c.id == registered_models.c.workspace)
    row = session.first(query.where(registered_models.c.id == wanted))
    if row is None or (row.workspace != agent.workspace and agent.role < Role.ADMIN):
        return None
    home = replace(agent, workspace=row.workspace, workspace_name=row.name)
    return _Pins(row.id, None if found is None else found.id, home)


def _meant(session: Session, id: int) -> int:
    """What the id means since its own record became part of another."""
    return find_alias(session, NodeKind.CONTEXT, id) or id


def _name(report: Report, said: Deployment) -> str:
    """As the Model Registry's controller names it, so that it finds ours."""
    name = check_text(said.name, "deployment.name", limit=MAX_OWN_NAME, empty=False)
    return f"{name}/{report.object.uid}" if report.object.uid else name


def _key(session: Session, home: Actor, report: Report, said: Deployment, *, now: int) -> tuple[int, str]:
    """The environment, which is locked, and the unique name in it."""
    wanted = check_name(home.workspace_name if said.environment is None else said.environment, "deployment.environment")
    environment = locked_environment(session, home, wanted, now=now).id
    return environment, check_text(f"{environment}:{_name(report, said)}", "environment and name", limit=MAX_NAME)


def _find_or_make(session: Session, home: Actor, report: Report, said: Deployment, *, now: int) -> int:
    environment, key = _key(session, home, report, said, now=now)
    found = _find(session, home.workspace, key)
    if found is not None:
        return found
    made = session.next_id("context")
    node = node_row(made, type_id=node_types.DEPLOYMENT, workspace=home.workspace, now=now, name=key, name_key=key)
    if not session.insert_if_absent(contexts, node):
        there = _find(session, home.workspace, key)
        assert there is not None  # noqa: S101  (its name is why ours was not made)
        return there
    row: dict[str, Any] = dict.fromkeys(column.name for column in deployments.columns)
    row |= {
        "id": made,
        "workspace": home.workspace,
        "environment": environment,
        "name": _name(report, said),
        "desired_state": int(DesiredState.DEPLOYED),
        "pin_author": int(Author.AGENT),
        "lifecycle": int(Lifecycle.ACTIVE),
    }
    session.insert(deployments, row)
    return made


def _find(session: Session, workspace: int, key: str) -> int | None:
    here = (contexts.c.scope == workspace, contexts.c.type_id == node_types.DEPLOYMENT, contexts.c.name_key == key)
    found: int | None = session.scalar(sa.select(contexts.c.id).where(*here))
    return found


def _moved(session: Session, id: int, home: Actor, report: Report, said: Deployment, *, agent: Actor, now: int) -> int:
    """Into the workspace of the model that its label names now. Where a client has made it there, the two become one."""
    columns = (deployments.c.workspace, deployments.c.lifecycle, deployments.c.environment)
    row = session.first(sa.select(*columns).where(deployments.c.id == id))
    assert row is not None  # noqa: S101  (its row is locked)
    if row.workspace == home.workspace or row.lifecycle == Lifecycle.DELETED:
        return id
    environment, key = _key(session, home, report, said, now=now)
    there = _find(session, home.workspace, key)
    if there is not None:
        _merge(session, id, there)
        unmake_environment(session, agent, row.environment, now=now)
        return there
    values = {"workspace": home.workspace, "environment": environment}
    session.execute(sa.update(deployments).where(deployments.c.id == id).values(**values))
    node = {"workspace": home.workspace, "scope": home.workspace, "name": key, "name_key": key}
    session.execute(sa.update(contexts).where(contexts.c.id == id).values(**node))
    unmake_environment(session, agent, row.environment, now=now)
    return id


def _merge(session: Session, old: int, new: int) -> None:
    """The client's record stays; the agent's has nothing but what reports said."""
    session.lock(deployments, [new])
    for table in (traffic, revisions):
        session.execute(sa.update(table).where(table.c.deployment == old).values(deployment=new))
    session.execute(sa.update(objects).where(objects.c.deployment == old).values(deployment=new))
    session.execute(sa.delete(tags).where(tags.c.kind == NodeKind.CONTEXT, tags.c.node == old))
    session.execute(sa.delete(deployments).where(deployments.c.id == old))
    session.execute(sa.delete(contexts).where(contexts.c.id == old))
    add_alias(session, NodeKind.CONTEXT, old, new)


def _write_state(session: Session, id: int, report: Report, said: Deployment, pins: _Pins | None) -> None:
    gone = said.state == "UNDEPLOYED" or report.object.deleted
    shown = {"ready": said.ready, "message": said.message, "mode": said.mode, "services": list(said.services)}
    values: dict[str, Any] = {
        "desired_state": int(DesiredState.UNDEPLOYED if gone else DesiredState.DEPLOYED),
        "actual_state": "Deleted" if report.object.deleted else _READY.get(said.ready or "", (said.ready or "Unknown")[:255]),
        "runtime": None if said.runtime is None else said.runtime[:255],
        "url": said.url,
        "uid": report.object.uid,
        "conditions": json.dumps({key: value for key, value in shown.items() if value}, ensure_ascii=False).encode(),
    }
    session.execute(sa.update(deployments).where(deployments.c.id == id).values(**values))
    pinned = {"model": pins.model if pins else None, "model_version": pins.version if pins else None}
    mine = (deployments.c.id == id, deployments.c.pin_author == Author.AGENT)
    session.execute(sa.update(deployments).where(*mine).values(**pinned))


def _learn(session: Session, id: int, said: Deployment, rank: ranking.Rank) -> bool:
    """What its revisions serve; True if that is news."""
    told: dict[str, dict[str, str]] = {}
    for one in said.revisions:
        check_text(one.name, "revision name", limit=255, empty=False)
        told.setdefault(one.name, {})[str(location_hash(one.uri))] = one.uri
    if not told:
        return False
    label = said.model.model_version_id if said.model else None
    held: dict[str, list[sa.Row[Any]]] = {}
    here = (revisions.c.deployment == id, revisions.c.name.in_(sorted(told)))
    for row in session.all(sa.select(revisions).where(*here)):
        held.setdefault(row.name, []).append(row)
    changed = False
    for name, uris in sorted(told.items()):
        rows = held.get(name, [])
        before = _Learnt(rows)
        after = before.with_report(uris, label, rank)
        if after != before:
            session.execute(sa.delete(revisions).where(revisions.c.id.in_([row.id for row in rows])))
            after.write(session, id, name)
            changed = True
    return changed


def _route(session: Session, id: int, said: Deployment) -> None:
    """The services that a graph sends requests to now, as revisions that serve nothing themselves."""
    wanted = sorted(set(said.services))
    for name in wanted:
        check_text(name, "service name", limit=255, empty=False)
    held = session.scalars(sa.select(revisions.c.name).where(revisions.c.deployment == id))
    gone = sorted(set(held) - set(wanted))
    if gone:
        session.execute(sa.delete(revisions).where(revisions.c.deployment == id, revisions.c.name.in_(gone)))
    for name in wanted:
        if name not in held:
            learnt = _Learnt([]).with_report({str(location_hash(SERVICE + name)): SERVICE + name}, None, ranking.OLDEST)
            learnt.write(session, id, name)


class _Learnt:
    """Of one revision: its URIs by location hash, as the oldest report says; its label, as the oldest that has one says."""

    def __init__(self, rows: list[sa.Row[Any]]) -> None:
        self.uris = {row.location_hash: row.uri for row in rows}
        self.rank = ranking.loaded(rows[0].report_rank) if rows else None
        self.label = rows[0].label if rows else None
        self.label_rank = ranking.loaded(rows[0].label_rank) if rows and rows[0].label_rank is not None else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Learnt) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def with_report(self, uris: dict[str, str], label: int | None, rank: ranking.Rank) -> "_Learnt":
        after = _Learnt([])
        after.__dict__ |= vars(self)
        if self.rank is None or rank < self.rank:
            after.uris, after.rank = uris, rank
        if label is not None and (self.label_rank is None or rank < self.label_rank):
            after.label, after.label_rank = label, rank
        return after

    def write(self, session: Session, deployment: int, name: str) -> None:
        assert self.rank is not None  # noqa: S101  (a report has told of it)
        common = {
            "deployment": deployment,
            "name": name,
            "label": self.label,
            "report_rank": ranking.stored(self.rank),
            "label_rank": None if self.label_rank is None else ranking.stored(self.label_rank),
        }
        ids = session.next_ids("record", len(self.uris))
        entries = sorted(self.uris.items())
        rows = []
        for id, (hash, uri) in zip(ids, entries, strict=True):
            model, version = named_version(uri) or (None, None)
            row = {"id": id, "uri": uri, "location_hash": hash, "model_name": cut(model, 512), "version_name": cut(version, 512)}
            rows.append(row | common)
        session.insert(revisions, rows)


def _end_traffic(session: Session, held: int, id: int) -> None:
    """Of an object that went while nobody looked: nobody is served from when that was first noticed."""
    at = vanishing.gone_at(session, held)
    if at is not None:
        later = (traffic.c.deployment == id, traffic.c.place == _LAST, traffic.c.at != at)
        session.execute(sa.delete(traffic).where(*later))
        add_list(session, id, b"[]", at, place=_LAST)


_LAST = "gone"
"""Behind all places that reports have of their own."""


def _add_traffic(session: Session, agent: Actor, id: int, said: Deployment, rank: ranking.Rank) -> bool:
    """The list at its own place; nobody is served from when it was asked to go. True if that is news."""
    gone = said.state == "UNDEPLOYED"
    if not gone and not said.traffic:
        return False
    shares = [{"revision": one.revision, "percent": one.percent, "tag": one.tag} for one in said.traffic]
    place = f"{max(0, rank[0]):010d}.{max(0, rank[1]):040d}"
    return add_list(session, id, checked(session, agent, [] if gone else shares), millis(said.changed_at) or 0, place=place)
