"""All sessions of the installation: made, found, ended, and taken up again after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from sandbank.v1 import execution_pb2, session_pb2, transaction_pb2

from sandbank_server.catalog.base import CatalogError, SessionRecord
from sandbank_server.clock import Clock
from sandbank_server.errors import (
    DomainError,
    DrainingError,
    SessionBusyError,
    SessionNotFoundError,
    SessionTerminatedError,
    StoreUnavailableError,
)
from sandbank_server.sessions.answering import provide_input
from sandbank_server.sessions.background import spawn
from sandbank_server.sessions.creation import NewSession, SessionFactory
from sandbank_server.sessions.cursor import Cursor
from sandbank_server.sessions.log_store import LogStore
from sandbank_server.sessions.operation_log import OperationLog
from sandbank_server.sessions.operations import Operations, detached_operations
from sandbank_server.sessions.ports import SandboxLease, SessionServices
from sandbank_server.sessions.session import Session
from sandbank_server.sessions.submission import Submission
from sandbank_server.sessions.transactions import ended_as_wished
from sandbank_server.sessions.views import session_message

_log = structlog.get_logger("sandbank.sessions")

TICK_SECONDS = 1.0
PURGE_SECONDS = 300.0
_CANCEL_AGAIN_SECONDS = 0.2

Key = tuple[str, str]
"""Tenant and session id."""


class SessionManager:
    """Finds and keeps the sessions. Those that have not ended are in memory; the others in the catalog."""

    def __init__(self, services: SessionServices) -> None:
        self._services = replace(services, on_ended=self._ended)
        self._sessions: dict[Key, Session] = {}
        self._logs = LogStore(services.log_directory)
        self._factory = SessionFactory(self._services, self._logs)
        self._tasks: list[asyncio.Task[None]] = []
        self._draining = False
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

        All or none: where one cannot be made the others are ended. With a request id it is idempotent.
        """
        source = await self.usable(tenant, session_id)
        saved = await source.checkpoint(
            f"{request_id}.fork" if request_id else "", {}, verify=False, automatic=True
        )
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
        made = await asyncio.gather(*map(self.create, wanted), return_exceptions=True)
        failure = next((each for each in made if isinstance(each, BaseException)), None)
        sessions = [each for each in made if not isinstance(each, BaseException)]
        if failure is not None:
            for each in sessions:
                await self.delete(tenant, each.session_id)
            raise failure
        return sessions

    def _register(self, session: Session) -> None:
        self._sessions[session.record.tenant, session.session_id] = session

    def _ended(self, tenant: str, session_id: str) -> None:
        self._sessions.pop((tenant, session_id), None)

    def _needed_checkpoints(self, tenant: str) -> list[str]:
        return [
            session.record.latest_checkpoint_id
            for session in self._sessions.values()
            if session.record.tenant == tenant and not session.ended
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

    async def _ended_record(self, tenant: str, session_id: str) -> SessionRecord:
        record = await self._services.catalog.get_session(tenant, session_id)
        if record is None:
            raise SessionNotFoundError(f"no session {session_id}", resource=session_id)
        return record

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

    # Operations, in every state of their session.

    async def execute(self, tenant: str, submission: Submission) -> AsyncGenerator[bytes, None]:
        """Run new code, or replay what a repeated id stands for; return the events, serialized, up to Finished."""
        return (await self.follow(tenant, submission)).events()

    async def follow(self, tenant: str, submission: Submission) -> Cursor:
        """Do the same and return the place before the first of the events."""
        session_id = submission.request.session_id
        session = self._sessions.get((tenant, session_id))
        if session is not None and not session.ended:
            return await session.follow(submission)
        operations = await self._operations(tenant, session_id)
        if operations.known(submission) is None:
            raise SessionTerminatedError(f"session {session_id} has ended", resource=session_id)
        return operations.cursor(submission.operation_id, lenient=True)

    async def begin_transaction(
        self, tenant: str, session_id: str, idle_timeout: float, *, include_files: bool
    ) -> transaction_pb2.Transaction:
        """Begin a transaction. ``idle_timeout`` in seconds."""
        session = await self.usable(tenant, session_id)
        return await session.begin_transaction(idle_timeout, include_files=include_files)

    async def end_transaction(
        self, tenant: str, session_id: str, transaction_id: str, *, commit: bool
    ) -> transaction_pb2.Transaction:
        """Commit or roll back a transaction; of one that ended so already, return that one, in every state."""
        session = self._sessions.get((tenant, session_id))
        if session is not None and not session.ended:
            return await session.end_transaction(transaction_id, commit=commit)
        log = (await self._operations(tenant, session_id)).log
        if (transaction := log.transactions.get(transaction_id)) is not None and transaction.ended:
            answer = ended_as_wished(log, transaction_id, commit=commit)
            assert answer is not None
            return answer
        raise SessionTerminatedError(f"session {session_id} has ended", resource=session_id)

    async def get_operation(self, tenant: str, session_id: str, operation_id: str) -> execution_pb2.Operation:
        """Return an operation."""
        return await (await self._operations(tenant, session_id)).get(operation_id)

    async def cancel_operation(
        self, tenant: str, session_id: str, operation_id: str
    ) -> execution_pb2.Operation:
        """Record the wish to end an operation; of a finished one, return that one."""
        return await (await self._operations(tenant, session_id)).cancel(operation_id)

    async def provide_input(
        self, tenant: str, session_id: str, operation_id: str, input_id: str, text: str | None
    ) -> None:
        """Answer a question of an operation; None is the end of file (see :mod:`sessions.answering`)."""
        await provide_input(await self._operations(tenant, session_id), operation_id, input_id, text)

    def cancel_soon(self, tenant: str, session_id: str, operation_id: str) -> None:
        """Cancel an operation for somebody who does not wait for it."""
        session = self._sessions.get((tenant, session_id))
        if session is not None and not session.ended:
            session.start(_cancel(session, operation_id, self._services.clock))

    async def watch_operation(
        self, tenant: str, session_id: str, operation_id: str, after: int
    ) -> AsyncGenerator[bytes, None]:
        """Yield an operation's events after a sequence, up to Finished."""
        operations = await self._operations(tenant, session_id)
        async with aclosing(operations.watch(operation_id, after)) as events:
            async for event in events:
                yield event

    async def list_operations(
        self, tenant: str, session_id: str, before: int | None, count: int
    ) -> tuple[list[execution_pb2.Operation], int]:
        """Return up to ``count`` operations below number ``before`` (None: the newest), and the number to go on at.

        That is 0 when there are no more.
        """
        return _page((await self._operations(tenant, session_id)).log, before, count)

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

    # Time.

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
                    if self._services.library is not None:
                        await self._services.library.thin_out(*key, keep=0)
                if not swept:
                    await self._sweep(started)
                    swept = True
            except StoreUnavailableError as error:
                _log.warning("ended sessions could not be purged", reason=error.message)
            except Exception:  # noqa: BLE001 - tried again later
                _log.exception("ended sessions could not be purged")
            await clock.sleep(PURGE_SECONDS)

    async def _sweep(self, started: datetime) -> None:
        """Remove the logs of sessions that nobody knows: a kill came between the file and the catalog's row."""
        for key in list(self._logs.made_before(started.timestamp())):
            if key not in self._sessions and await self._services.catalog.get_session(*key) is None:
                self._logs.remove(*key)


async def _cancel(session: Session, operation_id: str, clock: Clock) -> None:
    """Cancel an operation, also where the sandbox has to be found again first."""
    while operation_id in session.operations.live:
        await session.operations.journal.reachable.wait()
        try:
            await session.operations.cancel(operation_id)
        except SessionBusyError:
            await clock.sleep(_CANCEL_AGAIN_SECONDS)
        except DomainError as error:
            _log.warning("not cancelled after a disconnect", operation_id=operation_id, reason=error.reason)
            return
        else:
            return


def _page(log: OperationLog, before: int | None, count: int) -> tuple[list[execution_pb2.Operation], int]:
    first = len(log) if before is None else min(before, len(log))
    names = log.newest_first(first, count)
    return [log.operation(name) for name, _ in names], max(0, first - len(names))
