"""Ids that experiments had in a store of MLflow and could not keep: at MLflow's door they go on answering."""

import sqlalchemy as sa

from registry.db.session import Session
from registry.names import Door, NodeKind
from registry.tables.runs import experiments
from registry.tables.service import id_aliases


def find_imported(session: Session, workspace: int) -> dict[int, int]:
    """Ours by theirs; an id that is an experiment's of the workspace now means that one. Only an import adds to them."""
    own = sa.exists().where(experiments.c.id == id_aliases.c.old_id, experiments.c.workspace == workspace)
    here = (id_aliases.c.workspace == workspace, id_aliases.c.door == Door.MLFLOW, id_aliases.c.kind == NodeKind.CONTEXT)
    rows = session.tuples(sa.select(id_aliases.c.old_id, id_aliases.c.node).where(*here, id_aliases.c.old_id != 0, ~own))
    return {int(old): int(node) for old, node in rows}
