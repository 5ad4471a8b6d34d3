"""How sessions keep snapshots."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Give every session the usual policy."""
    big = sa.BigInteger()
    for column in (
        sa.Column("snapshots_disabled", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("snapshot_history", big, nullable=False, server_default="0"),
        sa.Column("quiet_time", big, nullable=False, server_default="50000"),
    ):
        op.add_column("sessions", column)
