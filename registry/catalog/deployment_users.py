"""Which live deployments use a version or a model: what they use must not be deleted."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from registry.catalog.traffic import newest_lists
from registry.db.session import Session
from registry.names import DesiredState, IdPrefix, Lifecycle, own_id
from registry.tables.models import deployments, model_versions


def users_of(session: Session, versions: Sequence[int]) -> dict[int, list[str]]:
    """The live deployments that use each version: pinned to it, sending it traffic, or unpinned while it is the newest.

    Versions that none uses are left out. The caller holds the lock of the versions' model.
    """
    found: dict[int, list[str]] = {}
    models = sa.select(model_versions.c.model).where(model_versions.c.id.in_(versions))
    live = session.all(_live().where(deployments.c.model.in_(models) | deployments.c.model.is_(None)))
    newest = _newest_versions(session, {row.model for row in live if row.model_version is None})
    sent = newest_lists(session, [row.id for row in live])
    for row in live:
        used = {share["version"] for share in sent.get(row.id, ())} | {row.model_version or newest.get(row.model)}
        for version in sorted(set(versions) & used):
            found.setdefault(version, []).append(own_id(IdPrefix.DEPLOYMENT, row.id))
    return found


def users_of_model(session: Session, model: int) -> list[str]:
    return [own_id(IdPrefix.DEPLOYMENT, row.id) for row in session.all(_live().where(deployments.c.model == model))]


def _live() -> "sa.Select[tuple[int, int | None, int | None]]":
    return (
        sa.select(deployments.c.id, deployments.c.model, deployments.c.model_version)
        .where(deployments.c.lifecycle == Lifecycle.ACTIVE, deployments.c.desired_state == DesiredState.DEPLOYED)
        .order_by(deployments.c.id)
    )


def _newest_versions(session: Session, models: Iterable[int | None]) -> dict[int, int]:
    """The version with the highest number of each model, deleted ones aside."""
    top = (
        sa.select(model_versions.c.model, sa.func.max(model_versions.c.number).label("number"))
        .where(model_versions.c.model.in_(list(models)), model_versions.c.lifecycle != Lifecycle.DELETED)
        .group_by(model_versions.c.model)
        .subquery()
    )
    same = (top.c.model == model_versions.c.model) & (top.c.number == model_versions.c.number)
    rows = session.all(sa.select(model_versions.c.model, model_versions.c.id).join(top, same))
    return {row.model: row.id for row in rows}
