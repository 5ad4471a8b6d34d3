"""A session whose sandbox has died: it goes on from its latest checkpoint, where there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from sandbank.v1 import session_pb2

from sandbank_server.catalog.base import CheckpointRecord, SessionRecord
from sandbank_server.checkpoints.manifest import Manifest
from sandbank_server.errors import CheckpointCorruptError, CheckpointNotFoundError, DomainError
from sandbank_server.runners.link import RunnerLink
from sandbank_server.sessions.life.restoring import SessionRestoring
from sandbank_server.sessions.life.sandbox_side import WITHOUT_SANDBOX
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.operations.cursor import Cursor
from sandbank_server.sessions.operations.submission import Submission
from sandbank_server.sessions.ports import SessionServices
from sandbank_server.sessions.recovery.deaths import Loss, newest_names, recovery_message, tell_loss
from sandbank_server.sessions.recovery.plan import RECOVERY_ATTEMPTS, RecoveryPlan
from sandbank_server.sessions.recovery.report import report_of

_State = session_pb2.Session
_log = structlog.get_logger("sandbank.session")

RELAPSE_SECONDS = 30.0
"""A sandbox that dies so soon after a recovery, without having been used, makes that a failed one."""

DAMAGED = CheckpointCorruptError, CheckpointNotFoundError
"""What is wrong with the checkpoint itself: the one before it may be whole."""

_WAIT_SECONDS = 30.0
"""How long a call waits for a recovery."""


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
        self._recovered_at = 0.0
        self._relapses = 0
        self._used_since = True

    def resume(self, link: RunnerLink | None) -> None:
        """See :class:`SandboxSide`. The log may know of a checkpoint that a kill kept out of the record."""
        log = self.operations.log
        in_order = self._bring_log_up_to_date()
        newest, in_row = log.coverage.line[-1:], self.record.latest_checkpoint_id
        # It may have begun with another session's, which is in the line, too.
        known = not in_row or in_row in log.coverage.line or log.coverage.knows(in_row)
        if newest and known and in_order:
            self._keeper.change(latest_checkpoint_id=newest[0])
        super().resume(link)

    def sandbox_lost(self, reason: str) -> None:
        """See :class:`SandboxSide`. With a checkpoint, and the policy for it, the session goes on from there."""
        if self._recovering is not None and not self._recovering.done() and not self.record.sandbox_id:
            return
        checkpoint_id = self.record.latest_checkpoint_id
        if self._keeper.state in WITHOUT_SANDBOX or not (checkpoint_id and self._services.library):
            super().sandbox_lost(reason)
            return
        loss = self._take_leave(reason, checkpoint_id)
        why_not = self._why_not_recovered()
        sandbox_id, generation = self.record.sandbox_id, self.record.generation
        recovery = recovery_message(reason, generation, self._services.clock.now(), loss)
        if why_not:
            self._leave_crashed(recovery, f"{reason}; {why_not}")
            self._tasks.start(self._keeper.save_if_possible(), "save")
        else:
            self._keeper.change(
                state=_State.STATE_ACTIVE,
                state_detail=f"{reason}; being recovered",
                sandbox_id="",
                last_recovery=recovery.SerializeToString(),
            )
            work = Recovering(recovery, reason, loss, self._services.clock.monotonic())
            self._recovering = self._tasks.start(self._recover(work, checkpoint_id), "recover")
        if sandbox_id:
            self._services.pool.report_lost(sandbox_id, reason)

    def _take_leave(self, reason: str, checkpoint_id: str) -> Loss:
        """End what the sandbox was doing; return what went with it, but for what a checkpoint has."""
        link = self.operations.journal.detach(for_good=False)
        if link is not None:
            link.hang_up()
        self.operations.end_all(reason)
        self._end_transaction(f"the sandbox was lost: {reason}")
        loss = self._lose_state(checkpoint_id)
        if not self.record.sandbox_id:
            # A recovery did not come to its end before the control plane was killed: it has not been told to the end.
            loss = Loss.told_in(session_pb2.Recovery.FromString(self.record.last_recovery)) + loss
        return loss

    def _why_not_recovered(self) -> str:
        """Return why the session is not to be recovered by itself, empty where it is."""
        now = self._services.clock.monotonic()
        if self._used_since or now - self._recovered_at >= RELAPSE_SECONDS:
            self._relapses = 0
        else:
            self._relapses += 1
        if self.record.recovery_policy == session_pb2.RECOVERY_POLICY_MANUAL:
            return "it is not recovered by itself"
        if self._relapses >= RECOVERY_ATTEMPTS:
            return "it died again right after each recovery"
        return ""

    def _leave_crashed(self, recovery: session_pb2.Recovery, detail: str, *, kept: bool = True) -> None:
        """Nothing is tried any more; ``kept``: the state is still in the checkpoint, for a Restore."""
        self._services.observer.came_to(self._keeper.tenant, "crashed")
        self.operations.journal.detach(for_good=True)
        kept_in = (
            f"; its state is kept in checkpoint {self.record.latest_checkpoint_id}, Restore brings it back"
        )
        recovery.generation = self.record.generation
        self._keeper.change(
            state=_State.STATE_CRASHED,
            state_detail=detail + (kept_in if kept else "; its state is lost"),
            sandbox_id="",
            last_recovery=recovery.SerializeToString(),
        )
        self.events.publish(recovery=recovery)

    async def follow(self, submission: Submission) -> Cursor:
        """See :meth:`SessionUse.follow`; what comes while the session is being recovered waits for that."""
        await SessionRecovery.wake(self)
        cursor = await super().follow(submission)
        self._used_since = True
        return cursor

    async def wake(self) -> None:
        """Return once the session is recovered, where it is being that; after a while in any case."""
        if self._recovering is not None and not self._recovering.done():
            await asyncio.wait({self._recovering}, timeout=_WAIT_SECONDS)

    # Recovering.

    async def _recover(self, work: Recovering, checkpoint_id: str) -> None:
        clock = self._services.clock
        plan = RecoveryPlan(work.began, self._services.limits.recovery_patience)
        while True:
            try:
                async with self._changing:
                    record = await self._newest_whole(checkpoint_id, work)
                    if record is None:
                        self._give_up(work, "", kept=False)
                    else:
                        await self._recover_once(work, record)
                        self._services.observer.came_to(self._keeper.tenant, "recovered")
                break
            except DAMAGED as error:
                self._pass_over(work, error)
            except DomainError as error:
                _log.warning("a recovery failed", reason=error.message, **self._keeper.names())
                pause = plan.failed(error, clock.monotonic())
                if pause is None:
                    self._give_up(work, f"it could not be recovered: {error.message}")
                    break
                await clock.sleep(pause)
            except Exception:  # noqa: BLE001 - a fault of ours: those who wait must be told something
                _log.exception("a recovery failed", **self._keeper.names())
                if not self.record.sandbox_id:
                    self._give_up(work, "it could not be recovered: the server failed over it")
                break
        await self._keeper.save_if_possible()

    def _pass_over(self, work: Recovering, error: DomainError) -> None:
        """The checkpoint that was tried is damaged or gone: the one before it is next."""
        work.unusable[work.checkpoint_id] = error.message
        names = {"checkpoint_id": work.checkpoint_id, **self._keeper.names()}
        _log.error("a checkpoint cannot be used", reason=error.message, **names)

    async def _newest_whole(self, newest: str, work: Recovering) -> CheckpointRecord | None:
        """Return the newest checkpoint that led to the state that was lost and is not known to be unusable."""
        tenant, log = self.record.tenant, self.operations.log
        if newest not in work.unusable:
            work.checkpoint_id = newest
            return await self._library.get(tenant, newest)
        there = {each.checkpoint_id for each in await self._library.of_session(tenant, self.session_id)}
        for each in log.coverage.before(newest):
            if each in there and each not in work.unusable:
                work.checkpoint_id = self._coming_from = each
                return await self._library.get(tenant, each)
        return None

    async def _recover_once(self, work: Recovering, record: CheckpointRecord) -> None:
        manifest = await self._library.manifest(record)
        work.recovery.from_checkpoint_id = record.checkpoint_id
        work.recovery.generation = self.record.generation + 1
        loss = work.loss + self._older_loss(record.checkpoint_id) + _not_saved(manifest)

        def tell(loaded: dict[str, Any]) -> dict[str, object]:
            report = report_of(manifest, loaded, 0.0)
            work.recovery.recomputed[:] = newest_names([each.name for each in report.recomputed])[0]
            self._tell(work, loss + Loss(variables=[each.name for each in report.lost]))
            return {"last_recovery": work.recovery.SerializeToString()}

        await self._restore_elsewhere(record, manifest, allow_lost=False, losing=True, tell=tell)
        self._recovered_at, self._used_since = self._services.clock.monotonic(), False
        self.events.publish(recovery=work.recovery)

    def _older_loss(self, checkpoint_id: str) -> Loss:
        """Return what goes, too, because it is an older checkpoint from which the session goes on."""
        log = self.operations.log
        has = log.covered_by(checkpoint_id)
        lost = [name for name in log.kept_effects() if name not in has]
        gone = log.gone_with(lost)
        files = dict.fromkeys((*gone.files, *log.uploads_missing_in(checkpoint_id)))
        variables = dict.fromkeys((*gone.variables, *log.sets_missing_in(checkpoint_id)))
        return Loss(lost, list(variables), list(files), gone.more)

    def _tell(self, work: Recovering, loss: Loss) -> None:
        seconds = self._services.clock.monotonic() - work.began
        work.recovery.wall_time.FromMicroseconds(int(seconds * 1e6))
        tell_loss(work.recovery, work.reason + work.detours(), loss)

    def _give_up(self, work: Recovering, why: str, *, kept: bool = True) -> None:
        loss = work.loss
        if not kept:
            log = self.operations.log
            lost = log.lose_effects(goes_on=True)
            loss += Loss(variables=log.sets_missing_in(""))
            loss = loss + self._loss_of(lost, [*log.gone_with(lost).files, *log.lose_files()])
        work.recovery.from_checkpoint_id = ""
        self._tell(work, loss)
        detail = "; ".join(filter(None, (work.reason, why)))
        self._leave_crashed(work.recovery, detail + work.detours(), kept=kept)


@dataclass(slots=True)
class Recovering:
    """One recovery. ``unusable``: checkpoints, and what is wrong with each; ``checkpoint_id``: the one tried now."""

    recovery: session_pb2.Recovery
    reason: str
    loss: Loss
    began: float
    checkpoint_id: str = ""
    unusable: dict[str, str] = field(default_factory=dict)

    def detours(self) -> str:
        """Return why it is not the newest checkpoint that was taken, as the end of a sentence."""
        return "".join(f"; checkpoint {name} cannot be used: {why}" for name, why in self.unusable.items())


def _not_saved(manifest: Manifest) -> Loss:
    """Return what a checkpoint could not save: it is gone with the sandbox."""
    return Loss(variables=manifest.lost_variables(), files=manifest.lost_files())
