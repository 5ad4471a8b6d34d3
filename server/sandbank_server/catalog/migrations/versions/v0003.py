"""Checkpoints, and what sessions know of theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table; sessions so far have no checkpoints."""
    text, big, name = sa.Text(), sa.BigInteger(), sa.String(128)
    op.add_column(
        "sessions", sa.Column("checkpoint_policy", sa.SmallInteger(), nullable=False, server_default="0")
    )
    op.add_column("sessions", sa.Column("latest_checkpoint_id", name, nullable=False, server_default=""))
    op.create_table(
        "checkpoints",
        sa.Column("tenant", name, primary_key=True),
        sa.Column("checkpoint_id", name, primary_key=True),
        sa.Column("session_id", name, nullable=False),
        sa.Column("parent_checkpoint_id", name, nullable=False),
        sa.Column("request_id", name, nullable=True),
        sa.Column("create_time", big, nullable=False),
        sa.Column("wall_time", big, nullable=False),
        sa.Column("size_bytes", big, nullable=False),
        sa.Column("new_bytes", big, nullable=False),
        sa.Column("execution_count", big, nullable=False),
        sa.Column("last_operation_id", name, nullable=False),
        sa.Column("python_version", sa.String(64), nullable=False),
        sa.Column("labels", text, nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
    )
    op.create_index("checkpoints_by_request", "checkpoints", ["tenant", "request_id"], unique=True)
    op.create_index(
        "checkpoints_by_session", "checkpoints", ["tenant", "session_id", "create_time", "checkpoint_id"]
    )
