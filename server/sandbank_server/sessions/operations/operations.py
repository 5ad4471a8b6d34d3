"""The operations of one session: submitted once, watched by anybody, ended whatever dies.

Everything that decides is synchronous. What is known lives in three places: the operation log (always), the window of
a :class:`LiveOperation` (while it is queued or runs), the journal in the sandbox (while that lives).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import datetime

from sandbank.v1 import execution_pb2
from sandbank_runner.v1 import runner_pb2

from sandbank_server.errors import (
    OperationIdReusedError,
    OperationNotFoundError,
    OperationQueueFullError,
    SandboxLostBeforeStartError,
    SessionBusyError,
)
from sandbank_server.runners.checks import check_event, parse_operation
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.runners.link import LinkClosed, RequestFailed, RunnerLink
from sandbank_server.sessions.log.entry import LogEntry, Terms
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.log.state import USUAL_TERMS
from sandbank_server.sessions.log.transaction_ledger import ASKED_FOR
from sandbank_server.sessions.operations.cursor import Cursor
from sandbank_server.sessions.operations.held_ends import HeldEnds
from sandbank_server.sessions.operations.journal_reader import JournalReader
from sandbank_server.sessions.operations.live_operation import LastEvent, LiveOperation, finished_event
from sandbank_server.sessions.operations.submission import Submission

_Operation = execution_pb2.Operation


class Operations:
    """The operations of one session."""

    def __init__(
        self,
        session_id: str,
        log: OperationLog,
        queue_limit: int,
        now: Callable[[], datetime],
        on_finished: Callable[[execution_pb2.Operation], None],
    ) -> None:
        self.session_id = session_id
        self.log = log
        self.live: dict[str, LiveOperation] = {}
        self.journal = JournalReader(session_id)
        self._queue_limit = queue_limit
        self._now = now
        self._on_finished = on_finished
        self.hold_back: Callable[[execution_pb2.Operation], bool] = lambda _operation: False
        """Asked of each Finished that a sandbox sends: whether it waits for :meth:`release`."""
        self.held = HeldEnds(log)

    @property
    def link(self) -> RunnerLink | None:
        """The link to the sandbox, None while there is none."""
        return self.journal.link

    # Submitting.

    def known(self, submission: Submission) -> LogEntry | None:
        """Return the entry of an operation that this submission repeats, None when the id is new.

        :class:`OperationIdReusedError` when the id stands for another request.
        """
        entry = self.log.get(submission.operation_id)
        if entry is not None and entry.digest != submission.digest():
            raise OperationIdReusedError(
                f"operation id {submission.operation_id} was used with another request",
                resource=submission.operation_id,
            )
        return entry

    def submit(self, submission: Submission, terms: Terms = USUAL_TERMS) -> LiveOperation:
        """Record and send a new operation.

        When this raises, nothing was recorded and the same id may be used again:
        :class:`OperationQueueFullError`, :class:`SandboxLostBeforeStartError`, and what the log raises.
        """
        if len(self.live) > self._queue_limit:
            raise OperationQueueFullError(
                f"{self._queue_limit} operations are queued in this session already", retry_delay=0.1
            )
        link = self.journal.link
        if link is None or link.closed.is_set():
            raise SandboxLostBeforeStartError("the sandbox was lost; nothing was run", retry_delay=0.2)
        now = self._now()
        created = int(now.timestamp()) * 1_000_000 + now.microsecond
        self.log.dispatch(submission.operation_id, submission.digest(), created, terms)
        try:
            link.submit(submission.message(terms, now))
        except LinkClosed as error:
            self.log.withdraw(submission.operation_id)
            raise SandboxLostBeforeStartError(
                "the sandbox was lost; nothing was run", retry_delay=0.2
            ) from error
        live = LiveOperation(submission.operation_id)
        self.live[submission.operation_id] = live
        return live

    # What the sandbox says.

    def take_events(self, events: runner_pb2.Events) -> None:
        """Check and take in pushed events. :class:`RunnerViolation` when they are not what they must be."""
        live = self.live.get(events.operation_id)
        if live is None:
            entry = self.log.get(events.operation_id)
            if entry is not None and entry.finished:
                return  # pushed again after a reconnection
            raise RunnerViolation("events of an operation that was never submitted")
        sequence = events.first_sequence
        try:
            for data in events.events:
                if sequence > live.last:
                    self._take_event(live, data, sequence, with_end=events.finished)
                sequence += 1
        finally:
            live.wake()

    def _take_event(self, live: LiveOperation, data: bytes, sequence: int, *, with_end: bool) -> None:
        if live.finished or sequence != live.last + 1:
            raise RunnerViolation(f"event {sequence} after {live.last}")
        if live.operation_id in self.held:
            return  # told again after a reconnection
        event = check_event(data, self.session_id, live.operation_id, sequence)
        if not live.started and event.HasField("started"):
            live.started = True
            if not with_end:
                self.log.start(live.operation_id)
        if event.HasField("finished"):
            self._check_end(event.finished.operation)
            self._end(live, event, data)
        else:
            live.push(data)

    def _end(self, live: LiveOperation, event: execution_pb2.OperationEvent, data: bytes) -> None:
        if self.hold_back(event.finished.operation):
            self.held.hold(event)
        else:
            self._finish(live, event.finished.operation, data)

    def release(
        self, operation_id: str, checkpoint_id: str, warning: execution_pb2.Warning | None = None
    ) -> None:
        """Let go of a Finished that was held back: its effects are durable, or it is said that they are not.

        Nothing where the operation has ended otherwise meanwhile, because its sandbox went.
        """
        event, live = self.held.pop(operation_id), self.live.get(operation_id)
        if event is None or live is None:
            return
        operation = event.finished.operation
        operation.durable_checkpoint_id = checkpoint_id
        if self.log.is_gone(operation_id):
            operation.outcome = self.entry(operation_id).outcome
        if warning is not None:
            operation.warnings.append(warning)
        self._finish(live, operation, event.SerializeToString())
        live.wake()

    def _check_end(self, operation: execution_pb2.Operation) -> None:
        entry = self.entry(operation.operation_id)
        if operation.transaction_id != entry.transaction_id:
            raise RunnerViolation("an operation of another transaction than it was sent with")
        if operation.outcome == _Operation.OUTCOME_PENDING:
            transaction = self.log.transactions.get(entry.transaction_id)
            if transaction is None or transaction.state == ASKED_FOR:
                raise RunnerViolation("an operation that is PENDING without an open transaction")

    def _finish(self, live: LiveOperation, operation: execution_pb2.Operation, data: bytes) -> None:
        # The log first: whoever sees Finished may rely on GetOperation ever after.
        self.log.finish(operation, live.last + 1 if live.placed else 0)
        live.push(LastEvent(data), finished=True)
        self.live.pop(live.operation_id, None)
        self._on_finished(operation)

    # Losing and finding the sandbox.

    def resynchronise(self, hello: runner_pb2.Hello) -> list[str]:
        """Match what is unfinished here with what a sandbox found again says it knows.

        Returns the ids whose end is to be fetched by `settling`: those that finished meanwhile, and those that
        the greeting does not tell of, because the sandbox never got them or has dropped their events. Synchronous, so
        that it can come before anything that is pushed. :class:`RunnerViolation` for a journal that takes back what
        it told.
        """
        known = {summary.operation_id: summary for summary in hello.operations}
        unsettled = []
        for name, entry in list(self.log.unfinished()):
            summary = known.get(name)
            live = self._recall(name, entry)
            if summary is None:
                unsettled.append(name)
                continue
            if summary.last_sequence < live.last:
                raise RunnerViolation("the journal went backwards")
            live.placed = True
            if summary.last_sequence and not live.started:
                live.started = True
                self.log.start(name)
            if summary.finished:
                unsettled.append(name)
            else:
                live.skip_to(summary.last_sequence)
            live.wake()
        return unsettled

    def never_received(self, live: LiveOperation) -> None:
        """End an operation that the sandbox does not know: it was on its way when the link broke."""
        self._end_unheard(live, "the sandbox never received it", started=False, known=not live.started)

    def finish_unheard(self, live: LiveOperation, operation: execution_pb2.Operation, last: int) -> None:
        """End an operation as the sandbox says it ended, whose events up to sequence ``last`` are dropped."""
        if not live.finished:
            self._check_end(operation)
            live.skip_to(last - 1)
            data = finished_event(operation, live.last + 1, self._now())
            self._end(live, execution_pb2.OperationEvent.FromString(data), data)
            live.wake()

    def end_all(self, reason: str, state: _Operation.State = _Operation.STATE_CRASHED) -> None:
        """End everything that is queued or runs, because its sandbox is gone: each still gets its Finished."""
        for name in self.held.saved():
            self.release(name, self.log.saved_in(name))
        for name, entry in list(self.log.unfinished()):
            live = self._recall(name, entry)
            self._end_unheard(live, reason, state=state, started=live.started)
        self.held.clear()

    def _recall(self, operation_id: str, entry: LogEntry) -> LiveOperation:
        known = self.live.get(operation_id)
        if known is None:
            known = self.live[operation_id] = LiveOperation(operation_id, started=entry.started, placed=False)
        return known

    def _end_unheard(
        self,
        live: LiveOperation,
        reason: str,
        *,
        state: _Operation.State = _Operation.STATE_CRASHED,
        started: bool,
        known: bool = True,
    ) -> None:
        if live.finished:
            return
        operation = self.log.operation(live.operation_id)
        operation.state = state
        operation.outcome = _Operation.OUTCOME_ROLLED_BACK if started else _Operation.OUTCOME_NOT_STARTED
        if not known:
            operation.outcome = _Operation.OUTCOME_UNKNOWN
        operation.end_time.FromDatetime(self._now())
        if (end := self.log.saved_end(live.operation_id)) is not None:
            # Nobody was told before the control plane was killed, but a checkpoint has what it did.
            operation.state, operation.outcome = end
            operation.durable_checkpoint_id = self.log.saved_in(live.operation_id)
        else:
            operation.error.type_name = "SandboxLost" if state == _Operation.STATE_CRASHED else "Cancelled"
            operation.error.message = reason
        self._finish(live, operation, finished_event(operation, live.last + 1, self._now()))
        live.wake()

    # Watching.

    def watch(
        self, operation_id: str, after: int = 0, *, lenient: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """Yield the serialized events after ``after`` and those to come, up to Finished.

        :class:`EventsEvictedError` when they are gone; with ``lenient`` what is left is Finished alone then, which is
        what somebody who repeats a request wants to know.
        """
        return self.cursor(operation_id, after, lenient=lenient).events()

    def cursor(self, operation_id: str, after: int = 0, *, lenient: bool = False) -> Cursor:
        """Return a place in an operation's events (see :class:`Cursor`)."""
        # Looked up now: by the time that the first event is asked for the operation may have ended.
        live = self.live.get(operation_id)
        return Cursor(operation_id, live, self.journal, self.log, after, lenient=lenient)

    # Reading and cancelling.

    def entry(self, operation_id: str) -> LogEntry:
        """Return what the log has of an operation. :class:`OperationNotFoundError`."""
        entry = self.log.get(operation_id)
        if entry is None:
            raise OperationNotFoundError(
                f"no operation {operation_id} in this session", resource=operation_id
            )
        return entry

    async def get(self, operation_id: str) -> execution_pb2.Operation:
        """Return an operation as it is now: in full while its sandbox lives, else as the log can tell it."""
        entry = self.entry(operation_id)
        link = self.link
        if link is not None:
            try:
                reply = await link.request(get_operation=runner_pb2.GetOperation(operation_id=operation_id))
                return self._as_now(parse_operation(reply.operation, self.session_id, operation_id), entry)
            except RunnerViolation as error:
                link.violate(error)
            except (LinkClosed, TimeoutError, RequestFailed):
                pass  # evicted from the journal, or gone with its sandbox
        return self.log.operation(operation_id)

    def page(self, before: int, count: int) -> list[execution_pb2.Operation]:
        """Return up to ``count`` operations numbered below ``before``, the newest first, as the log can tell them."""
        return [self.log.operation(name) for name, _ in self.log.newest_first(before, count)]

    async def cancel(self, operation_id: str) -> execution_pb2.Operation:
        """Record the wish to end an operation and return it as it is now; of a finished one, that one."""
        entry = self.entry(operation_id)
        if entry.finished:
            return await self.get(operation_id)
        link = self.link
        if link is None:
            raise SessionBusyError("the sandbox is being looked for; try again", retry_delay=0.5)
        try:
            reply = await link.request(cancel=runner_pb2.Cancel(operation_id=operation_id))
            return self._as_now(parse_operation(reply.operation, self.session_id, operation_id), entry)
        except RunnerViolation as error:
            link.violate(error)
        except (LinkClosed, TimeoutError, RequestFailed):
            pass
        if entry.finished:
            return self.log.operation(operation_id)
        raise SessionBusyError("the sandbox is being looked for; try again", retry_delay=0.5)

    def _as_now(self, operation: execution_pb2.Operation, entry: LogEntry) -> execution_pb2.Operation:
        if entry.finished:
            # The log is the truth about outcomes: a later loss is recorded there only.
            operation.state = entry.state
            operation.outcome = entry.outcome
            operation.durable_checkpoint_id = self.log.durable_checkpoint_of(entry)
        return operation

    def check_invariants(self) -> None:
        """Assert what must always hold between two events."""
        unfinished = {name for name, _ in self.log.unfinished()}
        assert set(self.live) == unfinished, (set(self.live), unfinished)
        for live in self.live.values():
            assert not live.finished
            live.check_invariants()


def detached_operations(log: OperationLog, now: Callable[[], datetime]) -> Operations:
    """Return the operations of a session that has ended, for reading: there is no sandbox any more."""
    operations = Operations(log.session_id, log, 0, now, lambda _operation: None)
    operations.journal.detach(for_good=True)
    # Where the disk refused their end to the last: there is nothing left that they could run in.
    operations.end_all("its session has ended", _Operation.STATE_CANCELLED)
    if (current := log.transactions.current) is not None:
        log.end_transaction(current)
    return operations
