"""Waking: a session that gave its sandbox up takes another when it is used, with the state that it slept on.

Where that checkpoint is damaged it is the one before it, as in a recovery, and what that costs is told as one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog
from sandbank.v1 import checkpoint_pb2, session_pb2

from sandbank_server.catalog.base import CheckpointRecord, SessionRecord
from sandbank_server.errors import (
    CheckpointCorruptError,
    DomainError,
    SandboxLostBeforeStartError,
    SessionBusyError,
)
from sandbank_server.sessions.life.recovering import DAMAGED, Recovering
from sandbank_server.sessions.life.way_back import SessionWayBack
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.operations.cursor import Cursor
from sandbank_server.sessions.operations.submission import Submission
from sandbank_server.sessions.ports import SessionServices
from sandbank_server.sessions.recovery.deaths import Loss, newest_names, recovery_message
from sandbank_server.sessions.recovery.report import report_of

_HIBERNATED = session_pb2.Session.STATE_HIBERNATED
_log = structlog.get_logger("sandbank.session")

WAKE_ATTEMPTS = 3
"""Sandboxes tried for one call that wakes a session, where they die over it."""

_WOKEN = "it was woken"
_WITHOUT_ALL = f"{_WOKEN}; not everything could be saved when it went to sleep"


class SessionWaking(SessionWayBack):
    """A session that comes back from where it has no sandbox."""

    def __init__(
        self,
        record: SessionRecord,
        services: SessionServices,
        log: OperationLog,
        secret_env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(record, services, log, secret_env)
        self._open = asyncio.Event()
        """Not set while a checkpoint is made that no change may follow: who wants to use the session waits."""
        self._open.set()
        self._waking: asyncio.Task[None] | None = None

    async def follow(self, submission: Submission) -> Cursor:
        """See :meth:`SessionUse.follow`; what comes while the session goes to sleep waits, and wakes it."""
        await self._open.wait()
        return await super().follow(submission)

    async def wake(self) -> None:
        """Return once the session has a sandbox, and its state in it, where it had given it up.

        Several callers wait for one and the same. Raises what the pool and a restore raise; the session stays
        hibernated then, and the next use tries again.
        """
        await super().wake()
        await self._open.wait()
        while self._keeper.state == _HIBERNATED:
            if self._waking is None or self._waking.done():
                self._waking = self._tasks.start(self._wake(), "wake")
            await self.go_through(self._waking)

    async def _wake(self) -> None:
        async with self._changing:
            work = self._way_back()
            left = WAKE_ATTEMPTS
            while self._keeper.state == _HIBERNATED:
                try:
                    await self._wake_once(work)
                except DomainError as error:
                    if self._may_pass_over(work, error):
                        self._pass_over(work, error)
                        continue  # the one before it
                    _log.warning("a session was not woken", reason=error.message, **self._keeper.names())
                    left -= 1
                    if left and isinstance(error, (SandboxLostBeforeStartError, SessionBusyError)):
                        continue  # the sandbox's fault: another may do better
                    self._services.observer.came_to(self._keeper.tenant, "not woken")
                    self._sleep_on(error.message)
                    await self._keeper.save_if_possible()
                    self._rest()
                    raise
                self._services.observer.came_to(self._keeper.tenant, "woken")
            self.touch()

    def _sleep_on(self, why: str) -> None:
        # The state is named although it is the same: watchers are told that something happened.
        self._keeper.change(state=_HIBERNATED, state_detail=f"it was not woken: {why}")

    def _may_pass_over(self, work: Recovering, error: DomainError) -> bool:
        by_itself = self.record.recovery_policy != session_pb2.RECOVERY_POLICY_MANUAL
        return by_itself and isinstance(error, DAMAGED) and work.checkpoint_id not in work.unusable

    def _way_back(self) -> Recovering:
        clock, nothing = self._services.clock, Loss()
        recovery = recovery_message(_WOKEN, self.record.generation, clock.now(), nothing)
        return Recovering(recovery, _WOKEN, nothing, clock.monotonic())

    async def _wake_once(self, work: Recovering) -> None:
        """Take the newest checkpoint, or, where that is damaged, one before it, as a recovery does."""
        record = await self._newest_whole(self.record.latest_checkpoint_id, work)
        if record is None:  # what is missing now may come back: nothing is given up
            raise CheckpointCorruptError(f"none of its checkpoints is whole{work.detours()}")
        if work.unusable:
            await self._recover_once(work, record)
            return
        manifest = await self._library.manifest(record)
        clock, told = self._services.clock, list[session_pb2.Recovery]()
        began = clock.monotonic()

        def tell(loaded: dict[str, Any]) -> dict[str, object]:
            report = report_of(manifest, loaded, clock.monotonic() - began)
            if not (report.lost or report.lost_files or report.recomputed):
                return {}
            told.append(self._what_came_otherwise(record.checkpoint_id, report))
            return {"last_recovery": told[-1].SerializeToString()}

        await self._restore_elsewhere(record, manifest, allow_lost=False, tell=tell)
        for recovery in told:
            self.events.publish(recovery=recovery)

    def _what_came_otherwise(
        self, checkpoint_id: str, report: checkpoint_pb2.RestoreReport
    ) -> session_pb2.Recovery:
        loss = Loss(
            variables=[each.name for each in report.lost], files=[each.path for each in report.lost_files]
        )
        generation, now = self.record.generation + 1, self._services.clock.now()
        recovery = recovery_message(_WITHOUT_ALL, generation, now, loss, checkpoint_id)
        recovery.recomputed.extend(newest_names([each.name for each in report.recomputed])[0])
        recovery.wall_time.CopyFrom(report.wall_time)
        return recovery

    # Others.

    async def state_for_others(self, request_id: str) -> CheckpointRecord:
        """Return a checkpoint of the state of now; of a session that sleeps, a copy of the one that it sleeps on.

        It is not woken for that. A repeated request gets the same, also where the session has been woken or has gone to
        sleep in between. What :meth:`checkpoint` raises, and CheckpointCorruptError.
        """
        await self._open.wait()
        copy = None
        if self._keeper.state == _HIBERNATED:
            copy = await self.go_through(self._tasks.start(self._copy(request_id), "copy"))
        if copy is not None:
            return copy
        return await self.checkpoint(request_id, {}, verify=False, automatic=True)

    async def _copy(self, request_id: str) -> CheckpointRecord | None:
        """Keep what it sleeps on under another id: no sleep or thinning out later takes that away from the others.

        None where the session is awake by now. As :meth:`checkpoint`, where the request is known.
        """
        library, clock = self._library, self._services.clock
        async with self._checkpointing:
            made = await self._made_before(request_id)
            if made is not None or self._keeper.state != _HIBERNATED:
                return made
            began = clock.monotonic()
            slept_on = await library.get(self.record.tenant, self.record.latest_checkpoint_id)
            manifest = await library.manifest(slept_on)
            chunks = [name for name, _ in manifest.chunks()]
            # Asked for: no collection takes them before the copy's record says that they are needed.
            if await library.chunks.lacking(self.record.tenant, chunks):
                raise CheckpointCorruptError("a chunk of the checkpoint is missing; nothing was changed")
            copy = replace(
                slept_on,
                checkpoint_id=self._services.ids.checkpoint_id(),
                parent_checkpoint_id=slept_on.checkpoint_id,
                request_id=request_id,
                create_time=clock.now(),
                wall_time=timedelta(seconds=clock.monotonic() - began),
                labels={},
                automatic=True,
                new_bytes=0,
            )
            await library.keep(copy, manifest)
            return copy

    def _rest(self) -> None:
        """Hold nothing that a session without a sandbox does not need."""
        if self._autosaving is not None:
            self._autosaving.cancel()
            self._autosaving = None
        self.operations.log.release()
