"""SessionService: requests to use cases and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import TypedDict

from sandbank.v1 import checkpoint_pb2, session_pb2

from sandbank_server.catalog.base import Catalog, SessionKey
from sandbank_server.errors import BadFieldError, TemplateNotFoundError
from sandbank_server.grpc_api import validation as check
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.limits import RequestLimits
from sandbank_server.grpc_api.paging import PageTokens
from sandbank_server.sessions.creation import NewSession
from sandbank_server.sessions.manager import SessionManager

_ZERO = timedelta(0)


_FORKS = 100
"""New sessions of one ForkSession at most."""


class _SnapshotPolicy(TypedDict):
    snapshots_disabled: bool
    snapshot_history: int
    quiet_time: timedelta


class SessionService:
    """The servicer."""

    def __init__(
        self,
        sessions: SessionManager,
        catalog: Catalog,
        templates: frozenset[str],
        default_template: str,
        limits: RequestLimits,
        tokens: PageTokens,
    ) -> None:
        self._sessions = sessions
        self._catalog = catalog
        self._templates = templates
        self._default_template = default_template
        self._limits = limits
        self._tokens = tokens

    async def CreateSession(
        self, request: session_pb2.CreateSessionRequest, call: CallContext
    ) -> session_pb2.CreateSessionResponse:
        """Make a session."""
        self._check_enums(request)
        template = request.template or self._default_template
        if template not in self._templates:
            raise TemplateNotFoundError(f"no template {template!r}"[:200], resource=template[:128])
        limits = self._limits
        check.check_enum(
            request.recovery_policy, session_pb2.RecoveryPolicy.DESCRIPTOR.values_by_number, "recovery_policy"
        )
        new = NewSession(
            tenant=call.tenant,
            template=template,
            request_id=check.check_optional_id(request.request_id, "request_id"),
            labels=check.check_labels(request.labels),
            env=check.check_environment(request.env, "env"),
            secret_env=check.check_environment(request.secret_env, "secret_env"),
            idle_timeout=check.check_duration(
                request, "idle_timeout", default=limits.idle_timeout, limit=limits.idle_timeout_max
            ),
            max_lifetime=check.check_duration(
                request, "max_lifetime", default=limits.lifetime, limit=limits.lifetime_max
            ),
            recovery_policy=request.recovery_policy or session_pb2.RECOVERY_POLICY_RESUME,
            idle_action=request.idle_action or session_pb2.IDLE_ACTION_HIBERNATE,
            checkpoint_policy=request.checkpoint_policy or limits.checkpoint_policy,
            from_checkpoint_id=check.check_optional_id(request.from_checkpoint_id, "from_checkpoint_id"),
            recompute=request.recompute,
            **self._snapshot_policy(request.snapshot_policy),
        )
        session = await self._sessions.create(new)
        return session_pb2.CreateSessionResponse(
            session=session, restore_report=self._report_of(call.tenant, session.session_id)
        )

    def _report_of(self, tenant: str, session_id: str) -> checkpoint_pb2.RestoreReport | None:
        made = self._sessions.live(tenant, session_id)
        return None if made is None else made.restore_report

    async def ForkSession(
        self, request: session_pb2.ForkSessionRequest, call: CallContext
    ) -> session_pb2.ForkSessionResponse:
        """Make new sessions of one's state now."""
        session_id = check.check_id(request.session_id, "session_id")
        request_id = check.check_optional_id(request.request_id, "request_id")
        count = check.check_count(request.count, "count", default=1, limit=_FORKS)
        labels = check.check_labels(request.labels)
        made = await self._sessions.fork(call.tenant, session_id, request_id, count, labels)
        reports = [self._report_of(call.tenant, each.session_id) for each in made]
        return session_pb2.ForkSessionResponse(
            sessions=made, restore_reports=[report or checkpoint_pb2.RestoreReport() for report in reports]
        )

    async def HibernateSession(
        self, request: session_pb2.HibernateSessionRequest, call: CallContext
    ) -> session_pb2.HibernateSessionResponse:
        """Save a session's state and give its sandbox up."""
        session = await self._sessions.usable(call.tenant, check.check_id(request.session_id, "session_id"))
        await session.hibernate()
        return session_pb2.HibernateSessionResponse(session=session.view())

    def _snapshot_policy(self, policy: session_pb2.SnapshotPolicy) -> _SnapshotPolicy:
        limits, path = self._limits, "snapshot_policy."
        history = check.check_count(
            policy.history_count, f"{path}history_count", default=0, limit=limits.snapshot_history
        )
        quiet = check.check_duration(
            policy,
            "quiet_time",
            default=limits.quiet_time,
            limit=limits.quiet_time_max,
            path=f"{path}quiet_time",
        )
        if policy.disabled and history:
            raise BadFieldError.at(f"{path}history_count", "must be zero where snapshots are disabled")
        return {
            "snapshots_disabled": policy.disabled,
            "snapshot_history": history,
            "quiet_time": quiet,
        }

    @staticmethod
    def _check_enums(request: session_pb2.CreateSessionRequest) -> None:
        check.check_enum(
            request.checkpoint_policy,
            session_pb2.CheckpointPolicy.DESCRIPTOR.values_by_number,
            "checkpoint_policy",
        )
        check.check_enum(
            request.idle_action, session_pb2.IdleAction.DESCRIPTOR.values_by_number, "idle_action"
        )

    async def GetSession(
        self, request: session_pb2.GetSessionRequest, call: CallContext
    ) -> session_pb2.GetSessionResponse:
        """Read a session."""
        session_id = check.check_id(request.session_id, "session_id")
        return session_pb2.GetSessionResponse(session=await self._sessions.get(call.tenant, session_id))

    async def UpdateSession(
        self, request: session_pb2.UpdateSessionRequest, call: CallContext
    ) -> session_pb2.UpdateSessionResponse:
        """Change labels and times; also the keep-alive."""
        limits = self._limits
        labels = check.check_labels(request.labels)
        idle = check.check_duration(request, "idle_timeout", default=_ZERO, limit=limits.idle_timeout_max)
        extend = check.check_duration(request, "extend_lifetime", default=_ZERO, limit=limits.lifetime_max)
        session = await self._sessions.usable(call.tenant, check.check_id(request.session_id, "session_id"))
        await session.update(labels or None, idle or None, extend or None)
        return session_pb2.UpdateSessionResponse(session=session.view())

    async def ListSessions(
        self, request: session_pb2.ListSessionsRequest, call: CallContext
    ) -> session_pb2.ListSessionsResponse:
        """List a page of sessions, the newest first."""
        size = check.check_page_size(request.page_size)
        labels = check.check_labels(request.filter_labels, "filter_labels")
        for state in request.states:
            check.check_enum(state, session_pb2.Session.State.DESCRIPTOR.values_by_number, "states")
        states = sorted(set(request.states))
        scope = ["sessions", call.tenant, labels, states]
        cursor = self._tokens.read(scope, request.page_token)
        after = SessionKey(datetime.fromisoformat(cursor[0]), cursor[1]) if cursor else None
        rows = await self._catalog.list_sessions(
            call.tenant, states=states, labels=labels, after=after, limit=size + 1
        )
        more = ""
        if len(rows) > size:
            last = rows[size - 1]
            more = self._tokens.make(scope, [last.create_time.isoformat(), last.session_id])
        found = (self._sessions.overlay(row) for row in rows[:size])
        # A row may be a moment behind the session: what no longer fits the filter is left out of this page.
        ended = session_pb2.Session.STATE_TERMINATED
        kept = [
            session for session in found if (session.state in states if states else session.state != ended)
        ]
        return session_pb2.ListSessionsResponse(sessions=kept, next_page_token=more)

    async def DeleteSession(
        self, request: session_pb2.DeleteSessionRequest, call: CallContext
    ) -> session_pb2.DeleteSessionResponse:
        """End a session."""
        await self._sessions.delete(call.tenant, check.check_id(request.session_id, "session_id"))
        return session_pb2.DeleteSessionResponse()

    async def ResetSession(
        self, request: session_pb2.ResetSessionRequest, call: CallContext
    ) -> session_pb2.ResetSessionResponse:
        """Give a session a pristine interpreter."""
        session = await self._sessions.usable(call.tenant, check.check_id(request.session_id, "session_id"))
        await session.reset(keep_files=request.keep_files)
        return session_pb2.ResetSessionResponse(session=session.view())

    async def RewindSession(
        self, request: session_pb2.RewindSessionRequest, call: CallContext
    ) -> session_pb2.RewindSessionResponse:
        """Go back to the state right after an operation."""
        check.check_id(request.session_id, "session_id")
        check.check_id(request.operation_id, "operation_id")
        session = await self._sessions.usable(call.tenant, request.session_id)
        await session.rewind(request.operation_id)
        return session_pb2.RewindSessionResponse(session=session.view())

    async def WatchSession(
        self, request: session_pb2.WatchSessionRequest, call: CallContext
    ) -> AsyncIterator[session_pb2.SessionEvent]:
        """Tell what happens to a session, up to its end."""
        session_id = check.check_id(request.session_id, "session_id")
        check.check_count(request.after_sequence, "after_sequence", default=0, limit=2**63 - 1)
        watch = self._sessions.watch(call.tenant, session_id, request.after_sequence)
        async with aclosing(watch) as events:
            async for event in events:
                yield event
