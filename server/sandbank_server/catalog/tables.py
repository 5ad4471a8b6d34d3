"""The tables as this version of the code sees them; how they came to be is in `migrations/`.

Times are microseconds since 1970 and durations microseconds: every database keeps, compares and sorts
these the same way, which cannot be said of their own types. Mappings are JSON text, never searched:
labels have a table for that.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    false,
)

SCHEMA_VERSION: Final = "0004"
"""The migration that makes these tables; a test holds it against the newest one."""

metadata: Final = MetaData()

sessions: Final = Table(
    "sessions",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("session_id", String(128), primary_key=True),
    # NULL when the client gave none: NULLs are never equal, so the unique index leaves them alone.
    Column("request_id", String(128), nullable=True),
    Column("request_digest", String(128), nullable=False),
    Column("template", String(128), nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("state_detail", Text, nullable=False),
    Column("sandbox_id", String(128), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("labels", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("last_active_time", BigInteger, nullable=False),
    Column("idle_timeout", BigInteger, nullable=False),
    Column("max_lifetime", BigInteger, nullable=False),
    Column("expire_time", BigInteger, nullable=False),
    Column("end_time", BigInteger, nullable=True),
    Column("recovery_policy", SmallInteger, nullable=False),
    Column("idle_action", SmallInteger, nullable=False),
    Column("execution_count", BigInteger, nullable=False),
    Column("env", Text, nullable=False),
    Column("has_secret_env", Boolean, nullable=False),
    Column("python_version", String(64), nullable=False),
    Column("last_recovery", LargeBinary, nullable=False),
    Column("event_sequence", BigInteger, nullable=False),
    Column("snapshots_disabled", Boolean, nullable=False, server_default=false()),
    Column("snapshot_history", BigInteger, nullable=False, server_default="0"),
    Column("quiet_time", BigInteger, nullable=False, server_default="50000"),
    Column("checkpoint_policy", SmallInteger, nullable=False, server_default="0"),
    Column("latest_checkpoint_id", String(128), nullable=False, server_default=""),
    Column("recompute", Boolean, nullable=False, server_default=false()),
    Index("sessions_by_request", "tenant", "request_id", unique=True),
    Index("sessions_by_time", "tenant", "create_time", "session_id"),
    Index("sessions_by_end", "end_time"),
)

session_labels: Final = Table(
    "session_labels",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("session_id", String(128), primary_key=True),
    Column("key", String(256), primary_key=True),
    Column("value", Text, nullable=False),
    ForeignKeyConstraint(
        ["tenant", "session_id"], ["sessions.tenant", "sessions.session_id"], ondelete="CASCADE"
    ),
    Index("session_labels_by_key", "tenant", "key", "value"),
)

# No foreign key to the session: a checkpoint outlives it.
checkpoints: Final = Table(
    "checkpoints",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("checkpoint_id", String(128), primary_key=True),
    Column("session_id", String(128), nullable=False),
    Column("parent_checkpoint_id", String(128), nullable=False),
    Column("request_id", String(128), nullable=True),
    Column("create_time", BigInteger, nullable=False),
    Column("wall_time", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("new_bytes", BigInteger, nullable=False),
    Column("execution_count", BigInteger, nullable=False),
    Column("last_operation_id", String(128), nullable=False),
    Column("python_version", String(64), nullable=False),
    Column("labels", Text, nullable=False),
    Column("verified", Boolean, nullable=False),
    Column("automatic", Boolean, nullable=False),
    Index("checkpoints_by_request", "tenant", "request_id", unique=True),
    Index("checkpoints_by_session", "tenant", "session_id", "create_time", "checkpoint_id"),
)
