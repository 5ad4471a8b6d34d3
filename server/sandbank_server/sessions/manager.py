"""All sessions of the installation: made, found, ended, and taken up again after a restart."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime

import structlog
from sandbank.v1 import session_pb2

from sandbank_server.catalog.base import CatalogError, CheckpointRecord, SessionRecord
from sandbank_server.errors import CheckpointCorruptError, DomainError, DrainingError
from sandbank_server.sessions.creation import NewSession, SessionFactory
from sandbank_server.sessions.life.background import spawn
from sandbank_server.sessions.life.session import Session
from sandbank_server.sessions.ports import SandboxLease, SessionServices
from sandbank_server.sessions.session_operations import SessionOperations
from sandbank_server.sessions.upkeep import SessionUpkeep
from sandbank_server.sessions.views import session_message

_log = structlog.get_logger("sandbank.sessions")


class SessionManager(SessionOperations, SessionUpkeep):
    """All sessions: their life as a whole. Their use is in the classes above it."""

    def __init__(self, services: SessionServices) -> None:
        super().__init__(replace(services, on_ended=self._ended))
        self._factory = SessionFactory(self._services, self._logs)
        self._tasks: list[asyncio.Task[None]] = []
        self._draining = False
        self._lent: list[tuple[str, str]] = []
        """Checkpoints that sessions are being made of, by tenant: they have no session yet that says so."""
        if services.library is not None:
            services.library.needed = self._needed_checkpoints

    # Life.

    async def live_records(self) -> list[SessionRecord]:
        """Return the sessions that had not ended when the control plane stopped, for the pool's adoption."""
        return await self._services.catalog.live_sessions()

    async def adopt(self, records: Iterable[SessionRecord], leases: Mapping[str, SandboxLease]) -> None:
        """Take up the sessions of an earlier control plane; ``leases`` by session id, those that are still there.

        Returns once all are in memory; what their sandboxes did meanwhile is then still being fetched.
        :class:`CatalogError` when an operation log cannot be read: without it code could run twice.
        """
        for record in records:
            key = record.tenant, record.session_id
            try:
                log = self._logs.open(*key)
            except OSError as error:
                raise CatalogError(
                    f"the operation log of session {record.session_id} cannot be opened: {error.strerror}"
                ) from error
            session = self._sessions[key] = Session(record, self._services, log)
            lease = leases.get(record.session_id)
            session.resume(None if lease is None else lease.link)
        await self._save_all()

    async def _save_all(self) -> None:
        await asyncio.gather(*(session.save_if_possible() for session in self._sessions.values()))

    def start(self) -> None:
        """Begin to watch the time."""
        started = self._services.clock.now()
        self._tasks = [spawn(self._tick(), "sessions tick"), spawn(self._purge(started), "sessions purge")]

    @property
    def draining(self) -> bool:
        """Whether new work is refused."""
        return self._draining

    def now(self) -> datetime:
        """Return what time it is."""
        return self._services.clock.now()

    def drain(self) -> None:
        """Take no new sessions, and send those away who watch sessions: such a call would never end."""
        self._draining = True
        for session in self._sessions.values():
            session.events.drain()

    async def end_all(self, detail: str) -> None:
        """End every session, also where that cannot be saved."""
        ends = (session.terminate(detail) for session in list(self._sessions.values()))
        for result in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(result, BaseException):
                _log.error("the end of a session could not be saved", reason=str(result))

    async def close(self) -> None:
        """Let go of every session without ending it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        sessions = list(self._sessions.values())
        for result in await asyncio.gather(
            *(session.detach() for session in sessions), return_exceptions=True
        ):
            if isinstance(result, BaseException):
                _log.error("a session was not let go of as it should be", exc_info=result)
        self._sessions.clear()
        await self._logs.close()

    # Sessions.

    async def create(self, new: NewSession) -> session_pb2.Session:
        """Make a session, or return the one that the same request made."""
        if self._draining:
            raise DrainingError("the server is shutting down", retry_delay=1.0)
        return self.overlay(await self._factory.create(new, self._register))

    async def fork(
        self, tenant: str, session_id: str, request_id: str, count: int, labels: Mapping[str, str]
    ) -> list[session_pb2.Session]:
        """Make sessions of one's state now, each in a sandbox of its own; ``secret_env`` is not handed on.

        All or none: where one cannot be made the others are ended. With a request id it is idempotent. A session that
        sleeps is not woken.
        """
        source = await self.usable(tenant, session_id)
        saved = await source.state_for_others(f"{request_id}.fork" if request_id else "")
        record = source.record
        new = NewSession(
            tenant=tenant,
            template=record.template,
            idle_timeout=record.idle_timeout,
            max_lifetime=record.max_lifetime,
            labels=dict(labels),
            env=record.env,
            recovery_policy=record.recovery_policy,
            idle_action=record.idle_action,
            snapshots_disabled=record.snapshots_disabled,
            snapshot_history=record.snapshot_history,
            quiet_time=record.quiet_time,
            checkpoint_policy=record.checkpoint_policy,
            recompute=record.recompute,
            from_checkpoint_id=saved.checkpoint_id,
        )
        wanted = (
            replace(new, request_id=f"{request_id}.{number}" if request_id else "") for number in range(count)
        )
        with self._lending(tenant, saved.checkpoint_id):
            made = await asyncio.gather(*map(self.create, wanted), return_exceptions=True)
        failure = next((each for each in made if isinstance(each, BaseException)), None)
        sessions = [each for each in made if not isinstance(each, BaseException)]
        if failure is not None:
            for each in sessions:
                await self.delete(tenant, each.session_id)
            if isinstance(failure, CheckpointCorruptError):
                await self._forget_damaged(saved)
            raise failure
        return sessions

    @contextlib.contextmanager
    def _lending(self, tenant: str, checkpoint_id: str) -> Iterator[None]:
        """Have a checkpoint stay in the block, whatever is saved after it."""
        self._lent.append((tenant, checkpoint_id))
        try:
            yield
        finally:
            self._lent.remove((tenant, checkpoint_id))

    async def _forget_damaged(self, saved: CheckpointRecord) -> None:
        """Forget a checkpoint that was made for a request: made again, that is not to get it again."""
        library = self._services.library
        if library is not None and saved.checkpoint_id not in self._needed_checkpoints(saved.tenant):
            with contextlib.suppress(DomainError):
                await library.delete(saved.tenant, saved.checkpoint_id)

    def _register(self, session: Session) -> None:
        self._sessions[session.record.tenant, session.session_id] = session

    def _ended(self, tenant: str, session_id: str) -> None:
        self._sessions.pop((tenant, session_id), None)

    def _needed_checkpoints(self, tenant: str) -> list[str]:
        lent = [checkpoint_id for owner, checkpoint_id in self._lent if owner == tenant]
        return lent + [
            checkpoint_id
            for session in self._sessions.values()
            if session.record.tenant == tenant and not session.ended
            for checkpoint_id in session.needed_checkpoints
        ]

    async def wake_from(self, tenant: str, checkpoint_id: str) -> None:
        """Wake the sessions that sleep on a checkpoint: it is to be deleted. Raises what waking raises."""
        for session in list(self._sessions.values()):
            record = session.record
            if (record.tenant, record.latest_checkpoint_id) == (tenant, checkpoint_id):
                await session.wake()

    def live_states(self) -> list[int]:
        """Return the state of every session that has not ended."""
        return [session.record.state for session in self._sessions.values() if not session.ended]

    def open_transactions(self) -> int:
        """Return how many transactions are open."""
        return sum(bool(session.open_transaction_id) for session in self._sessions.values())

    async def get(self, tenant: str, session_id: str) -> session_pb2.Session:
        """Return a session, ended ones for a day."""
        session = self._sessions.get((tenant, session_id))
        if session is not None:
            return session.view()
        return session_message(await self._ended_record(tenant, session_id))

    async def watch(
        self, tenant: str, session_id: str, after: int
    ) -> AsyncGenerator[session_pb2.SessionEvent, None]:
        """Yield a session's events after a number, up to its end; of one that has ended, how it ended."""
        session = self._sessions.get((tenant, session_id))
        if session is not None:
            async with aclosing(session.watch(after)) as events:
                async for event in events:
                    yield event
            return
        record = await self._ended_record(tenant, session_id)
        if after != record.event_sequence:
            told = session_pb2.SessionEvent(
                sequence=max(record.event_sequence, 1), session_changed=session_message(record)
            )
            told.time.FromDatetime(record.end_time or record.last_active_time)
            yield told

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

    def sandbox_exited(self, session_id: str, sandbox_id: str, reason: str) -> None:
        """Take note that a sandbox died: the pool's word."""
        for session in self._sessions.values():
            if session.session_id == session_id and session.record.sandbox_id == sandbox_id:
                session.sandbox_lost(reason)
                return
