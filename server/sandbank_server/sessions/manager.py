"""All sessions of the installation: made, found, listed, ended, and taken up again after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

import structlog
from sandbank.v1 import execution_pb2, session_pb2

from sandbank_server.catalog.base import SessionRecord
from sandbank_server.errors import (
    DomainError,
    DrainingError,
    SessionNotFoundError,
    SessionTerminatedError,
)
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.sessions.creation import NewSession, SessionFactory
from sandbank_server.sessions.operation_log import OperationLog
from sandbank_server.sessions.operations import Operations, detached_operations
from sandbank_server.sessions.ports import SandboxLease, SessionServices
from sandbank_server.sessions.session import Session
from sandbank_server.sessions.views import session_message

_State = session_pb2.Session
_log = structlog.get_logger("sandbank.sessions")

TICK_SECONDS = 1.0
PURGE_SECONDS = 300.0

Key = tuple[str, str]
"""Tenant and session id."""


class SessionManager:
    """Finds and keeps the sessions. Those that have not ended are in memory; the others in the catalog."""

    def __init__(self, services: SessionServices) -> None:
        self._services = replace(services, on_ended=self._ended)
        self._sessions: dict[Key, Session] = {}
        self._factory = SessionFactory(self._services, self._log_path)
        self._tasks: list[asyncio.Task[None]] = []
        self._draining = False

    # Life.

    async def live_records(self) -> list[SessionRecord]:
        """Return the sessions that had not ended when the control plane stopped, for the pool's adoption."""
        return await self._services.catalog.live_sessions()

    async def adopt(self, records: Iterable[SessionRecord], leases: Mapping[str, SandboxLease]) -> None:
        """Take up the sessions of an earlier control plane; ``leases`` by session id, those that are still there."""
        await asyncio.gather(*(self._adopt(record, leases.get(record.session_id)) for record in records))

    async def _adopt(self, record: SessionRecord, lease: SandboxLease | None) -> None:
        log = OperationLog(self._log_path(record.tenant, record.session_id), record.session_id)
        session = Session(record, self._services, log)
        self._sessions[record.tenant, record.session_id] = session
        if record.state == _State.STATE_CRASHED:
            session.operations.end_all("the session had crashed")
            return
        if lease is None:
            session.sandbox_lost("the sandbox died while the control plane was away")
        else:
            try:
                session.adopt(lease.link)
            except RunnerViolation as error:
                _log.error(
                    "a session's sandbox was not adopted", reason=str(error), session_id=record.session_id
                )
                lease.link.hang_up()
                session.sandbox_lost("the sandbox was not what it should be when the control plane came back")
        with contextlib.suppress(DomainError):
            await session.save()

    def start(self) -> None:
        """Begin to watch the time."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._tick()), loop.create_task(self._purge())]

    def drain(self) -> None:
        """Take no new sessions."""
        self._draining = True

    async def end_all(self, detail: str) -> None:
        """End every session."""
        await asyncio.gather(*(session.terminate(detail) for session in list(self._sessions.values())))

    async def close(self) -> None:
        """Let go of every session without ending it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(
            *(session.detach() for session in self._sessions.values()), return_exceptions=True
        )
        self._sessions.clear()

    # Use.

    async def create(self, new: NewSession) -> session_pb2.Session:
        """Make a session, or return the one that the same request made."""
        if self._draining:
            raise DrainingError("the server is shutting down", retry_delay=1.0)
        record = await self._factory.create(new, self._register)
        live = self._sessions.get((new.tenant, record.session_id))
        return live.view() if live is not None else session_message(record)

    def _register(self, session: Session) -> None:
        self._sessions[session.record.tenant, session.session_id] = session

    def _ended(self, tenant: str, session_id: str) -> None:
        self._sessions.pop((tenant, session_id), None)

    def live_states(self) -> list[int]:
        """Return the state of every session that has not ended."""
        return [session.record.state for session in self._sessions.values()]

    def live(self, tenant: str, session_id: str) -> Session | None:
        """Return a session that has not ended, or None."""
        return self._sessions.get((tenant, session_id))

    async def usable(self, tenant: str, session_id: str) -> Session:
        """Return a session that has not ended. :class:`SessionTerminatedError`, :class:`SessionNotFoundError`."""
        session = self._sessions.get((tenant, session_id))
        if session is None:
            await self._ended_record(tenant, session_id)
            raise SessionTerminatedError(f"session {session_id} has ended", resource=session_id)
        return session

    async def get(self, tenant: str, session_id: str) -> session_pb2.Session:
        """Return a session, ended ones for a day."""
        session = self._sessions.get((tenant, session_id))
        if session is not None:
            return session.view()
        return session_message(await self._ended_record(tenant, session_id))

    async def _ended_record(self, tenant: str, session_id: str) -> SessionRecord:
        record = await self._services.catalog.get_session(tenant, session_id)
        if record is None:
            raise SessionNotFoundError(f"no session {session_id}", resource=session_id)
        return record

    @contextlib.asynccontextmanager
    async def _ended_operations(self, tenant: str, session_id: str) -> AsyncIterator[Operations]:
        """Yield the operations of a session that has ended, for reading. :class:`SessionNotFoundError`."""
        await self._ended_record(tenant, session_id)
        log = OperationLog(self._log_path(tenant, session_id), session_id)
        try:
            yield detached_operations(log, self._services.clock.now)
        finally:
            log.close()

    async def delete(self, tenant: str, session_id: str) -> None:
        """End a session. Idempotent; :class:`SessionNotFoundError` for one that never was."""
        session = self._sessions.get((tenant, session_id))
        if session is None:
            await self._ended_record(tenant, session_id)
        else:
            await session.terminate("deleted")

    def overlay(self, record: SessionRecord) -> session_pb2.Session:
        """Return the session of a catalog row as it is now."""
        session = self._sessions.get((record.tenant, record.session_id))
        return session.view() if session is not None else session_message(record)

    async def get_operation(self, tenant: str, session_id: str, operation_id: str) -> execution_pb2.Operation:
        """Return an operation, in every state of the session."""
        session = self._sessions.get((tenant, session_id))
        if session is not None:
            return await session.operations.get(operation_id)
        async with self._ended_operations(tenant, session_id) as operations:
            return await operations.get(operation_id)

    async def cancel_operation(
        self, tenant: str, session_id: str, operation_id: str
    ) -> execution_pb2.Operation:
        """Record the wish to end an operation; of a finished one, return that one."""
        session = self._sessions.get((tenant, session_id))
        if session is not None:
            return await session.operations.cancel(operation_id)
        return await self.get_operation(tenant, session_id, operation_id)

    async def watch_operation(
        self, tenant: str, session_id: str, operation_id: str, after: int
    ) -> AsyncIterator[bytes]:
        """Yield an operation's events after a sequence, up to Finished; in every state of the session."""
        session = self._sessions.get((tenant, session_id))
        if session is not None:
            async for event in session.operations.watch(operation_id, after):
                yield event
            return
        async with self._ended_operations(tenant, session_id) as operations:
            async for event in operations.watch(operation_id, after):
                yield event

    async def list_operations(
        self, tenant: str, session_id: str, before: int | None, count: int
    ) -> tuple[list[execution_pb2.Operation], int]:
        """Return up to ``count`` operations below number ``before`` (None: the newest), and the number to go on at.

        That is 0 when there are no more.
        """
        session = self._sessions.get((tenant, session_id))
        if session is not None:
            return _page(session.operations.log, before, count)
        async with self._ended_operations(tenant, session_id) as operations:
            return _page(operations.log, before, count)

    def sandbox_exited(self, session_id: str, sandbox_id: str, reason: str) -> None:
        """Take note that a sandbox died: the pool's word."""
        for session in self._sessions.values():
            if session.session_id == session_id and session.record.sandbox_id == sandbox_id:
                session.sandbox_lost(reason)
                return

    # Time.

    async def _tick(self) -> None:
        while True:
            await self._services.clock.sleep(TICK_SECONDS)
            now = self._services.clock.now()
            for session in list(self._sessions.values()):
                try:
                    await session.tick(now)
                except Exception:  # noqa: BLE001 - one session's trouble is not the others'
                    _log.exception("a session's tick failed", session_id=session.session_id)

    async def _purge(self) -> None:
        while True:
            kept = timedelta(seconds=self._services.limits.readable_after_end)
            try:
                for tenant, session_id in await self._services.catalog.purge_sessions(
                    self._services.clock.now() - kept
                ):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(self._log_path(tenant, session_id))
            except Exception:  # noqa: BLE001 - tried again later
                _log.exception("ended sessions could not be purged")
            await self._services.clock.sleep(PURGE_SECONDS)

    def _log_path(self, tenant: str, session_id: str) -> str:
        # Both are ids of ours or checked against [A-Za-z0-9._-]{1,128}; a tenant gets a directory of its own.
        directory = os.path.join(self._services.log_directory, f"t-{tenant}")
        os.makedirs(directory, mode=0o700, exist_ok=True)
        return os.path.join(directory, f"{session_id}.log")


def _page(log: OperationLog, before: int | None, count: int) -> tuple[list[execution_pb2.Operation], int]:
    first = len(log) if before is None else min(before, len(log))
    names = log.newest_first(first, count)
    return [log.operation(name) for name, _ in names], max(0, first - len(names))
