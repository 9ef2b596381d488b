"""Who got which share of a deployment's requests, and since when.

Every list is kept at its own time, so that lists may arrive in any order; one equal to the one before it is not shown.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.revisions import fill_versions
from registry.db.session import Session
from registry.errors import InvalidArgument, NotFound
from registry.names import IdPrefix, check_text, own_id
from registry.tables.models import model_versions, registered_models, traffic

Shares = Sequence[Mapping[str, Any]]
"""`{version: id or None, revision: text or None, percent: 0 to 100, tag: text or None}` each; where it is read and the revision
is known, also `uri`."""


@dataclass(frozen=True)
class Traffic:
    """The list in force from `at` on. A share names the version that it says, or that its revision serves."""

    at: int
    shares: Shares


def read_histories(session: Session, ids: Sequence[int], *, at: int | None = None) -> dict[int, list[Traffic]]:
    """Of each deployment by time; with `at` only the list in force then, if any. One statement, and those of `fill_versions`."""
    query = sa.select(traffic.c.deployment, traffic.c.at, traffic.c.place, traffic.c.shares).where(traffic.c.deployment.in_(ids))
    if at is not None:
        query = query.where(traffic.c.at <= at)
    shown: dict[int, list[tuple[int, bytes]]] = {}
    for of, when, _, shares in sorted((row.deployment, row.at, row.place, bytes(row.shares)) for row in session.all(query)):
        own = shown.setdefault(of, [])
        if not own or own[-1][1] != shares:
            own.append((when, shares))
    wanted = [(of, *entry) for of, own in shown.items() for entry in (own if at is None else own[-1:])]
    lists = fill_versions(session, [(of, json.loads(shares)) for of, _, shares in wanted])
    found: dict[int, list[Traffic]] = {}
    for (of, when, _), filled in zip(wanted, lists, strict=True):
        found.setdefault(of, []).append(Traffic(when, filled))
    return found


def newest_lists(session: Session, ids: Sequence[int]) -> dict[int, Shares]:
    """The list in force of each deployment that has one; one statement, and those of `fill_versions`."""
    if not ids:
        return {}
    top = (
        sa.select(traffic.c.deployment, sa.func.max(traffic.c.at).label("at"))
        .where(traffic.c.deployment.in_(ids))
        .group_by(traffic.c.deployment)
        .subquery()
    )
    same = (top.c.deployment == traffic.c.deployment) & (top.c.at == traffic.c.at)
    rows = session.all(sa.select(traffic.c.deployment, traffic.c.place, traffic.c.shares).join(top, same))
    last = {of: shares for of, _, shares in sorted((row.deployment, row.place, bytes(row.shares)) for row in rows)}
    lists = fill_versions(session, [(of, json.loads(shares)) for of, shares in last.items()])
    return dict(zip(last, lists, strict=True))


def checked(session: Session, actor: Actor, shares: Shares) -> bytes:
    """The canonical JSON of the list: equal lists are equal bytes. Locks the models of its versions against deletes.

    Raises InvalidArgument (a share is none), NotFound (a version).
    """
    plain = []
    for share in shares:
        if share.keys() - {"version", "revision", "percent", "tag"}:
            raise InvalidArgument("a traffic share has version, revision, percent and tag, nothing else", field="shares")
        percent = share.get("percent")
        if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 <= percent <= 100:
            raise InvalidArgument("a traffic share needs a percent from 0 to 100", field="shares")
        for key in ("revision", "tag"):
            check_text(share.get(key) or "", f"traffic {key}", limit=512)
        plain.append({key: share.get(key) for key in ("version", "revision", "percent", "tag")})
    wanted = {share["version"] for share in plain if share["version"] is not None}
    if wanted:
        here = (model_versions.c.id.in_(wanted), model_versions.c.workspace == actor.workspace)
        found = {row.id: row.model for row in session.all(sa.select(model_versions.c.id, model_versions.c.model).where(*here))}
        if wanted - found.keys():
            raise NotFound("model version", own_id(IdPrefix.VERSION, min(wanted - found.keys())))
        session.lock(registered_models, found.values())
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def add_list(session: Session, deployment: int, shares: bytes, at: int, *, place: str = "") -> bool:
    """False if just this list is there for this time and place."""
    here = (traffic.c.deployment == deployment, traffic.c.at == at, traffic.c.place == place)
    if shares in map(bytes, session.scalars(sa.select(traffic.c.shares).where(*here))):
        return False
    row = {"id": session.next_id("record"), "deployment": deployment, "at": at, "place": place, "shares": shares}
    session.insert(traffic, row)
    return True
