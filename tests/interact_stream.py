"""One Interact stream by its bare stub, driven step by step."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterator
from typing import Any

import grpc
from sandbank.v1 import execution_pb2 as ex

from tests.raw_api import Api

_END = object()


class Stream:
    """Sends when told to, and reads when told to: what was not read stays in the transport."""

    def __init__(self, api: Api, session_id: str = "", *, timeout: float = 60.0) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.session_id = session_id
        self.call = api.execution.Interact(iter(self._requests.get, _END), timeout=timeout)
        self.seen: list[ex.OperationEvent] = []

    def send(self, request: ex.InteractRequest | None = None, **fields: Any) -> None:
        """Send a request: ``send(execute=…)``."""
        self._requests.put(request or ex.InteractRequest(**fields))

    def execute(self, operation_id: str, code: str, **fields: Any) -> None:
        """Run code."""
        fields.setdefault("session_id", self.session_id)
        self.send(execute=ex.ExecuteRequest(operation_id=operation_id, code=code, **fields))

    def answer(self, operation_id: str, input_id: str, **reply: Any) -> None:
        """Answer a question."""
        self.send(input=ex.ProvideInputRequest(operation_id=operation_id, input_id=input_id, **reply))

    def cancel(self, operation_id: str) -> None:
        """Stop an operation."""
        self.send(cancel=ex.CancelOperationRequest(operation_id=operation_id))

    def done(self) -> None:
        """Half-close."""
        self._requests.put(_END)

    def next(self) -> ex.OperationEvent:
        """Read one event. StopIteration at the end, RpcError where the stream fails."""
        event = next(self.call)
        assert isinstance(event, ex.OperationEvent)
        self.seen.append(event)
        return event

    def until(self, kind: str, operation_id: str = "") -> ex.OperationEvent:
        """Read up to an event of a kind, of that operation if one is named."""
        while True:
            event = self.next()
            if event.WhichOneof("event") == kind and operation_id in ("", event.operation_id):
                return event

    def rest(self) -> list[ex.OperationEvent]:
        """Half-close, read everything that comes, and return it."""
        self.done()
        start = len(self.seen)
        with contextlib.suppress(StopIteration):
            while True:
                self.next()
        return self.seen[start:]

    def of(self, operation_id: str) -> list[ex.OperationEvent]:
        """Return what was read of an operation."""
        return [event for event in self.seen if event.operation_id == operation_id]


@contextlib.contextmanager
def interacting(api: Api, session_id: str, **options: Any) -> Iterator[Stream]:
    """Open a stream on a session; it is left as a client that goes away leaves it."""
    stream = Stream(api, session_id, **options)
    try:
        yield stream
    finally:
        stream.done()
        stream.call.cancel()


def code_of(error: grpc.RpcError) -> str:
    """Return the name of an error's status."""
    return str(error.code().name)
