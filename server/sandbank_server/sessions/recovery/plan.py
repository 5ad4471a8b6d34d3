"""What is done when a recovery fails: tried again, after a pause, or given up. Pure."""

from __future__ import annotations

from typing import Final

from sandbank_server.errors import (
    DomainError,
    DrainingError,
    PoolDegradedError,
    PoolQueueFullError,
    PoolTimeoutError,
    StoreUnavailableError,
)

RECOVERY_ATTEMPTS: Final = 3
"""Failed recoveries in a row after which a session is left CRASHED."""

FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 10.0

_PASSING: Final = (
    DrainingError,
    PoolDegradedError,
    PoolQueueFullError,
    PoolTimeoutError,
    StoreUnavailableError,
)
"""What says nothing about the checkpoint or the sandbox: the store, the catalog or the engine cannot be reached now."""


class RecoveryPlan:
    """Of one recovery. ``patience``: seconds for which what passes by itself is waited for; no attempt is counted."""

    def __init__(self, now: float, patience: float) -> None:
        self._deadline = now + patience
        self._failures = 0
        self._pause = FIRST_PAUSE_SECONDS

    def failed(self, error: DomainError, now: float) -> float | None:
        """Return the seconds after which to try again, None to give up."""
        if isinstance(error, _PASSING):
            pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE_SECONDS)
            return None if now >= self._deadline else min(pause, self._deadline - now)
        self._failures += 1
        return None if self._failures >= RECOVERY_ATTEMPTS else FIRST_PAUSE_SECONDS
