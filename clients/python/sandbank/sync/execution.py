"""One operation as a client holds it."""

from __future__ import annotations

from collections.abc import Iterator

from sandbank import calls
from sandbank.events import Event
from sandbank.facade import ExecutionBase
from sandbank.follow import Follower
from sandbank.results import Callbacks, Result
from sandbank.sync.transport import Transport
from sandbank.v1 import execution_pb2


class Execution(ExecutionBase):
    """An operation that runs, or ran: iterate over its events, or wait for its result.

    It is sent when its events or its result are first asked for. Its events can be had once from one
    Execution; `Session.watch` gives another from any point. Leaving the loop early does not stop the
    operation: `cancel` does.
    """

    def __init__(self, transport: Transport, follower: Follower) -> None:
        super().__init__(follower)
        self._transport = transport
        self._events = transport.follow(follower)

    def __iter__(self) -> Iterator[Event]:
        for event in self._events:
            self._fold.feed(event)
            yield event

    def result(self, *, check: bool = True, callbacks: Callbacks | None = None) -> Result:
        """Wait for the end and return the result; what was seen before, by iterating, is in it.

        Raises ExecutionFailed with `check` where the code did not succeed.
        """
        self._fold.callbacks = callbacks or self._fold.callbacks
        for _ in self:
            pass
        result = self._fold.result
        if result is None:  # closed before the end: only the operation itself can still be had
            result = Result(self.operation(), complete=False)
        return result.checked() if check else result

    def operation(self) -> execution_pb2.Operation:
        """Read the operation as the server has it now."""
        return self._transport.call(calls.get_operation(self.session_id, self.operation_id))

    def cancel(self) -> execution_pb2.Operation:
        """Ask for it to stop; the events tell when it has."""
        return self._transport.call(calls.cancel_operation(self.session_id, self.operation_id))

    def close(self) -> None:
        """Stop receiving; the operation goes on."""
        self._events.close()
