"""A session's side towards its sandbox: taking one, finding it again, losing it.

What it hears from it is in ``core``, what it is used for in ``use``; all are one object.
"""

from __future__ import annotations

import contextlib

import structlog
from sandbank.v1 import session_pb2
from sandbank_runner.v1 import runner_pb2

from sandbank_server.errors import SandboxLostBeforeStartError
from sandbank_server.runners.checks import version_of
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.runners.link import LinkClosed, RequestFailed, RunnerLink
from sandbank_server.sessions.life.background_meter import BackgroundMeter
from sandbank_server.sessions.life.core import SessionCore
from sandbank_server.sessions.life.reattach import find_again
from sandbank_server.sessions.log.transaction_ledger import LoggedTransaction
from sandbank_server.sessions.operations.settling import settle
from sandbank_server.sessions.operations.transactions import roll_back_unclaimed
from sandbank_server.sessions.ports import SandboxLease
from sandbank_server.sessions.recovery.deaths import Loss, recovery_message

_State = session_pb2.Session
WITHOUT_SANDBOX = (_State.STATE_CRASHED, _State.STATE_HIBERNATED, _State.STATE_TERMINATED)
_log = structlog.get_logger("sandbank.session")

_DIAL_AGAIN_SECONDS = 1.0


class SandboxSide(SessionCore):
    """A session that takes, finds again and loses its sandbox."""

    # A sandbox comes.

    async def take(self, lease: SandboxLease) -> None:
        """Have the leased sandbox assigned to this session, confirm the lease, and use it from now on.

        Raises :class:`SandboxLostBeforeStartError` when the sandbox died meanwhile, :class:`SessionTerminatedError`
        when the session ended; the lease is released then.
        """
        link = await self._assign(lease)
        self._keeper.change(sandbox_id=lease.sandbox_id, python_version=version_of(link.hello))
        self._listen_to(link)

    async def _assign(self, lease: SandboxLease) -> RunnerLink:
        try:
            link = lease.link
            await self._request_assign(link)
            self._check_ended()
            if link.closed.is_set():
                raise SandboxLostBeforeStartError("the sandbox was lost; nothing was run", retry_delay=0.1)
            lease.confirm()
        except BaseException:
            await lease.release("could not be assigned")
            raise
        return link

    async def _request_assign(self, link: RunnerLink) -> None:
        limits = self._services.limits
        assign = runner_pb2.Assign(
            session_id=self.session_id,
            env=self.record.env,
            secret_env=self._secret_env,
            journal_bytes=limits.journal_bytes,
            journal_operations=limits.journal_operations,
            queue_limit=limits.operation_queue,
            snapshots_disabled=self.record.snapshots_disabled,
            snapshot_history=self._snapshot_history(),
            workspace_copy_bytes=limits.workspace_copy_bytes,
            preview_chars=limits.preview_chars,
            change_count=limits.change_count,
            recompute=self.record.recompute,
        )
        assign.interrupt_grace.FromMicroseconds(int(limits.interrupt_grace * 1e6))
        assign.quiet_time.FromTimedelta(self.record.quiet_time)
        try:
            await link.request(assign=assign)
        except (LinkClosed, TimeoutError, RequestFailed) as error:
            raise SandboxLostBeforeStartError(
                "the sandbox was lost; nothing was run", retry_delay=0.1
            ) from error

    def _snapshot_history(self) -> int:
        """Under SYNCHRONOUS each state has its snapshot before the next operation begins, or a death would cost it."""
        synchronous = self.record.checkpoint_policy == session_pb2.CHECKPOINT_POLICY_SYNCHRONOUS
        return max(self.record.snapshot_history, int(synchronous and not self.record.snapshots_disabled))

    def adopt(self, link: RunnerLink) -> None:
        """Go on, over a new link, with the sandbox that serves this session already.

        What it did meanwhile is learned first, before anything that it pushes is heard. Raises
        :class:`RunnerViolation` when it is not that sandbox, or takes back what it told.
        """
        hello = link.hello
        if link.session_id != self.session_id:
            raise RunnerViolation("serves another session")
        log = self.operations.log
        current = log.transactions.current
        unclaimed = current if current is not None and current.unclaimed else None
        self._learn(hello)
        unsettled = self.operations.resynchronise(hello)
        self._keeper.change(execution_count=hello.execution_count)
        for told in (hello.operations, hello.replacements, hello.transactions):
            del told[:]  # the link keeps its greeting for as long as it lives
        self._listen_to(link)
        self._tasks.start(self._settle(unsettled, link), "settle")
        if unclaimed is not None and not unclaimed.ended:
            self._tasks.start(self._roll_back(unclaimed, link), "roll back")

    def _bring_log_up_to_date(self) -> bool:
        """Write what a kill kept out of the log after the record said that the session goes on in another sandbox.

        False where it is not known which state it has there.
        """
        record, log = self.record, self.operations.log
        if record.generation <= max(log.generation, 1):
            return True
        self._end_transaction("its sandbox was given up")
        self._keeper.change(execution_count=record.execution_count)
        return log.move(record.generation)

    def resume(self, link: RunnerLink | None) -> None:
        """Take up what an earlier control plane left; ``link`` leads to its sandbox if that is still there."""
        if self._keeper.state in WITHOUT_SANDBOX:
            self.operations.journal.detach(for_good=True)
            self.operations.end_all("the session had no sandbox any more")
            self._end_transaction("the sandbox was lost")
        elif link is None:
            self.sandbox_lost("the sandbox died while the control plane was away")
        else:
            self._adopt_or_lose(link)

    def _adopt_or_lose(self, link: RunnerLink) -> None:
        try:
            self.adopt(link)
        except Exception as error:  # noqa: BLE001 - one session's sandbox must not keep the others from being served
            expected = isinstance(error, RunnerViolation)
            _log.error(
                "a sandbox broke the protocol" if expected else "a sandbox could not be taken over",
                reason=str(error) if expected else "",
                exc_info=None if expected else error,
                **self._keeper.names(),
            )
            link.hang_up()
            self.sandbox_lost("the sandbox broke the protocol and was destroyed")

    def _listen_to(self, link: RunnerLink) -> None:
        self._meter = BackgroundMeter(self._services.clock.monotonic)
        self.operations.journal.attach(link)
        link.set_sink(self)
        link.add_close_callback(self._link_closed)

    async def _settle(self, operation_ids: list[str], link: RunnerLink) -> None:
        # When the link breaks over it, its close callback sees to everything.
        with contextlib.suppress(LinkClosed):
            for operation_id in operation_ids:
                await settle(self.operations, operation_id, link)

    async def _roll_back(self, transaction: LoggedTransaction, link: RunnerLink) -> None:
        with contextlib.suppress(LinkClosed, TimeoutError):
            await roll_back_unclaimed(self.operations.log, link, transaction)

    # A sandbox goes.

    def _link_closed(self, link: RunnerLink) -> None:
        if link is not self.operations.link:
            return
        self.operations.journal.detach(for_good=False)
        if isinstance(link.error, RunnerViolation):
            _log.error("the sandbox broke the protocol", reason=str(link.error), **self._keeper.names())
            self.sandbox_lost("the sandbox broke the protocol and was destroyed")
        else:
            self._tasks.start(self._reattach(link, self.record.sandbox_id), "reattach")

    async def _reattach(self, old: RunnerLink, sandbox_id: str) -> None:
        if self.record.sandbox_id != sandbox_id:
            return  # by the time that this begins its death may have been told otherwise
        if not self._breaks.note():
            self.sandbox_lost("its supervisor hung up again and again, and was destroyed")
            return
        await self._breaks.pause()
        link = await self._dial_again(old, sandbox_id)
        if self.record.sandbox_id != sandbox_id or self.operations.link is not None:
            # Meanwhile the session ended, was given up, or has another sandbox.
            if link is not None:
                link.hang_up()
            return
        self._services.observer.link_lost(self._keeper.tenant, found_again=link is not None)
        if link is None:
            self.sandbox_lost("the sandbox died")
            return
        self._adopt_or_lose(link)

    async def _dial_again(self, old: RunnerLink, sandbox_id: str) -> RunnerLink | None:
        while True:
            try:
                return await find_again(old.endpoint, sandbox_id, old.hello.boot_id)
            except OSError as error:
                # A trouble of ours, which says nothing about the sandbox.
                _log.warning("a sandbox cannot be dialled", reason=str(error), **self._keeper.names())
                await self._services.clock.sleep(_DIAL_AGAIN_SECONDS)

    def sandbox_lost(self, reason: str) -> None:
        """End what the sandbox was doing and say what went with it; without a checkpoint nothing can be brought back.

        Idempotent: called by whoever notices first, the link, the pool or the engine.
        """
        if self._keeper.state in WITHOUT_SANDBOX:
            return
        sandbox_id = self.record.sandbox_id
        self._hang_up()
        self.operations.end_all(reason)
        self._end_transaction(f"the sandbox was lost: {reason}")
        recovery = recovery_message(
            reason, self.record.generation, self._services.clock.now(), self._lose_state()
        )
        self._keeper.change(
            state=_State.STATE_CRASHED,
            state_detail=f"{reason}; its state is lost",
            sandbox_id="",
            last_recovery=recovery.SerializeToString(),
        )
        self.events.publish(recovery=recovery)
        self._services.observer.came_to(self._keeper.tenant, "crashed")
        self._services.pool.report_lost(sandbox_id, reason)
        self._tasks.start(self._keeper.save_if_possible(), "save")

    def _lose_state(self, checkpoint_id: str = "") -> Loss:
        """Record what goes with the sandbox but for what a checkpoint has; return it, with what was lost untold."""
        log, unsaved = self.operations.log, self._unsaved_loss()
        lost = log.lose_effects(0, log.covered_by(checkpoint_id), goes_on=bool(unsaved))
        unsaved += Loss(variables=log.sets_missing_in(checkpoint_id))
        return unsaved + self._loss_of(lost, log.lose_files(checkpoint_id))

    def _hang_up(self) -> None:
        link = self.operations.journal.detach(for_good=True)
        if link is not None:
            link.hang_up()
