"""The experiment that MLflow's clients call `0`: each workspace's Default, made when one of them first asks.

That a context is it stands in `id_aliases`, under MLflow's door and the old id 0, so that it can be renamed like any other.
"""

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.experiments import get_or_create_experiment
from registry.catalog.workspaces import DEFAULT
from registry.db.session import Session
from registry.names import Door, NodeKind, Origin
from registry.tables.service import id_aliases

NAME = "Default"
LOCATION = "mlflow-artifacts:/0"
"""Of the `default` workspace's, whose id is shown as `0`."""


def find_default(session: Session, workspace: int) -> int | None:
    """Its context id; None before the first request. Never changes once it is there."""
    where = (id_aliases.c.workspace == workspace, id_aliases.c.door == Door.MLFLOW, id_aliases.c.kind == NodeKind.CONTEXT)
    found = session.scalar(sa.select(id_aliases.c.node).where(*where, id_aliases.c.old_id == 0))
    return None if found is None else int(found)


def get_or_create_default(session: Session, actor: Actor, *, now: int) -> int:
    """Idempotent. An experiment that is called Default already becomes it."""
    found = find_default(session, actor.workspace)
    if found is not None:
        return found
    location = LOCATION if actor.workspace_name == DEFAULT else None
    made = get_or_create_experiment(session, actor, NAME, now=now, artifact_location=location, origin=Origin.MLFLOW)
    row = {"workspace": actor.workspace, "door": int(Door.MLFLOW), "kind": int(NodeKind.CONTEXT), "old_id": 0, "node": made.id}
    session.insert_ignore(id_aliases, [row])
    again = find_default(session, actor.workspace)
    return made.id if again is None else again
