"""Serving environments and inference services of a Model Registry database as environments and deployments."""

import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.importing.mlmd.owned import Owned, Record, split, text_of
from registry.db.session import Session
from registry.names import Author, DesiredState, Lifecycle
from registry.tables.graph import contexts, executions
from registry.tables.models import deployments, environments


def insert_environment(session: Session, record: Record) -> None:
    own = {"id": record.row["id"], "workspace": record.row["workspace"], "name": record.row["name"]}
    session.insert(environments, own | {"description": text_of(record, "description")})


def insert_deployment(session: Session, record: Record, owned: Owned) -> bool:
    """Changes the row's name to that in its environment here. False: it is of no environment."""
    environment, name = split(record.row["name"], owned)
    environment = environment or owned.of(record, "serving_environment_id") or 0
    if not environment:
        return False
    if _is_taken(session, record, f"{environment}:{name}"):
        name = f"{name}.imported"
    record.row["name"] = record.row["name_key"] = f"{environment}:{name}"
    wanted = DesiredState.UNDEPLOYED if text_of(record, "desired_state") == "UNDEPLOYED" else DesiredState.DEPLOYED
    row = dict.fromkeys(column.name for column in deployments.columns)
    row |= {"id": record.row["id"], "workspace": record.row["workspace"], "environment": environment, "name": name}
    row |= {"model": owned.of(record, "registered_model_id"), "model_version": owned.of(record, "model_version_id")}
    row |= {"description": text_of(record, "description"), "runtime": text_of(record, "runtime"), "desired_state": int(wanted)}
    session.insert(deployments, row | {"pin_author": int(Author.CLIENT), "lifecycle": int(Lifecycle.ACTIVE)})
    return True


def name_serving(session: Session, record: Record, owned: Owned) -> bool:
    """Of an execution that serves: changes its name to that under its deployment here. False: it is of none."""
    deployment, name = split(record.row["name"], owned)
    if not deployment:
        return False
    record.row["name"] = record.row["name_key"] = f"{deployment}:{name}"
    if _is_taken(session, record, record.row["name"]):
        record.row["name_key"] = None
    return True


def _is_taken(session: Session, record: Record, key: str) -> bool:
    table = executions if record.row["type_id"] == node_types.SERVE else contexts
    where = (table.c.scope == record.row["scope"], table.c.type_id == record.row["type_id"], table.c.name_key == key)
    return session.scalar(sa.select(table.c.id).where(*where)) is not None
