"""${message}

Rules: works with the previous version's code still running; one DDL step on MySQL/MariaDB, safe to repeat (their DDL does not
roll back); no partial or functional index.
"""

from alembic import op
import sqlalchemy as sa
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade():
    ${upgrades if upgrades else "pass"}


def downgrade():
    ${downgrades if downgrades else "pass"}
