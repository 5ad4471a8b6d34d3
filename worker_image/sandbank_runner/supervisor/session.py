"""The session that a sandbox is given to, once in its life."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sandbank_runner.supervisor.background import BackgroundOutput
from sandbank_runner.supervisor.dispatcher import Dispatcher
from sandbank_runner.supervisor.events import EventBuilder
from sandbank_runner.supervisor.interpreter_process import Interpreter
from sandbank_runner.supervisor.interpreters import RESET, Interpreters
from sandbank_runner.supervisor.journal import JOURNAL_BYTES, JOURNAL_OPERATIONS, Journal, Page
from sandbank_runner.supervisor.operations import Operation
from sandbank_runner.supervisor.publisher import EventPublisher
from sandbank_runner.v1.runner_pb2 import Assign, FromRunner, Hello, InterpreterReplaced, Submit

QUEUE_LIMIT = 64
GRACE_SECONDS = 2.0

_LONGEST_TIMEOUT_SECONDS = 24 * 3600.0


class Session:
    """Journal, queue and interpreters put together. ``tell`` sends a message if somebody listens."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        assign: Assign,
        interpreters: Interpreters,
        *,
        publisher: EventPublisher,
        tell: Callable[[FromRunner], bool],
        now: Callable[[], int],
    ) -> None:
        self.assign = assign
        self.last_replaced: InterpreterReplaced | None = None
        self.journal = Journal(
            assign.journal_bytes or JOURNAL_BYTES, assign.journal_operations or JOURNAL_OPERATIONS
        )
        self.background = BackgroundOutput(tell, loop.time)
        self._events = EventBuilder(assign.session_id)
        self._publisher = publisher
        self._interpreters = interpreters
        self._tell = tell
        self._now = now
        grace = assign.interrupt_grace
        self.dispatcher = Dispatcher(
            loop,
            interpreters,
            journal=self.journal,
            events=self._events,
            publisher=publisher,
            background=self.background,
            now=now,
            on_death=self._interpreter_died,
            queue_limit=assign.queue_limit or QUEUE_LIMIT,
            grace=grace.seconds + grace.nanos / 1e9 if assign.HasField("interrupt_grace") else GRACE_SECONDS,
        )
        interpreters.listener = self.dispatcher
        interpreters.set_environment({**assign.env, **assign.secret_env})

    @property
    def queued_count(self) -> int:
        """Operations that wait or run."""
        return len(self.dispatcher.queue) + (self.dispatcher.running is not None)

    def submit(self, submit: Submit) -> None:
        """Queue an operation. ValueError where it has no id or no sensible bounds."""
        timeout = submit.timeout.seconds + submit.timeout.nanos / 1e9
        if (
            not submit.operation_id
            or not 0 < timeout <= _LONGEST_TIMEOUT_SECONDS
            or submit.max_output_bytes < 0
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
            )
        )

    def cancel(self, operation_id: str) -> bytes | None:
        """Wish an operation to end; return it as it is then, None where it is not known."""
        record = self.journal.find(operation_id)
        if record is not None:
            self.dispatcher.cancel(record.operation)
        return self.operation(operation_id)

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
        self.dispatcher.cancel_all()
        return self._interpreters.replace(before_next)

    def describe(self, hello: Hello) -> None:
        """Tell in ``hello`` what there is to know of the session."""
        hello.session_id = self.assign.session_id
        hello.execution_count = self.dispatcher.execution_count
        hello.background_sequence = self.background.sequence
        if self.last_replaced is not None:
            hello.last_replaced.CopyFrom(self.last_replaced)
        for record in self.journal.records:
            hello.operations.add(
                operation_id=record.operation.operation_id,
                finished=record.ended,
                last_sequence=record.last_sequence,
                first_kept_sequence=record.first_kept,
                effects_lost=record.operation.effects_lost,
            )

    def catch_up(self, hello: Hello) -> bool:
        """Tell what has happened since ``hello``; False where the journal has dropped some of it meanwhile."""
        if self.last_replaced is not None and self.last_replaced.number > hello.last_replaced.number:
            self._tell(FromRunner(interpreter_replaced=self.last_replaced))
        seen = {summary.operation_id: summary.last_sequence for summary in hello.operations}
        return all(
            self._publisher.catch_up(record, seen.get(record.operation.operation_id, 0))
            for record in self.journal.records
        )

    def _interpreter_died(self, interpreter: Interpreter, cause: str, operation_id: str) -> None:
        if interpreter.killed_for == RESET:
            return  # that its state is gone is what was asked for
        self.journal.lose(interpreter.generation)
        self._publisher.flush()
        self.last_replaced = InterpreterReplaced(
            operation_id=operation_id,
            reason=cause,
            state_lost=True,
            number=(self.last_replaced.number if self.last_replaced else 0) + 1,
        )
        self._tell(FromRunner(interpreter_replaced=self.last_replaced))
