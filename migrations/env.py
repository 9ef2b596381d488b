"""Alembic's entry: runs on the connection that registry/migrate.py gives, or on LINEAL_DB from the command line."""

import os

from alembic import context

from registry.db.engine import open_database
from registry.migrate import alone
from registry.tables import metadata


def _ours(_object, name, kind, _reflected, _compare_to):
    """The id sources are not tables of the metadata."""
    return not (kind == "table" and name is not None and name.startswith(("ids_", "id_marks")))


def _run(connection):
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=_ours,
        transaction_per_migration=True,
        compare_type=False,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    database = open_database(os.environ["LINEAL_DB"])
    database.hold()
    with alone(database) as own:
        _run(own)
    database.close()
