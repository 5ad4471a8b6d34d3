"""A session's side towards its sandbox: taking one, finding it again, hearing what it says, losing it.

What the session is used for, and how it changes and ends, is in ``session``; both are one object.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping

import structlog
from sandbank.v1 import execution_pb2, session_pb2, transaction_pb2
from sandbank_runner.v1 import runner_pb2

from sandbank_server.catalog.base import SessionRecord
from sandbank_server.errors import (
    SandboxLostBeforeStartError,
    SessionTerminatedError,
)
from sandbank_server.runners.checks import reason_of, version_of
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.runners.link import LinkClosed, RequestFailed, RunnerLink
from sandbank_server.sessions.background import Tasks
from sandbank_server.sessions.background_meter import BackgroundMeter
from sandbank_server.sessions.log_entry import KEPT_EFFECT
from sandbank_server.sessions.mirror import Mirror, Replaced
from sandbank_server.sessions.operation_log import OperationLog
from sandbank_server.sessions.operations import Operations
from sandbank_server.sessions.ports import SandboxLease, SessionServices
from sandbank_server.sessions.reattach import Breaks, find_again
from sandbank_server.sessions.record_keeper import RecordKeeper
from sandbank_server.sessions.recovery import recovery_message, tells_of
from sandbank_server.sessions.session_events import SessionEvents
from sandbank_server.sessions.settling import settle
from sandbank_server.sessions.transaction_ledger import ASKED_FOR, LoggedTransaction
from sandbank_server.sessions.transactions import roll_back_unclaimed

_Operation = execution_pb2.Operation
_State = session_pb2.Session
_Transaction = transaction_pb2.Transaction
_ENDED = _State.STATE_TERMINATED
WITHOUT_SANDBOX = (_State.STATE_CRASHED, _State.STATE_TERMINATED)
_log = structlog.get_logger("sandbank.session")

_DIAL_AGAIN_SECONDS = 1.0


class SandboxSide:
    """What a session is and what its sandbox does to it. Implements ``runners.link.LinkSink``."""

    def __init__(
        self,
        record: SessionRecord,
        services: SessionServices,
        log: OperationLog,
        secret_env: Mapping[str, str] | None = None,
    ) -> None:
        clock = services.clock
        self.operations = Operations(
            record.session_id, log, services.limits.operation_queue, clock.now, self._operation_finished
        )
        first = max(record.event_sequence, int(clock.now().timestamp() * 1e6))
        self.events = SessionEvents(first, clock.now)
        self._keeper = RecordKeeper(record, services.catalog, self.events, lambda: self.open_transaction_id)
        self._mirror = Mirror(log)
        self._services = services
        self._secret_env = dict(secret_env or {})
        self._changing = asyncio.Lock()
        self._breaks = Breaks(clock)
        self._meter = BackgroundMeter(clock.monotonic)
        self._uses = 0
        self._counted = 0
        self._counts_on = ""
        self._traces: dict[str, str] = {}
        self._tasks = Tasks()
        self._ending: asyncio.Task[None] | None = None

    # Reading.

    @property
    def record(self) -> SessionRecord:
        """Its record as it is now."""
        return self._keeper.record

    @property
    def session_id(self) -> str:
        """Its id."""
        return self.operations.session_id

    @property
    def ended(self) -> bool:
        """Whether it is terminated."""
        return self._keeper.state == _ENDED

    def view(self) -> session_pb2.Session:
        """Return it as clients see it."""
        return self._keeper.view()

    @property
    def open_transaction_id(self) -> str:
        """The explicit transaction that is open, or empty."""
        current = self.operations.log.transactions.current
        return "" if current is None or current.state == ASKED_FOR else current.transaction_id

    def watch(self, after: int) -> AsyncGenerator[session_pb2.SessionEvent, None]:
        """Yield its events (see :meth:`SessionEvents.watch`)."""
        return self.events.watch(after, self.view)

    def _check_ended(self) -> None:
        if self.ended:
            raise SessionTerminatedError(f"session {self.session_id} has ended", resource=self.session_id)

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
            snapshot_history=self.record.snapshot_history,
            workspace_copy_bytes=limits.workspace_copy_bytes,
            preview_chars=limits.preview_chars,
        )
        assign.interrupt_grace.FromMicroseconds(int(limits.interrupt_grace * 1e6))
        assign.quiet_time.FromTimedelta(self.record.quiet_time)
        try:
            await link.request(assign=assign)
        except (LinkClosed, TimeoutError, RequestFailed) as error:
            raise SandboxLostBeforeStartError(
                "the sandbox was lost; nothing was run", retry_delay=0.1
            ) from error

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

    def resume(self, link: RunnerLink | None) -> None:
        """Take up what an earlier control plane left; ``link`` leads to its sandbox if that is still there."""
        if self._keeper.state in WITHOUT_SANDBOX:
            self.operations.journal.detach(for_good=True)
            self.operations.end_all("the session had crashed")
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

    def _learn(self, hello: runner_pb2.Hello) -> None:
        learned = self._mirror.learn(hello, self.record.execution_count)
        for transaction in learned.changed:
            self._transaction_changed(transaction)
        if learned.replaced is not None:
            self._replaced(learned.replaced)
        if learned.replaced is None or not learned.replaced.recovered:
            lost, files = self._unsaved_loss()
            if lost:
                self._recovered(reason_of(hello.last_replaced.reason), lost, files)

    def _unsaved_loss(self) -> tuple[list[str], list[str]]:
        """Return operations and files of a loss that is in the log, but was not in the catalog before a kill."""
        log = self.operations.log
        if tells_of(self.record.last_recovery, log.last_loss, log.last_lost_files):
            return [], []
        return log.last_loss, log.last_lost_files

    # A sandbox goes.

    def _link_closed(self, link: RunnerLink) -> None:
        if link is not self.operations.link:
            return
        self.operations.journal.detach(for_good=False)
        if isinstance(link.error, RunnerViolation):
            _log.error("the sandbox broke the protocol", reason=str(link.error), **self._keeper.names())
            self.sandbox_lost("the sandbox broke the protocol and was destroyed")
        else:
            self._tasks.start(self._reattach(link), "reattach")

    async def _reattach(self, old: RunnerLink) -> None:
        sandbox_id = self.record.sandbox_id
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
        log = self.operations.log
        unsaved, unsaved_files = self._unsaved_loss()
        lost = unsaved + log.lose_effects()
        files = unsaved_files + log.lose_files()
        recovery = recovery_message(reason, self.record.generation, self._services.clock.now(), lost, files)
        self._keeper.change(
            state=_State.STATE_CRASHED,
            state_detail=f"{reason}; its state is lost",
            sandbox_id="",
            last_recovery=recovery.SerializeToString(),
        )
        self.events.publish(recovery=recovery)
        self._services.pool.report_lost(sandbox_id, reason)
        self._tasks.start(self._keeper.save_if_possible(), "save")

    def _hang_up(self) -> None:
        link = self.operations.journal.detach(for_good=True)
        if link is not None:
            link.hang_up()

    # What the sandbox says.

    def on_events(self, events: runner_pb2.Events) -> None:
        """See :class:`LinkSink`."""
        self.operations.take_events(events)

    def on_background(self, background: runner_pb2.Background) -> None:
        """See :class:`LinkSink`."""
        self._meter.check(background)
        output = session_pb2.BackgroundOutput(
            stream=background.stream,  # type: ignore[arg-type]
            data=background.data,
            dropped_bytes=background.dropped_bytes,
        )
        self.events.publish(background_output=output)

    def on_interpreter_replaced(self, replaced: runner_pb2.InterpreterReplaced) -> None:
        """See :class:`LinkSink`."""
        self._replaced(self._mirror.replaced(replaced))

    def on_transaction_changed(self, changed: runner_pb2.TransactionChanged) -> None:
        """See :class:`LinkSink`."""
        transaction = self._mirror.transaction_changed(changed, self._keeper.execution_count)
        self._transaction_changed(transaction)

    def _replaced(self, replaced: Replaced) -> None:
        observer, tenant = self._services.observer, self._keeper.tenant
        _log.info(
            "interpreter replaced",
            reason=replaced.reason,
            lost_operations=len(replaced.lost),
            **self._keeper.names(),
        )
        if replaced.execution_count is None:
            self._counts_on = replaced.under
        else:
            self._keeper.change(execution_count=replaced.execution_count)
        if replaced.rewound:
            observer.rolled_back(tenant, "rewind")
        else:
            observer.interpreter_crashed(tenant, replaced.reason)
        if replaced.recovered:
            self._recovered(replaced.reason, list(replaced.lost), [])

    def _transaction_changed(self, transaction: LoggedTransaction) -> None:
        if transaction.ended:
            self._transaction_ended(transaction)
        self._keeper.announce()

    def _transaction_ended(self, transaction: LoggedTransaction) -> None:
        if transaction.state == _Transaction.STATE_ROLLED_BACK:
            if transaction.begin_time_us:
                self._keeper.change(execution_count=transaction.base_count)
            _log.info(
                "transaction rolled back",
                transaction_id=transaction.transaction_id,
                reason=transaction.reason,
                **self._keeper.names(),
            )
        self._services.observer.transaction_ended(
            self._keeper.tenant,
            committed=transaction.state == _Transaction.STATE_COMMITTED,
            reason=transaction.reason,
        )

    def _end_transaction(self, reason: str) -> None:
        """Roll back the transaction that is open, because what it was open in is gone."""
        log = self.operations.log
        current = log.transactions.current
        if current is not None:
            current.reason = reason
            log.end_transaction(current)
            self._transaction_ended(current)

    def _operation_finished(self, operation: execution_pb2.Operation) -> None:
        trace = self._traces.pop(operation.operation_id, "")
        self._keeper.used(self._services.clock.now(), self._count_after(operation))
        try:
            self._services.observer.operation_finished(self._keeper.tenant, operation, trace)
        except Exception:  # noqa: BLE001 - who measures must not keep an operation from ending
            _log.exception("an operation could not be counted", **self._keeper.names())

    def _count_after(self, operation: execution_pb2.Operation) -> int | None:
        """Return the session's execution count now that an operation has ended; None: as it was."""
        entry, number = self.operations.log.get(operation.operation_id), operation.execution_count
        if entry is None or not number:
            return None
        if entry.isolation == transaction_pb2.ISOLATION_NAMESPACE:
            return max(self._keeper.execution_count, number)  # several run at once
        if entry.number < self._counted:
            return None  # its end was fetched late
        self._counted = entry.number
        if entry.outcome in KEPT_EFFECT or entry.outcome == _Operation.OUTCOME_PENDING:
            return number
        if operation.operation_id == self._counts_on:
            return number  # nothing came back, not even the count
        # The count lives in the process: what was rolled back was not counted either.
        return min(self._keeper.execution_count, number - 1)

    def _recovered(self, reason: str, operations: list[str], files: list[str]) -> None:
        now = self._services.clock.now()
        recovery = recovery_message(reason, self.record.generation, now, operations, files)
        self._keeper.change(last_recovery=recovery.SerializeToString())
        self.events.publish(recovery=recovery)
        self._tasks.start(self._keeper.save_if_possible(), "save")
