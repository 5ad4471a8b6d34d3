"""Sessions and their labels."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    text, big, small = sa.Text(), sa.BigInteger(), sa.SmallInteger()
    op.create_table(
        "sessions",
        sa.Column("tenant", sa.String(128), primary_key=True),
        sa.Column("session_id", sa.String(128), primary_key=True),
        sa.Column("request_id", sa.String(128), nullable=True),
        sa.Column("request_digest", sa.String(128), nullable=False),
        sa.Column("template", sa.String(128), nullable=False),
        sa.Column("state", small, nullable=False),
        sa.Column("state_detail", text, nullable=False),
        sa.Column("sandbox_id", sa.String(128), nullable=False),
        sa.Column("generation", big, nullable=False),
        sa.Column("labels", text, nullable=False),
        sa.Column("create_time", big, nullable=False),
        sa.Column("last_active_time", big, nullable=False),
        sa.Column("idle_timeout", big, nullable=False),
        sa.Column("max_lifetime", big, nullable=False),
        sa.Column("expire_time", big, nullable=False),
        sa.Column("end_time", big, nullable=True),
        sa.Column("recovery_policy", small, nullable=False),
        sa.Column("idle_action", small, nullable=False),
        sa.Column("execution_count", big, nullable=False),
        sa.Column("env", text, nullable=False),
        sa.Column("has_secret_env", sa.Boolean(), nullable=False),
        sa.Column("python_version", sa.String(64), nullable=False),
        sa.Column("last_recovery", sa.LargeBinary(), nullable=False),
        sa.Column("event_sequence", big, nullable=False),
    )
    op.create_index("sessions_by_request", "sessions", ["tenant", "request_id"], unique=True)
    op.create_index("sessions_by_time", "sessions", ["tenant", "create_time", "session_id"])
    op.create_index("sessions_by_end", "sessions", ["end_time"])
    op.create_table(
        "session_labels",
        sa.Column("tenant", sa.String(128), primary_key=True),
        sa.Column("session_id", sa.String(128), primary_key=True),
        sa.Column("key", sa.String(256), primary_key=True),
        sa.Column("value", text, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "session_id"], ["sessions.tenant", "sessions.session_id"], ondelete="CASCADE"
        ),
    )
    op.create_index("session_labels_by_key", "session_labels", ["tenant", "key", "value"])
