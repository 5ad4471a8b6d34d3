"""A session whose sandbox has died: it goes on from its latest checkpoint, where there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog
from sandbank.v1 import session_pb2

from sandbank_server.catalog.base import SessionRecord
from sandbank_server.errors import DomainError
from sandbank_server.sessions.cursor import Cursor
from sandbank_server.sessions.operation_log import OperationLog
from sandbank_server.sessions.ports import SessionServices
from sandbank_server.sessions.recovery import recovery_message
from sandbank_server.sessions.sandbox_side import WITHOUT_SANDBOX
from sandbank_server.sessions.session_restoring import SessionRestoring
from sandbank_server.sessions.submission import Submission

_State = session_pb2.Session
_log = structlog.get_logger("sandbank.session")

RECOVERY_ATTEMPTS = 3
"""Failed recoveries in a row after which a session is left CRASHED."""

_RECOVERY_WAIT_SECONDS = 30.0


class SessionRecovery(SessionRestoring):
    """A session that goes on after the death of its sandbox."""

    def __init__(
        self,
        record: SessionRecord,
        services: SessionServices,
        log: OperationLog,
        secret_env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(record, services, log, secret_env)
        self._recovering: asyncio.Task[None] | None = None

    def sandbox_lost(self, reason: str) -> None:
        """See :class:`SandboxSide`: with a checkpoint, and the policy for it, the session goes on from there."""
        checkpoint_id = self.record.latest_checkpoint_id
        resume = self.record.recovery_policy != session_pb2.RECOVERY_POLICY_MANUAL
        if self._keeper.state in WITHOUT_SANDBOX or not (checkpoint_id and resume and self._services.library):
            super().sandbox_lost(reason)
            return
        sandbox_id = self.record.sandbox_id
        link = self.operations.journal.detach(for_good=False)
        if link is not None:
            link.hang_up()
        self.operations.end_all(reason)
        self._end_transaction(f"the sandbox was lost: {reason}")
        log = self.operations.log
        unsaved, unsaved_files = self._unsaved_loss()
        lost = unsaved + log.lose_effects(0, log.covered_by(checkpoint_id))
        files = unsaved_files + log.lose_files(checkpoint_id)
        recovery = recovery_message(
            reason, self.record.generation + 1, self._services.clock.now(), lost, files, checkpoint_id
        )
        self._keeper.change(
            state=_State.STATE_ACTIVE,
            state_detail=f"{reason}; being recovered",
            sandbox_id="",
            last_recovery=recovery.SerializeToString(),
        )
        if sandbox_id:
            self._services.pool.report_lost(sandbox_id, reason)
        self._recovering = self._tasks.start(self._recover(recovery), "recover")

    async def follow(self, submission: Submission) -> Cursor:
        """See :meth:`SessionUse.follow`; what comes while the session is being recovered waits for that."""
        if self._recovering is not None and not self._recovering.done():
            await asyncio.wait({self._recovering}, timeout=_RECOVERY_WAIT_SECONDS)
        return await super().follow(submission)

    async def _recover(self, recovery: session_pb2.Recovery) -> None:
        began = self._services.clock.monotonic()
        for attempt in range(1, RECOVERY_ATTEMPTS + 1):
            try:
                async with self._changing:
                    await self._recover_once(recovery.from_checkpoint_id)
                break
            except DomainError as error:
                _log.warning("a recovery failed", attempt=attempt, reason=str(error), **self._keeper.names())
                detail = f"{recovery.reason}; it could not be recovered: {error}"
        else:
            self.operations.journal.detach(for_good=True)
            recovery.lost_operation_ids.extend(self.operations.log.lose_effects())
            recovery.lost_files.extend(self.operations.log.lose_files())
            recovery.from_checkpoint_id = ""
            recovery.generation = self.record.generation
            self._keeper.change(
                state=_State.STATE_CRASHED,
                state_detail=detail,
                last_recovery=recovery.SerializeToString(),
            )
        recovery.wall_time.FromMicroseconds(int((self._services.clock.monotonic() - began) * 1e6))
        self._keeper.change(last_recovery=recovery.SerializeToString())
        self.events.publish(recovery=recovery)
        await self._keeper.save_if_possible()

    async def _recover_once(self, checkpoint_id: str) -> None:
        record = await self._library.get(self.record.tenant, checkpoint_id)
        manifest = await self._library.manifest(record)
        await self._restore_elsewhere(record, manifest, allow_lost=False)
