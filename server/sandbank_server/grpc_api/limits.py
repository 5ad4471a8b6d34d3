"""The bounds that requests are held to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sandbank.v1 import session_pb2


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Defaults and bounds of what a request may ask for."""

    code_bytes: int = 1024 * 1024
    operation_timeout: timedelta = timedelta(seconds=60)
    operation_timeout_max: timedelta = timedelta(hours=1)
    output_bytes: int = 8 * 1024 * 1024
    idle_timeout: timedelta = timedelta(minutes=15)
    idle_timeout_max: timedelta = timedelta(hours=24)
    lifetime: timedelta = timedelta(hours=24)
    lifetime_max: timedelta = timedelta(hours=24)
    message_bytes: int = 16 * 1024 * 1024
    transaction_idle_timeout: timedelta = timedelta(minutes=5)
    transaction_idle_timeout_max: timedelta = timedelta(hours=1)
    quiet_time: timedelta = timedelta(milliseconds=50)
    quiet_time_max: timedelta = timedelta(minutes=1)
    checkpoint_policy: int = session_pb2.CHECKPOINT_POLICY_NONE
    """Of a session that does not say."""
    snapshot_history: int = 16
