"""The session that a sandbox is given to, once in its life."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from google.protobuf.duration_pb2 import Duration

from sandbank_runner.supervisor.background import BackgroundOutput
from sandbank_runner.supervisor.checkpoints import Checkpoints
from sandbank_runner.supervisor.dispatcher import Dispatcher, Settings
from sandbank_runner.supervisor.events import EventBuilder
from sandbank_runner.supervisor.exports import Exports
from sandbank_runner.supervisor.inputs import TEXT_BYTES
from sandbank_runner.supervisor.interpreter_process import Environment
from sandbank_runner.supervisor.interpreters import Interpreters
from sandbank_runner.supervisor.journal import JOURNAL_BYTES, JOURNAL_OPERATIONS, Journal, Page
from sandbank_runner.supervisor.ledger import Ledger
from sandbank_runner.supervisor.operations import Isolation, Operation, Policy, Terms
from sandbank_runner.supervisor.publisher import EventPublisher
from sandbank_runner.supervisor.queue import Begin, Finish, Import
from sandbank_runner.supervisor.reader_messages import LONGEST_PREVIEW
from sandbank_runner.supervisor.reads import PREVIEW_CHARACTERS, Reads
from sandbank_runner.supervisor.refusals import Refusal
from sandbank_runner.supervisor.reporting import Reporter
from sandbank_runner.supervisor.restoring import Restoring
from sandbank_runner.supervisor.snapshots import SnapshotSettings
from sandbank_runner.supervisor.state_connections import StateConnections
from sandbank_runner.supervisor.transactions import Transaction
from sandbank_runner.supervisor.visible_states import VisibleStates
from sandbank_runner.supervisor.workspace import WORKSPACE_COPY_BYTES
from sandbank_runner.v1.runner_pb2 import (
    Assign,
    BeginTransaction,
    EndTransaction,
    FromRunner,
    Hello,
    ImportVariable,
    ProvideInput,
    StateResult,
    Submit,
)

QUEUE_LIMIT = 64
CHANGE_COUNT = 1000
GRACE_SECONDS = 2.0
QUIET_SECONDS = 0.05
LARGEST_HISTORY = 64
"""Snapshots kept for Rewind at most: each is a process."""

_LONGEST_TIMEOUT_SECONDS = 24 * 3600.0


class Session:
    """Journal, queue and interpreters put together. ``tell`` sends a message if somebody listens."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        assign: Assign,
        interpreters: Interpreters,
        *,
        connections: StateConnections,
        publisher: EventPublisher,
        tell: Callable[[FromRunner], bool],
        now: Callable[[], int],
    ) -> None:
        self.assign = assign
        self.journal = Journal(
            assign.journal_bytes or JOURNAL_BYTES, assign.journal_operations or JOURNAL_OPERATIONS
        )
        self.background = BackgroundOutput(tell, loop.time)
        self._events = EventBuilder(assign.session_id)
        self._publisher = publisher
        self._connections = connections
        self._now = now
        self.ledger = Ledger(assign.session_id, self.journal, tell, now)
        interpreters.snapshots.settings = SnapshotSettings(
            disabled=assign.snapshots_disabled,
            history=min(max(assign.snapshot_history, 0), LARGEST_HISTORY),
            quiet_seconds=_seconds(assign.quiet_time) if assign.HasField("quiet_time") else QUIET_SECONDS,
        )
        grace = _seconds(assign.interrupt_grace) if assign.HasField("interrupt_grace") else GRACE_SECONDS
        interpreters.workspace.limit = assign.workspace_copy_bytes or WORKSPACE_COPY_BYTES
        self.dispatcher = Dispatcher(
            loop,
            interpreters,
            Settings(queue_limit=assign.queue_limit or QUEUE_LIMIT, grace_seconds=grace),
            connections=connections,
            journal=self.journal,
            ledger=self.ledger,
            reporter=Reporter(loop, self.journal, self._events, publisher, now),
            background=self.background,
            now=now,
        )
        visible = VisibleStates(self.ledger, interpreters, self.dispatcher.running)
        self.reads = Reads(loop, visible, interpreters, max(assign.preview_chars, 0))
        self.checkpoints = Checkpoints(
            loop, connections, visible, self.dispatcher.moments, interpreters, self.ledger.effects
        )
        self.exports = Exports(loop, connections, visible, interpreters, self._preview_characters)
        self.restoring = Restoring(
            connections, interpreters.candidates, self.dispatcher, interpreters.workspace.undo_restores
        )
        interpreters.listener = self.dispatcher
        interpreters.set_environment(
            Environment({**assign.env, **assign.secret_env}, tuple(assign.secret_env), assign.recompute)
        )

    @property
    def _preview_characters(self) -> int:
        return min(max(self.assign.preview_chars, 0), LONGEST_PREVIEW) or PREVIEW_CHARACTERS

    @property
    def queued_count(self) -> int:
        """Operations that wait or run."""
        return len(self.dispatcher.queue) + len(self.dispatcher.running)

    def submit(self, submit: Submit) -> None:
        """Queue an operation. ValueError where it has no id or no sensible bounds."""
        timeout = _seconds(submit.timeout)
        if (
            not submit.operation_id
            or not 0 < timeout <= _LONGEST_TIMEOUT_SECONDS
            or submit.max_output_bytes < 0
            or (submit.HasField("begin") and submit.begin.transaction_id != submit.transaction_id)
        ):
            raise ValueError("malformed Submit")
        created = submit.create_time
        self.dispatcher.submit(
            Operation(
                operation_id=submit.operation_id,
                code=submit.code.encode(),
                timeout=timeout,
                max_output_bytes=submit.max_output_bytes,
                create_time=created.seconds * 1_000_000_000 + created.nanos or self._now(),
                traceparent=submit.traceparent,
                policy=Policy(submit.tx_policy or Policy.NONE),
                isolation=Isolation(submit.isolation or Isolation.PROCESS),
                transaction_id=submit.transaction_id,
                begins=_terms(submit.begin) if submit.HasField("begin") else None,
                include_files=submit.include_files,
                allow_input=submit.allow_input,
                report_changes=submit.report_changes,
                change_count=max(self.assign.change_count, 0) or CHANGE_COUNT,
                preview_characters=self._preview_characters,
            )
        )

    def begin(self, begin: BeginTransaction, answer: Callable[[bytes | Refusal], None]) -> None:
        """Open a transaction in its turn; ``answer`` gets it serialized. ValueError where it has no id or bounds."""
        if not begin.transaction_id:
            raise ValueError("malformed BeginTransaction")
        self.dispatcher.arrange(Begin(begin.transaction_id, _terms(begin), self._serializing(answer)))

    def end(self, end: EndTransaction, answer: Callable[[bytes | Refusal], None]) -> None:
        """End a transaction in its turn; likewise."""
        if not end.transaction_id:
            raise ValueError("malformed EndTransaction")
        self.dispatcher.arrange(Finish(end.transaction_id, end.commit, self._serializing(answer)))

    def rewind(self, operation_id: str) -> Refusal | Awaitable[Refusal | None] | None:
        """Go back to the state right after an operation; None where it is not known."""
        record = self.journal.find(operation_id)
        return None if record is None else self.dispatcher.rewind(record.operation)

    def cancel(self, operation_id: str) -> bytes | None:
        """Wish an operation to end; return it as it is then, None where it is not known."""
        record = self.journal.find(operation_id)
        if record is not None:
            self.dispatcher.cancel(record.operation)
        return self.operation(operation_id)

    def provide_input(self, answer: ProvideInput) -> bool | None:
        """Answer a question; False where its operation does not wait for that, None where it is not known.

        ValueError where there is no answer, or one that is too long.
        """
        kind = answer.WhichOneof("reply")
        if kind is None or len(answer.text.encode()) > TEXT_BYTES:
            raise ValueError("malformed ProvideInput")
        if self.journal.find(answer.operation_id) is None:
            return None
        text = answer.text if kind == "text" else None
        return self.dispatcher.provide_input(answer.operation_id, answer.input_id, text)

    def operation(self, operation_id: str) -> bytes | None:
        """Return a serialized ``sandbank.v1.Operation``, None where it is not known."""
        record = self.journal.find(operation_id)
        return None if record is None else self._events.operation_now(record)

    def fetch(self, operation_id: str, after_sequence: int, max_bytes: int) -> Page | None:
        """Return journalled events of an operation, None where it is not known."""
        return self.journal.page(operation_id, after_sequence, max_bytes)

    def reset(self, before_next: Callable[[], Awaitable[None]]) -> Awaitable[None]:
        """Cancel everything now and replace the interpreter by a pristine one; what is returned waits for it.

        What is submitted from now on runs in the fresh one.
        """
        return self.dispatcher.reset(before_next)

    def import_variable(
        self, request: ImportVariable, answer: Callable[[StateResult | Refusal], None]
    ) -> None:
        """Bind a variable when everything before it has ended; ``answer`` is told."""

        def answered(found: StateResult | Refusal) -> None:
            self._connections.unname(request.token)
            answer(found)

        self._connections.name(request.token)
        self.dispatcher.arrange(Import(request, answered, self._preview_characters))

    def describe(self, hello: Hello) -> None:
        """Tell in ``hello`` what there is to know of the session."""
        hello.session_id = self.assign.session_id
        hello.background_sequence = self.background.sequence
        self.ledger.describe(hello)
        for record in self.journal.records:
            hello.operations.add(
                operation_id=record.operation.operation_id,
                finished=record.ended,
                last_sequence=record.last_sequence,
                first_kept_sequence=record.first_kept,
                effects_lost=record.operation.effects_lost,
                outcome=int(record.operation.outcome),
            )

    def catch_up(self, hello: Hello) -> bool:
        """Tell what has happened since ``hello``; False where only another greeting can.

        That is where the journal has dropped some of it meanwhile, and where the session went back or a transaction
        changed: told one after the other, outcomes and the ends of operations would not be in their order.
        """
        if not self.ledger.is_told_in(hello):
            return False
        seen = {summary.operation_id: summary.last_sequence for summary in hello.operations}
        return all(
            self._publisher.catch_up(record, seen.get(record.operation.operation_id, 0))
            for record in self.journal.records
        )

    def _serializing(
        self, answer: Callable[[bytes | Refusal], None]
    ) -> Callable[[Transaction | Refusal], None]:
        def serialize(found: Transaction | Refusal) -> None:
            if isinstance(found, Transaction):
                answer(found.message(self.assign.session_id).SerializeToString())
            else:
                answer(found)

        return serialize


def _seconds(duration: Duration) -> float:
    return float(duration.seconds + duration.nanos / 1e9)


def _terms(begin: BeginTransaction) -> Terms:
    """Return what BeginTransaction says. ValueError where there is no idle time to count."""
    idle = _seconds(begin.idle_timeout)
    if not 0 < idle <= _LONGEST_TIMEOUT_SECONDS:
        raise ValueError("malformed BeginTransaction")
    return Terms(idle, begin.include_files)
