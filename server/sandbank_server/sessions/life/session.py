"""One session: its changes and its end.

Its use is in ``use``; its state is saved in ``saving``, brought back in ``restoring`` and, after a loss, in
``recovering``. It sleeps in ``hibernation``; what it has of its sandbox is in ``sandbox_side``.

A session is used from the event loop only. Deciding is synchronous; what must wait (a reset, a new sandbox) holds
``_changing``, so that two of them never interleave. Its end does not wait for them. What has to go through once it was
begun runs in a task of its own, so that a caller who goes away cannot leave half of it behind.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import datetime, timedelta

from sandbank.v1 import execution_pb2, session_pb2
from sandbank_runner.v1 import runner_pb2

from sandbank_server.errors import (
    BadFieldError,
    OperationNotFoundError,
    SessionBusyError,
    SnapshotGoneError,
    SnapshotsDisabledError,
    StoreUnavailableError,
)
from sandbank_server.runners.link import LinkClosed, RequestFailed, RunnerLink
from sandbank_server.sessions.life.background import spawn
from sandbank_server.sessions.life.hibernation import SessionHibernation
from sandbank_server.sessions.life.sandbox_side import WITHOUT_SANDBOX
from sandbank_server.sessions.log.entry import KEPT_EFFECT
from sandbank_server.sessions.log.planned_move import PlannedMove
from sandbank_server.sessions.refusals import refusal

_State = session_pb2.Session
_ENDED = _State.STATE_TERMINATED


class Session(SessionHibernation):
    """One session: a record, the operations, and the sandbox that serves it."""

    # Changing.

    async def update(
        self,
        labels: Mapping[str, str] | None,
        idle_timeout: timedelta | None,
        extend: timedelta | None,
    ) -> None:
        """Replace labels, set the idle timeout, put off the end: what is None stays. Counts as use.

        :class:`BadFieldError` for an end that is too far away.
        """
        self._check_ended()
        fields: dict[str, object] = {}
        if labels is not None:
            fields["labels"] = dict(labels)
        if idle_timeout is not None:
            fields["idle_timeout"] = idle_timeout
        if extend is not None:
            fields["expire_time"] = self._put_off(extend)
        self.touch()
        if fields:
            self._keeper.change(**fields)
        await self._keeper.save()

    def _put_off(self, extend: timedelta) -> datetime:
        farthest = self._services.limits.lifetime_ahead
        expire_time = self.record.expire_time + extend
        if (expire_time - self._services.clock.now()).total_seconds() > farthest:
            raise BadFieldError.at("extend_lifetime", f"the end must not be over {farthest:g} s ahead")
        return expire_time

    async def reset(self, *, keep_files: bool) -> None:
        """Give the session a pristine interpreter; a crashed one gets a fresh sandbox.

        A running operation is cancelled first. Goes through, once begun, also when the caller is cancelled. Raises
        what :meth:`usable` and the pool raise.
        """
        self._check_ended()
        if keep_files:
            await self.wake()
        await self.go_through(self._tasks.start(self._reset(keep_files=keep_files), "reset"))
        await self.changed_outside()

    async def _reset(self, *, keep_files: bool) -> None:
        async with self._changing:
            self._check_ended()
            if self._keeper.state == _State.STATE_CRASHED or (
                self._keeper.state == _State.STATE_HIBERNATED and not keep_files
            ):
                await self._reset_crashed()
            else:
                await self._reset_interpreter(keep_files=keep_files)
        self.touch()

    async def _reset_interpreter(self, *, keep_files: bool) -> None:
        link = await self.usable(wake=False)
        try:
            await link.request(reset=runner_pb2.Reset(keep_files=keep_files))
        except (LinkClosed, TimeoutError, RequestFailed) as error:
            self._check_alive()
            raise SessionBusyError("the sandbox did not answer; try again", retry_delay=0.5) from error
        self._check_alive()
        self._end_transaction("reset")
        self.operations.log.reset()
        if not keep_files:
            self.operations.log.forget_files()
        # Named although it is the same: watchers are told that something happened.
        self._keeper.change(execution_count=0, sandbox_id=self.record.sandbox_id)
        await self._keeper.save_if_possible()

    async def rewind(self, operation_id: str) -> None:
        """Go back to the state right after an operation; a running one is cancelled first.

        Goes through, once begun, also when the caller is cancelled. :class:`OperationNotFoundError`,
        :class:`SnapshotsDisabledError`, :class:`SnapshotGoneError`, and what :meth:`usable` raises.
        """
        self._check_alive()
        await self.go_through(self._tasks.start(self._rewind(operation_id), "rewind"))
        await self.changed_outside()

    async def _rewind(self, operation_id: str) -> None:
        await self.wake()
        async with self._changing:
            link = await self.usable(wake=False)
            self._check_rewind(operation_id)
            try:
                await link.request(rewind=runner_pb2.Rewind(operation_id=operation_id))
            except RequestFailed as error:
                raise refusal(error) from error
            except (LinkClosed, TimeoutError) as error:
                self._check_alive()
                raise SessionBusyError("the sandbox did not answer; try again", retry_delay=0.5) from error
            self._check_alive()
            self._keeper.announce()
            await self._keeper.save_if_possible()

    def _check_rewind(self, operation_id: str) -> None:
        entry = self.operations.log.get(operation_id)
        if entry is None:
            raise OperationNotFoundError(
                f"no operation {operation_id} in this session", resource=operation_id
            )
        if self.record.snapshots_disabled:
            raise SnapshotsDisabledError("the session was created without snapshots")
        if not entry.finished or entry.outcome not in KEPT_EFFECT or entry.before_reset:
            raise SnapshotGoneError(
                f"the session cannot go back to operation {operation_id}: its effects are not in its state"
            )

    async def _reset_crashed(self) -> None:
        async def nothing(_link: RunnerLink) -> None:
            """It is pristine as it comes."""

        await self._into_fresh_sandbox(nothing, PlannedMove(self.record.generation + 1), dict)

    # Ending.

    async def terminate(self, detail: str) -> None:
        """End the session and its operations and give up its sandbox; return once that is saved. Idempotent.

        It goes through also when the caller is cancelled. StoreUnavailableError when the end cannot be saved: the
        session has ended all the same, and whoever calls next, the tick if nobody else, tries again.
        """
        if not self.ended:
            sandbox_id = self._end(detail)
            self._ending = spawn(self._wind_up(sandbox_id, detail), "end")
        elif self._ending is not None and self._ending.done() and self._keeper.dirty:
            self._ending = spawn(self._save_end(), "end")
        if self._ending is not None:
            await asyncio.shield(self._ending)

    async def abandon(self, detail: str) -> None:
        """End a session that nobody has been told of, and leave nothing of it."""
        sandbox_id = self._end(detail)
        self._ending = spawn(self._vanish(sandbox_id, detail), "abandon")
        await asyncio.shield(self._ending)

    def _end(self, detail: str) -> str:
        sandbox_id = self.record.sandbox_id
        self._hang_up()
        self.operations.end_all(f"the session ended: {detail}", execution_pb2.Operation.STATE_CANCELLED)
        self._end_transaction(f"the session ended: {detail}")
        now = self._services.clock.now()
        self._keeper.change(state=_ENDED, state_detail=detail, end_time=now, sandbox_id="")
        self._secret_env.clear()
        self.events.end()
        return sandbox_id

    async def _wind_up(self, sandbox_id: str, detail: str) -> None:
        if sandbox_id:
            await self._services.pool.retire(sandbox_id, detail)
        await self._tasks.cancel()
        await self._save_end()

    async def _save_end(self) -> None:
        await self._keeper.save()
        self.operations.log.close()
        self._services.on_ended(self.record.tenant, self.session_id)

    async def _vanish(self, sandbox_id: str, detail: str) -> None:
        record = self.record
        if sandbox_id:
            await self._services.pool.retire(sandbox_id, detail)
        self._services.on_ended(record.tenant, self.session_id)
        await self._tasks.cancel()
        self.operations.log.delete()
        # The write that failed or was cancelled may have happened all the same.
        with contextlib.suppress(StoreUnavailableError):
            await self._services.catalog.delete_session(record.tenant, self.session_id)

    async def tick(self, now: datetime) -> None:
        """Do what time asks for: become idle, end, save what use has changed."""
        if self.ended:
            await self.terminate("")  # it could not be saved so far
            return
        self.operations.log.flush()
        if self.operations.live or self._uses:
            self._keeper.used(now)
        record = self.record
        unused = now - record.last_active_time
        too_long = unused >= record.idle_timeout and not self._changing.locked()
        if now >= record.expire_time:
            await self.terminate("its lifetime is over")
        elif too_long and self._ends_when_unused():
            await self.terminate("it was idle for too long")
        else:
            if too_long:
                self.hibernate_in_background()
            idle_after = self._services.limits.idle_after
            if record.state == _State.STATE_ACTIVE and unused.total_seconds() >= idle_after:
                self._keeper.change(state=_State.STATE_IDLE)
                self._autosave.idle()
            if self._keeper.dirty:
                await self._keeper.save()

    def _ends_when_unused(self) -> bool:
        hibernated = self._keeper.state == _State.STATE_HIBERNATED
        return not hibernated and self.record.idle_action != session_pb2.IDLE_ACTION_HIBERNATE

    async def detach(self) -> None:
        """Let go of everything without ending anything: the control plane stops."""
        if self._ending is not None:
            await asyncio.gather(self._ending, return_exceptions=True)
        await self._tasks.cancel()
        link = self.operations.journal.detach(for_good=True)
        if link is not None:
            await link.close()
        if self._keeper.dirty:
            await self._keeper.save_if_possible()
        self.events.end()
        self.operations.log.close()

    async def save(self) -> None:
        """Write the record. StoreUnavailableError when that fails; the next tick tries again."""
        await self._keeper.save()

    async def save_if_possible(self) -> None:
        """Write the record if it has changed; when that fails the next tick tries again."""
        if self._keeper.dirty:
            await self._keeper.save_if_possible()

    def check_invariants(self) -> None:
        """Assert what must always hold between two events."""
        self.operations.check_invariants()
        self.operations.log.transactions.check_invariants()
        if self._keeper.state in WITHOUT_SANDBOX:
            assert self.operations.link is None
            assert not self.operations.live
            assert self.operations.log.transactions.current is None
            assert self.record.sandbox_id == ""
        assert self._uses >= 0
