"""One operation as a client holds it."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator

from sandbank import calls, requests
from sandbank.errors import SandbankError
from sandbank.events import Event, InputRequested
from sandbank.facade import ExecutionBase
from sandbank.follow import Follower
from sandbank.reasons import NotWaitingForInput
from sandbank.results import Callbacks, InputCallback, Result
from sandbank.sync.transport import Transport
from sandbank.v1 import execution_pb2


class Running(ExecutionBase, ABC):
    """An operation that runs, or ran: iterate over its events, or wait for its result.

    Its events can be had once from one object; `Session.watch` gives another from any point. Leaving the loop
    early does not stop the operation: `cancel` does.
    """

    def __init__(self, transport: Transport, follower: Follower, events: Iterator[Event]) -> None:
        super().__init__(follower)
        self._transport = transport
        self._events = events

    def __iter__(self) -> Iterator[Event]:
        for event in self._events:
            self._fold.feed(event)
            yield event

    def result(
        self,
        *,
        check: bool = True,
        callbacks: Callbacks | None = None,
        input: InputCallback | None = None,  # noqa: A002 - what it stands for in the session
    ) -> Result:
        """Wait for the end and return the result; what was seen before, by iterating, is in it.

        `input` answers the code's `input()`, where it was sent with `allow_input`. Raises ExecutionFailed with
        `check` where the code did not succeed, or its effects could not be merged.
        """
        self._fold.callbacks = callbacks or self._fold.callbacks
        for event in self:
            if input is not None and isinstance(event, InputRequested):
                self._answer(event, input)
        result = self._fold.result
        if result is None:  # closed before the end: only the operation itself can still be had
            result = Result(self.operation(), complete=False)
        return result.checked() if check else result

    def operation(self) -> execution_pb2.Operation:
        """Read the operation as the server has it now."""
        return self._transport.call(calls.get_operation(self.session_id, self.operation_id))

    @abstractmethod
    def cancel(self) -> execution_pb2.Operation | None:
        """Ask for it to stop; the events tell when it has."""

    @abstractmethod
    def provide_input(self, input_id: str, text: str | None) -> None:
        """Answer an InputRequested with a line (without its end), or with the end of the input for None."""

    def _answer(self, asked: InputRequested, ask: InputCallback) -> None:
        try:
            self.provide_input(asked.input_id, ask(asked.prompt, asked.password))
        except NotWaitingForInput:
            pass  # the operation was stopped meanwhile, or somebody else has answered: its events tell
        except BaseException:
            # Nobody will answer: without this the code would wait until its timeout.
            with contextlib.suppress(SandbankError):
                self.cancel()
            raise


class Execution(Running):
    """An operation that runs, or ran, over a stream of its own.

    It is sent when its events or its result are first asked for.
    """

    def __init__(self, transport: Transport, follower: Follower) -> None:
        self._stream = transport.follow(follower)
        super().__init__(transport, follower, self._stream)

    def cancel(self) -> execution_pb2.Operation:
        """Ask for it to stop; the events tell when it has."""
        return self._transport.call(calls.cancel_operation(self.session_id, self.operation_id))

    def provide_input(self, input_id: str, text: str | None) -> None:
        """Answer an InputRequested with a line (without its end), or with the end of the input for None.

        Raises NotWaitingForInput where that question was answered before, or is over.
        """
        request = requests.provide_input(self.session_id, self.operation_id, input_id, text)
        self._transport.call(calls.provide_input(request))

    def close(self) -> None:
        """Stop receiving; the operation goes on."""
        self._stream.close()
