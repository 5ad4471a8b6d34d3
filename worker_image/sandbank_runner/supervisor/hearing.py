"""What comes out of an interpreter while operations run: told as theirs, or dropped and counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sandbank_runner.channel import Message
from sandbank_runner.supervisor.background import BackgroundOutput
from sandbank_runner.supervisor.change_messages import with_changes
from sandbank_runner.supervisor.interpreter_messages import (
    BadMessage,
    Done,
    parse_display,
    parse_done,
    parse_output,
)
from sandbank_runner.supervisor.interpreter_process import Interpreter
from sandbank_runner.supervisor.operations import Isolation
from sandbank_runner.supervisor.reporting import Reporter, Running


class Hearing:
    """``running`` is the dispatcher's; ``done`` gets the end of an operation."""

    def __init__(
        self,
        running: Mapping[str, Running],
        reporter: Reporter,
        background: BackgroundOutput,
        done: Callable[[Running, Done], None],
    ) -> None:
        self.dropped_messages = 0
        self._running = running
        self._reporter = reporter
        self._background = background
        self._done = done

    def output(self, stream: int, data: bytes) -> None:
        """User code wrote: it is the running operation's, or nobody's. Where several run it goes to the oldest."""
        running = next(iter(self._running.values()), None)
        if running is None:
            self._background.output(stream, data)
        else:
            self._reporter.output(running.record, stream, data, unattributed=len(self._running) > 1)

    def said(self, interpreter: Interpreter, message: Message) -> None:
        """The interpreter tells of an operation; what does not fit is dropped."""
        operation_id = message.header.get("operation")
        running = self._running.get(operation_id) if isinstance(operation_id, str) else None
        if (
            running is None
            or running.interpreter is not interpreter
            or running.done is not None
            or interpreter.killed_for  # its state is as good as gone, whatever it had still reached
        ):
            self.dropped_messages += 1
            return
        try:
            if not self._take(running, message):
                self.dropped_messages += 1
        except BadMessage:
            self.dropped_messages += 1

    def _take(self, running: Running, message: Message) -> bool:
        kind = message.header.get("type")
        if kind == "done":
            done = parse_done(message)
            operation = running.record.operation
            if operation.report_changes:
                done = with_changes(done, message, operation.change_count)
            self._done(running, done)
        elif kind == "display":
            self._reporter.display(running.record, parse_display(message))
        elif kind == "output" and running.record.operation.isolation is Isolation.NAMESPACE:
            self._reporter.told_output(running.record, *parse_output(message))
        elif kind == "input_request":
            self._reporter.input_request(running.record, running.inputs.asked(message))
        elif kind == "input_withdrawn":
            running.inputs.withdrawn(message)
        else:
            return False
        return True
