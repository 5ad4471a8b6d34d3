"""What a session is, and what its sandbox says of it: events, deaths of interpreters, transactions, losses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence

import structlog
from sandbank.v1 import execution_pb2, session_pb2, transaction_pb2
from sandbank_runner.v1 import runner_pb2

from sandbank_server.catalog.base import SessionRecord
from sandbank_server.errors import SessionTerminatedError
from sandbank_server.runners.checks import reason_of
from sandbank_server.sessions.life.background import Tasks
from sandbank_server.sessions.life.background_meter import BackgroundMeter
from sandbank_server.sessions.life.events import SessionEvents
from sandbank_server.sessions.life.reattach import Breaks
from sandbank_server.sessions.life.record_keeper import RecordKeeper
from sandbank_server.sessions.log.entry import KEPT_EFFECT
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.log.transaction_ledger import ASKED_FOR, LoggedTransaction
from sandbank_server.sessions.operations.mirror import Mirror, Replaced
from sandbank_server.sessions.operations.operations import Operations
from sandbank_server.sessions.ports import SessionServices
from sandbank_server.sessions.recovery.deaths import Loss, recovery_message, tells_of

_Operation = execution_pb2.Operation
_Transaction = transaction_pb2.Transaction
_log = structlog.get_logger("sandbank.session")


class SessionCore:
    """One session's record, operations and transactions. Implements ``runners.link.LinkSink``."""

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
        return self._keeper.state == session_pb2.Session.STATE_TERMINATED

    @property
    def served_by(self) -> tuple[str, int]:
        """Its sandbox and its generation: the interpreter's state is that of before only where both are the same."""
        return self.record.sandbox_id, self.record.generation

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
            self._recovered(
                replaced.reason, self._loss_of(replaced.lost) + Loss(variables=replaced.lost_sets)
            )

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

    def _recovered(self, reason: str, loss: Loss) -> None:
        now = self._services.clock.now()
        recovery = recovery_message(reason, self.record.generation, now, loss)
        self._keeper.change(last_recovery=recovery.SerializeToString())
        self.events.publish(recovery=recovery)
        self._tasks.start(self._keeper.save_if_possible(), "save")

    def _loss_of(self, operation_ids: Sequence[str], files: Sequence[str] = ()) -> Loss:
        """Return what goes with the effects of operations; ``files`` where the workspace went too."""
        gone = self.operations.log.gone_with(operation_ids)
        return Loss(operation_ids, gone.variables, files, gone.more)

    # After a greeting.

    def _learn(self, hello: runner_pb2.Hello) -> None:
        learned = self._mirror.learn(hello, self.record.execution_count)
        for transaction in learned.changed:
            self._transaction_changed(transaction)
        if learned.replaced is not None:
            self._replaced(learned.replaced)
        if learned.replaced is None or not learned.replaced.recovered:
            unsaved = self._unsaved_loss()
            if unsaved:
                self._recovered(reason_of(hello.last_replaced.reason), unsaved)

    def _unsaved_loss(self) -> Loss:
        """Return a loss that is in the log, but was not in the catalog before a kill."""
        log = self.operations.log
        if tells_of(self.record.last_recovery, log.last_loss, log.last_lost_files, log.set.last_lost):
            return Loss()
        return self._loss_of(log.last_loss, log.last_lost_files) + Loss(variables=log.set.last_lost)
