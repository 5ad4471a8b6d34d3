"""Making sessions, each request once.

The order makes a kill at any moment harmless: the sandbox is assigned first, the catalog row follows, the answer comes
last. A sandbox that says it serves a session that the catalog does not know is destroyed at the next start.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from sandbank.v1 import session_pb2

from sandbank_server.catalog.base import SessionRecord
from sandbank_server.errors import RequestIdReusedError, SandboxLostBeforeStartError, StoreUnavailableError
from sandbank_server.sessions.life.session import Session
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.log.store import LogStore
from sandbank_server.sessions.ports import SessionServices

_TRIES = 3
"""Sandboxes tried for one session when they die between being ready and being assigned."""


_USUAL_QUIET_TIME = timedelta(milliseconds=50)


@dataclass(frozen=True, slots=True)
class NewSession:
    """A validated CreateSession."""

    tenant: str
    template: str
    idle_timeout: timedelta
    max_lifetime: timedelta
    request_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    secret_env: Mapping[str, str] = field(default_factory=dict)
    recovery_policy: int = session_pb2.RECOVERY_POLICY_RESUME
    idle_action: int = session_pb2.IDLE_ACTION_TERMINATE
    snapshots_disabled: bool = False
    snapshot_history: int = 0
    quiet_time: timedelta = _USUAL_QUIET_TIME
    checkpoint_policy: int = session_pb2.CHECKPOINT_POLICY_NONE
    from_checkpoint_id: str = ""
    recompute: bool = False

    def digest(self) -> str:
        """Return what decides whether a repeated request id is a repeated request."""
        request = session_pb2.CreateSessionRequest(
            template=self.template,
            labels=self.labels,
            env=self.env,
            secret_env=dict.fromkeys(self.secret_env, ""),  # values are stored nowhere, not even digested
            recovery_policy=self.recovery_policy,  # type: ignore[arg-type]
            idle_action=self.idle_action,  # type: ignore[arg-type]
        )
        if self.checkpoint_policy != session_pb2.CHECKPOINT_POLICY_NONE:
            request.checkpoint_policy = self.checkpoint_policy  # type: ignore[assignment]
        request.from_checkpoint_id = self.from_checkpoint_id
        request.recompute = self.recompute
        request.idle_timeout.FromTimedelta(self.idle_timeout)
        request.max_lifetime.FromTimedelta(self.max_lifetime)
        policy = session_pb2.SnapshotPolicy(
            history_count=self.snapshot_history, disabled=self.snapshots_disabled
        )
        if self.quiet_time != _USUAL_QUIET_TIME:
            policy.quiet_time.FromTimedelta(self.quiet_time)
        if policy.ByteSize():  # requests made before there were policies keep their digest
            request.snapshot_policy.CopyFrom(policy)
        return hashlib.blake2b(request.SerializeToString(deterministic=True), digest_size=32).hexdigest()


class SessionFactory:
    """Makes sessions; a repeated request gets the session that it made before."""

    def __init__(self, services: SessionServices, logs: LogStore) -> None:
        self._services = services
        self._logs = logs
        self._under_way: dict[tuple[str, str], asyncio.Future[SessionRecord | None]] = {}

    async def create(self, new: NewSession, register: Callable[[Session], None]) -> SessionRecord:
        """Return the record of the new session, or of the one that the same request made.

        ``register`` is called with a new session before anything can happen to it. Raises
        :class:`RequestIdReusedError` and what the pool and the catalog raise; nothing stays behind then.
        """
        if not new.request_id:
            return await self._make(new, register)
        key = (new.tenant, new.request_id)
        while (under_way := self._under_way.get(key)) is not None:
            record = await asyncio.shield(under_way)
            if record is not None:
                return self._same(record, new)
            # The first one failed or was cancelled: now it is our turn.
        promise: asyncio.Future[SessionRecord | None] = asyncio.get_running_loop().create_future()
        self._under_way[key] = promise
        try:
            record = await self._services.catalog.get_session_by_request(new.tenant, new.request_id)
            if record is None:
                record = await self._make(new, register)
            promise.set_result(record)
        finally:
            del self._under_way[key]
            if not promise.done():
                promise.set_result(None)
        return self._same(record, new)

    @staticmethod
    def _same(record: SessionRecord, new: NewSession) -> SessionRecord:
        if record.request_digest != new.digest():
            raise RequestIdReusedError(
                f"request id {new.request_id} was used with another request", resource=new.request_id
            )
        return record

    async def _make(self, new: NewSession, register: Callable[[Session], None]) -> SessionRecord:
        session_id = self._services.ids.session_id()
        for left in reversed(range(_TRIES)):
            # Before a sandbox is asked for: with a full disk none is used up for nothing.
            log = self._open_log(new, session_id)
            session = Session(self._record(new, session_id), self._services, log, new.secret_env)
            try:
                await self._give_sandbox(session)
            except SandboxLostBeforeStartError:
                log.delete()
                if not left:
                    raise
                continue
            except BaseException:
                log.delete()
                raise
            register(session)
            try:
                await session.save()
                if new.from_checkpoint_id:
                    session.restore_report = await session.restore(
                        new.from_checkpoint_id, allow_lost=False, pristine=True
                    )
            except BaseException:
                await session.abandon("it could not be recorded")
                raise
            return session.record
        raise AssertionError("unreachable")

    async def _give_sandbox(self, session: Session) -> None:
        pool, limits = self._services.pool, self._services.limits
        lease = await pool.acquire(session.record.template, session.session_id, limits.pool_wait)
        await session.take(lease)

    def _open_log(self, new: NewSession, session_id: str) -> OperationLog:
        try:
            return self._logs.open(new.tenant, session_id)
        except OSError as error:
            raise StoreUnavailableError("the operation log cannot be made", retry_delay=5.0) from error

    def _record(self, new: NewSession, session_id: str) -> SessionRecord:
        now = self._services.clock.now()
        return SessionRecord(
            tenant=new.tenant,
            session_id=session_id,
            request_id=new.request_id,
            request_digest=new.digest() if new.request_id else "",
            template=new.template,
            state=session_pb2.Session.STATE_ACTIVE,
            generation=1,
            labels=dict(new.labels),
            create_time=now,
            last_active_time=now,
            idle_timeout=new.idle_timeout,
            max_lifetime=new.max_lifetime,
            expire_time=now + new.max_lifetime,
            recovery_policy=new.recovery_policy,
            idle_action=new.idle_action,
            env=dict(new.env),
            has_secret_env=bool(new.secret_env),
            snapshots_disabled=new.snapshots_disabled,
            snapshot_history=new.snapshot_history,
            quiet_time=new.quiet_time,
            checkpoint_policy=new.checkpoint_policy,
            recompute=new.recompute,
        )
