"""Following one operation to its end over connections that may break: decisions only, no input or output.

A driver (sync or async) does what `Follower.next_step` says and tells it what came of that: `received` for
each message, `ended` when the stream ended, `failed` when it failed. No event is delivered twice; one is
missing only where the server has dropped it, which an EventsMissed says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from google.protobuf.message import Message

from sandbank import rpc
from sandbank.errors import BadAnswer, SandbankError, Unavailable
from sandbank.events import Event, EventsMissed, Finished, decode_event
from sandbank.reasons import EventsEvicted
from sandbank.retrying import Patience, RetryPolicy
from sandbank.v1 import execution_pb2

# While an operation whose events are gone runs on, it is looked at this often (seconds).
_POLL = 0.5
_FINISHED_STATES = frozenset(
    {
        execution_pb2.Operation.STATE_SUCCEEDED,
        execution_pb2.Operation.STATE_FAILED,
        execution_pb2.Operation.STATE_CANCELLED,
        execution_pb2.Operation.STATE_TIMED_OUT,
        execution_pb2.Operation.STATE_CRASHED,
    }
)


@dataclass(frozen=True)
class OpenStream:
    """After `delay` seconds open this stream and report its messages."""

    method: rpc.Method[Any, execution_pb2.OperationEvent]
    request: Message
    delay: float = 0.0


@dataclass(frozen=True)
class ReadOperation:
    """After `delay` seconds call GetOperation and report its answer with `read`."""

    request: execution_pb2.GetOperationRequest
    delay: float = 0.0


Step: TypeAlias = OpenStream | ReadOperation


class Follower:
    """The course of one operation as seen from here.

    Start it with the ExecuteRequest that runs the operation, or with None to watch one that was started
    elsewhere.
    """

    def __init__(
        self,
        session_id: str,
        operation_id: str,
        policy: RetryPolicy,
        clock: Callable[[], float],
        *,
        execute: execution_pb2.ExecuteRequest | None = None,
        after_sequence: int = 0,
    ) -> None:
        self.session_id = session_id
        self.operation_id = operation_id
        self.last_sequence = after_sequence
        self.finished = False
        self._patience = Patience(policy, clock)
        self._missed = False
        self._step: Step = self._watch() if execute is None else OpenStream(rpc.EXECUTE, execute)

    def next_step(self) -> Step | None:
        """Return what to do now; None once it has finished."""
        return None if self.finished else self._step

    def received(self, message: execution_pb2.OperationEvent) -> list[Event]:
        """Take a message of the stream and return the events to deliver."""
        self._patience.progress()
        if message.operation_id and message.operation_id != self.operation_id:
            raise BadAnswer(f"an event of operation {message.operation_id} came for {self.operation_id}")
        if message.sequence <= self.last_sequence:
            return []  # replayed; delivered before
        missed: list[Event] = []
        if message.sequence != self.last_sequence + 1 and not self._missed:
            # Finished alone answers an Execute that is repeated after its events were dropped.
            if not message.HasField("finished"):
                raise BadAnswer(f"event {message.sequence} came after {self.last_sequence}")
            missed = [EventsMissed(self.last_sequence)]
        self._missed = False
        self.last_sequence = message.sequence
        # From here on the operation is known to be recorded, and the code need not travel again.
        self._step = self._watch()
        event = decode_event(message)
        self.finished = isinstance(event, Finished)
        return missed if event is None else [*missed, event]

    def read(self, operation: execution_pb2.Operation) -> list[Event]:
        """Take GetOperation's answer and return the events to deliver."""
        self._patience.progress()
        if operation.state not in _FINISHED_STATES:
            self._step = ReadOperation(self._read_request(), _POLL)
            return []
        self.finished = True
        return [Finished(self.last_sequence + 1, operation)]

    def ended(self) -> None:
        """Note that the stream ended without an error; before Finished that is one."""
        if not self.finished:
            self.failed(Unavailable("the stream ended before the operation did"))

    def failed(self, error: SandbankError) -> list[Event]:
        """Plan the next step after the stream or GetOperation failed, or raise the error."""
        if isinstance(error, EventsEvicted):
            return self._evicted(error)
        delay = self._patience.delay(error)
        step = self._step
        if isinstance(step, OpenStream):
            self._step = OpenStream(step.method, step.request, delay)
        else:
            self._step = ReadOperation(step.request, delay)
        return []

    def _evicted(self, error: SandbankError) -> list[Event]:
        told = self.last_sequence
        first = error.metadata.get("first_sequence", "")
        self._missed = True
        if first.isascii() and first.isdigit() and len(first) < 19 and int(first) > told + 1:
            # The server says where its journal begins: go on from there. Sequences that were dropped are
            # passed over.
            self.last_sequence = int(first) - 1
            self._step = self._watch()
        else:
            self._step = ReadOperation(self._read_request())
        return [EventsMissed(told)]

    def _watch(self) -> OpenStream:
        request = execution_pb2.WatchOperationRequest(
            session_id=self.session_id, operation_id=self.operation_id, after_sequence=self.last_sequence
        )
        return OpenStream(rpc.WATCH_OPERATION, request)

    def _read_request(self) -> execution_pb2.GetOperationRequest:
        return execution_pb2.GetOperationRequest(session_id=self.session_id, operation_id=self.operation_id)
