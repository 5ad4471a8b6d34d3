"""Time, injected: nothing else asks the operating system for it, so tests decide what time it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import Context
from datetime import UTC, datetime
from typing import Protocol


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """Make sure that the call does not happen. Idempotent."""


class Clock(Protocol):
    """What time it is, and waiting for a later one."""

    def monotonic(self) -> float:
        """Return seconds on a scale that never jumps; only differences mean something."""

    def now(self) -> datetime:
        """Return wall time, aware, in UTC: for records and people, never for measuring."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call back on the running event loop after ``delay`` seconds (0 when negative)."""

    async def sleep(self, delay: float) -> None:
        """Return after ``delay`` seconds."""


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        """See :class:`Clock`."""
        return time.monotonic()

    def now(self) -> datetime:
        """See :class:`Clock`."""
        return datetime.now(UTC)

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """See :class:`Clock`."""
        # In an empty context: what happens later is not part of the call that was there first, nor are its log lines.
        return asyncio.get_running_loop().call_later(max(delay, 0.0), callback, context=Context())

    async def sleep(self, delay: float) -> None:
        """See :class:`Clock`."""
        await asyncio.sleep(delay)
