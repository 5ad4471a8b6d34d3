"""Checkpoints that a session's policy asks for: in the background, one at a time, coalescing, within a budget.

One is begun when the session has been still for a moment, so that no operation waits for a writer to be forked; a
session that is never still is saved all the same, :data:`LONGEST_WAIT_SECONDS` after the first change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from sandbank.v1 import session_pb2

from sandbank_server.clock import Clock
from sandbank_server.errors import DomainError, SessionBusyError, SessionCrashedError

_log = structlog.get_logger("sandbank.session")

STILL_SECONDS = 0.05
"""How long a session is to be still before it is saved, at least; at most twice that."""

LONGEST_WAIT_SECONDS = 1.0
"""How long a change waits for that at most, where the budget allows a checkpoint at all."""

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 300.0
"""Between tries while the store fails; a session that cannot be saved runs on, and the log says so."""

_LONGEST_BUSY_PAUSE_SECONDS = 10.0
"""Likewise where there was no copy of the state to write: an operation ran, and will end."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A session as the saving sees it."""

    save: Callable[[], Awaitable[object]]
    use: Callable[[], object]
    """Something that differs after each use of the session; None while an operation or a call waits or runs."""
    names: Callable[[], dict[str, str]]
    """What log lines say of it."""


class Autosave:
    """Saves some time after :meth:`changed`. :meth:`run` does the work, for as long as the session lives.

    ``core_share``: a save that took a second is followed by a pause that makes it this part of the whole.
    """

    def __init__(self, policy: int, session: Saved, clock: Clock, core_share: float) -> None:
        self._after_change = policy == session_pb2.CHECKPOINT_POLICY_AFTER_CHANGE
        self._on_idle = policy == session_pb2.CHECKPOINT_POLICY_ON_IDLE
        self._session = session
        self._clock = clock
        self._core_share = core_share
        self._saved = 0
        self._changed_at = 0.0
        self._wanted = asyncio.Event()
        self.changes = 0
        """How many there were; see :meth:`saved`."""

    @property
    def active(self) -> bool:
        """Whether the policy asks for anything in the background."""
        return self._after_change or self._on_idle

    @property
    def unsaved(self) -> bool:
        """Whether there were changes that no checkpoint is known to have."""
        return self.changes > self._saved

    def changed(self) -> None:
        """The state is no longer the saved one."""
        self.changes += 1
        if self._after_change:
            self._want()

    def settled(self) -> None:
        """What ran has ended, without a change perhaps: what could not be saved while it ran can be now."""
        if self._after_change and self.unsaved:
            self._want()

    def saved(self, changes: int) -> None:
        """A checkpoint, whoever wanted it, has the state as it was after so many changes."""
        self._saved = max(self._saved, changes)

    def idle(self) -> None:
        """The session has not been used for a while."""
        if self._on_idle and self.unsaved:
            self._want()

    def _want(self) -> None:
        if not self._wanted.is_set():
            self._changed_at = self._clock.monotonic()
            self._wanted.set()

    async def run(self) -> None:
        """Save whenever that is due, until cancelled."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            await self._wanted.wait()
            await self._until_still()
            self._wanted.clear()
            if not self.unsaved:
                continue  # somebody else saw to it
            began = self._clock.monotonic()
            failure = await self._try_to_save()
            took = self._clock.monotonic() - began
            budget = took * (1 / self._core_share - 1)
            if failure is None:
                pause = _FIRST_PAUSE_SECONDS
                await self._clock.sleep(budget)
            elif isinstance(failure, SessionCrashedError):
                pause = _FIRST_PAUSE_SECONDS  # there is nothing left to be saved
            else:
                self._want()
                busy = isinstance(failure, SessionBusyError)
                pause = min(pause, _LONGEST_BUSY_PAUSE_SECONDS if busy else _LONGEST_PAUSE_SECONDS)
                await self._clock.sleep(max(pause, budget))
                pause *= 2

    async def _until_still(self) -> None:
        """Wait for a moment in which nobody uses the session, but not for ever."""
        deadline = self._changed_at + LONGEST_WAIT_SECONDS
        seen = None
        while (left := deadline - self._clock.monotonic()) > 0:
            use = self._session.use()
            if use is not None and use == seen:
                return
            seen = use
            await self._clock.sleep(min(STILL_SECONDS, left))

    async def _try_to_save(self) -> Exception | None:
        try:
            await self._session.save()
        except SessionBusyError as error:
            _log.info("a checkpoint has to wait", reason=error.message, **self._session.names())
            return error
        except DomainError as error:
            _log.warning("a checkpoint could not be made", reason=error.message, **self._session.names())
            return error
        except Exception as error:  # noqa: BLE001 - a fault of ours: tried again, or nothing would be saved any more
            _log.exception("a checkpoint failed", **self._session.names())
            return error
        return None
