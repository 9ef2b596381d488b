"""The core tables.

The first revision creates the metadata as it is: until a release exists it is regenerated, never followed by a second one. Each
table and index is its own DDL step and is made only where missing, so it can be run again after a crash on MariaDB.
"""

from alembic import op

from registry.db.ddl import create_table_if_missing
from registry.db.ids import create_id_sources, drop_id_sources
from registry.tables import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    connection = op.get_bind()
    create_id_sources(connection)
    for table in metadata.sorted_tables:
        create_table_if_missing(connection, table)


def downgrade():
    connection = op.get_bind()
    metadata.drop_all(connection, checkfirst=True)
    drop_id_sources(connection)
