"""Sessions may have what cannot be saved made anew."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Sessions so far have not asked for it."""
    op.add_column("sessions", sa.Column("recompute", sa.Boolean(), nullable=False, server_default=sa.false()))
