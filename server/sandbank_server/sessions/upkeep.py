"""What time does to sessions: they idle, expire, and are forgotten."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog

from sandbank_server.errors import StoreUnavailableError
from sandbank_server.sessions.life.session import Session
from sandbank_server.sessions.ports import SessionServices
from sandbank_server.sessions.registry import Key, SessionRegistry

_log = structlog.get_logger("sandbank.sessions")

TICK_SECONDS = 1.0
PURGE_SECONDS = 300.0


class SessionUpkeep(SessionRegistry):
    """Watches the time for all sessions."""

    def __init__(self, services: SessionServices) -> None:
        super().__init__(services)
        self._left: set[Key] = set()
        """Sessions that are no more, and may have automatic checkpoints: others needed them, or the store was away."""

    async def _tick(self) -> None:
        while True:
            await self._services.clock.sleep(TICK_SECONDS)
            now = self._services.clock.now()
            # Together, so that what is saved goes into few transactions.
            ticks = [self._tick_session(session, now) for session in self._sessions.values()]
            unsaved = sum(await asyncio.gather(*ticks))
            if unsaved:
                _log.warning("sessions could not be saved; it is tried again", count=unsaved)

    async def _tick_session(self, session: Session, now: datetime) -> bool:
        """Return whether the catalog refused it."""
        try:
            await session.tick(now)
        except StoreUnavailableError:
            return True
        except Exception:  # noqa: BLE001 - one session's trouble is not the others'
            _log.exception("a session's tick failed", session_id=session.session_id)
        return False

    async def _purge(self, started: datetime) -> None:
        clock, catalog = self._services.clock, self._services.catalog
        swept = False
        while True:
            try:
                kept = timedelta(seconds=self._services.limits.readable_after_end)
                for key in await catalog.purge_sessions(clock.now() - kept):
                    self._logs.remove(*key)
                    self._left.add(key)
                if not swept:
                    await self._sweep(started)
                    swept = True
                await self._delete_left()
            except StoreUnavailableError as error:
                _log.warning("ended sessions could not be purged", reason=error.message)
            except Exception:  # noqa: BLE001 - tried again later
                _log.exception("ended sessions could not be purged")
            await clock.sleep(PURGE_SECONDS)

    async def _delete_left(self) -> None:
        """Delete the automatic checkpoints of sessions that are no more, once nobody needs them."""
        library = self._services.library
        for key in list(self._left):
            if library is None or not await library.thin_out(*key, keep=0):
                self._left.discard(key)

    async def _sweep(self, started: datetime) -> None:
        """Find what a kill left of sessions that have no row: logs of those to come, checkpoints of those that were."""
        if self._services.library is not None:
            for key in await self._services.library.saved_unasked():
                if key not in self._sessions and await self._services.catalog.get_session(*key) is None:
                    self._left.add(key)
        for key in list(self._logs.made_before(started.timestamp())):
            if key not in self._sessions and await self._services.catalog.get_session(*key) is None:
                self._logs.remove(*key)
