"""Checkpoints that a session's policy asks for: in the background, one at a time, coalescing, within a budget."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from sandbank.v1 import session_pb2

from sandbank_server.clock import Clock
from sandbank_server.errors import DomainError

_log = structlog.get_logger("sandbank.session")

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 300.0
"""Between tries while the store fails; a session that cannot be saved runs on, and the log says so."""


class Autosave:
    """Calls ``save`` some time after :meth:`changed`. :meth:`run` does the work, for as long as the session lives.

    ``core_share``: a save that took a second is followed by a pause that makes it this part of the whole.
    """

    def __init__(
        self,
        policy: int,
        save: Callable[[], Awaitable[object]],
        clock: Clock,
        core_share: float,
        names: Callable[[], dict[str, str]],
    ) -> None:
        self._after_change = policy == session_pb2.CHECKPOINT_POLICY_AFTER_CHANGE
        self._on_idle = policy == session_pb2.CHECKPOINT_POLICY_ON_IDLE
        self._save = save
        self._clock = clock
        self._core_share = core_share
        self._names = names
        self._changes = 0
        self._saved = 0
        self._wanted = asyncio.Event()

    @property
    def active(self) -> bool:
        """Whether the policy asks for anything in the background."""
        return self._after_change or self._on_idle

    def changed(self) -> None:
        """The state is no longer the saved one."""
        self._changes += 1
        if self._after_change:
            self._wanted.set()

    def idle(self) -> None:
        """The session has not been used for a while."""
        if self._on_idle and self._changes > self._saved:
            self._wanted.set()

    async def run(self) -> None:
        """Save whenever that is due, until cancelled."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            changes, began = self._changes, self._clock.monotonic()
            try:
                await self._save()
            except DomainError as error:
                _log.warning("a checkpoint could not be made", reason=error.message, **self._names())
                self._wanted.set()
                await self._clock.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            pause = _FIRST_PAUSE_SECONDS
            self._saved = changes
            took = self._clock.monotonic() - began
            await self._clock.sleep(took * (1 / self._core_share - 1))
