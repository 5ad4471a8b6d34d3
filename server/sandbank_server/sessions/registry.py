"""The sessions that have not ended, and the records and operation logs of those that have."""

from __future__ import annotations

from sandbank_server.catalog.base import SessionRecord
from sandbank_server.errors import SessionNotFoundError, SessionTerminatedError, StoreUnavailableError
from sandbank_server.sessions.life.session import Session
from sandbank_server.sessions.log.store import LogStore
from sandbank_server.sessions.operations.operations import Operations, detached_operations
from sandbank_server.sessions.ports import SessionServices

Key = tuple[str, str]
"""Tenant and session id."""


class SessionRegistry:
    """Finds sessions. Those that have not ended are in memory; the others in the catalog."""

    def __init__(self, services: SessionServices) -> None:
        self._services = services
        self._sessions: dict[Key, Session] = {}
        self._logs = LogStore(services.log_directory)

    def live(self, tenant: str, session_id: str) -> Session | None:
        """Return a session that has not ended (or whose end is being saved), or None."""
        return self._sessions.get((tenant, session_id))

    async def usable(self, tenant: str, session_id: str) -> Session:
        """Return a session that has not ended. :class:`SessionTerminatedError`, :class:`SessionNotFoundError`."""
        session = self._sessions.get((tenant, session_id))
        if session is None:
            await self._ended_record(tenant, session_id)
        if session is None or session.ended:
            raise SessionTerminatedError(f"session {session_id} has ended", resource=session_id)
        return session

    async def _ended_record(self, tenant: str, session_id: str) -> SessionRecord:
        record = await self._services.catalog.get_session(tenant, session_id)
        if record is None:
            raise SessionNotFoundError(f"no session {session_id}", resource=session_id)
        return record

    async def _operations(self, tenant: str, session_id: str) -> Operations:
        session = self._sessions.get((tenant, session_id))
        if session is not None:
            return session.operations
        await self._ended_record(tenant, session_id)
        try:
            log = await self._logs.read(tenant, session_id)
        except OSError as error:
            raise StoreUnavailableError("the operation log cannot be read", retry_delay=5.0) from error
        return detached_operations(log, self._services.clock.now)
