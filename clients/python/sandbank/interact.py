"""Many operations on one Interact stream, over connections that may break: decisions only, no input or output.

A driver (sync or async) sends what `take` gives, reports each message with `received` and each failure with `failed`,
and then opens a new stream. What was not over when a stream broke is said again on the next, in the same order: the
server runs no operation id twice, and answers with the events from the first on, of which those that were delivered
are passed over. A refusal is not sent again by itself: what comes after it may depend on the order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbank.errors import BadAnswer, SandbankError, Unavailable
from sandbank.events import Event
from sandbank.follow import Follower
from sandbank.reasons import EventsEvicted, NotWaitingForInput
from sandbank.retrying import Patience, RetryPolicy
from sandbank.status import error_from_rejected
from sandbank.v1 import execution_pb2


@dataclass
class Entry:
    """One operation on the stream: what was asked of it, and what came of that and was not read yet.

    With `elsewhere` the rest of its events is to be had by following it on its own.
    """

    follower: Follower
    requests: list[execution_pb2.InteractRequest]
    events: deque[Event] = field(default_factory=deque)
    error: SandbankError | None = None
    elsewhere: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing more will come for it on the stream."""
        return self.follower.finished or self.error is not None or self.elsewhere


class Exchange:
    """The course of one session's Interact streams, one after the other."""

    def __init__(self, session_id: str, policy: RetryPolicy, clock: Callable[[], float]) -> None:
        self._session_id = session_id
        self._patience = Patience(policy, clock)
        self._entries: dict[str, Entry] = {}
        self._unsent: deque[tuple[Entry, execution_pb2.InteractRequest]] = deque()
        self._sent: dict[int, tuple[Entry, execution_pb2.InteractRequest]] = {}
        self._count = 0

    @property
    def unfinished(self) -> list[Entry]:
        """The operations of which more is to come on the stream, in the order in which they were sent."""
        return list(self._entries.values())

    def execute(self, follower: Follower, request: execution_pb2.ExecuteRequest) -> Entry:
        """Send an operation."""
        if follower.operation_id in self._entries:
            raise ValueError(f"operation {follower.operation_id} is on this stream already")
        entry = self._entries[follower.operation_id] = Entry(follower, [])
        self._ask(entry, execution_pb2.InteractRequest(execute=request))
        return entry

    def provide_input(self, entry: Entry, request: execution_pb2.ProvideInputRequest) -> None:
        """Send an answer to an operation's question."""
        self._ask(entry, execution_pb2.InteractRequest(input=request))

    def cancel(self, entry: Entry) -> None:
        """Send the wish that an operation stop."""
        cancel = execution_pb2.CancelOperationRequest(
            session_id=self._session_id, operation_id=entry.follower.operation_id
        )
        self._ask(entry, execution_pb2.InteractRequest(cancel=cancel))

    def take(self) -> list[execution_pb2.InteractRequest]:
        """Return what is to be sent on the stream now."""
        taken = []
        while self._unsent:
            entry, request = self._unsent.popleft()
            if entry.over:
                continue  # refused, or stopped, before this could be sent
            self._count += 1
            self._sent[self._count] = (entry, request)
            taken.append(request)
        return taken

    def received(self, message: execution_pb2.OperationEvent) -> None:
        """Take a message of the stream."""
        self._patience.progress()
        if message.HasField("rejected"):
            self._rejected(message.rejected)
            return
        entry = self._entries.get(message.operation_id)
        if entry is None:
            return  # over here already, and said again on this stream
        try:
            entry.events.extend(entry.follower.received(message))
        except BadAnswer as error:
            entry.error = error
        self._forget(entry)

    def failed(self, error: SandbankError | None) -> float:
        """Note that the stream failed, or ended where `error` is None; return how long to wait for the next.

        What is not over goes to that. Where there is to be none, each operation ends with the error.
        """
        self._count = 0
        self._sent.clear()
        self._unsent = deque((entry, request) for entry in self.unfinished for request in entry.requests)
        if not self._entries:
            return 0.0
        try:
            return self._patience.delay(error or Unavailable("the stream ended before the operations did"))
        except SandbankError as final:
            for entry in self.unfinished:
                entry.error = final
                self._forget(entry)
            self._unsent.clear()
            self._patience.progress()
            return 0.0

    def leave(self) -> None:
        """Give up the stream: whoever still wants an operation's events follows it on its own."""
        for entry in self.unfinished:
            entry.elsewhere = True
            self._forget(entry)
        self._unsent.clear()

    def _ask(self, entry: Entry, request: execution_pb2.InteractRequest) -> None:
        entry.requests.append(request)
        self._unsent.append((entry, request))

    def _rejected(self, rejected: execution_pb2.Rejected) -> None:
        entry, request = self._sent.pop(rejected.request_index, (None, None))
        if entry is None or request is None or entry.over:
            return
        error = error_from_rejected(rejected)
        if request.HasField("input") and isinstance(error, NotWaitingForInput):
            return  # it was answered, or stopped, meanwhile: its events tell
        if isinstance(error, EventsEvicted):
            # Said again on a new stream, when the events had been dropped that this side had not seen.
            entry.events.extend(entry.follower.failed(error))
            entry.elsewhere = True
        else:
            entry.error = error
        self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        if entry.over:
            self._entries.pop(entry.follower.operation_id, None)
            self._sent = {index: sent for index, sent in self._sent.items() if sent[0] is not entry}
