"""Ends of operations that nobody is told of before their effects are durable (CHECKPOINT_POLICY_SYNCHRONOUS)."""

from __future__ import annotations

from sandbank.v1 import execution_pb2

from sandbank_server.sessions.log.entry import KEPT_EFFECT
from sandbank_server.sessions.log.state import End, LogState


class HeldEnds:
    """Of one session, in the order in which its operations ended."""

    def __init__(self, log: LogState) -> None:
        self._log = log
        self._events: dict[str, tuple[execution_pb2.OperationEvent, int]] = {}
        """With how many operations had ended, for everybody to know, when it came."""

    def __contains__(self, operation_id: object) -> bool:
        """Whether an operation's end is held back."""
        return operation_id in self._events

    def hold(self, event: execution_pb2.OperationEvent) -> None:
        """Hold a Finished back."""
        self._events[event.operation_id] = event, self._log.finished_count

    def pop(self, operation_id: str) -> execution_pb2.OperationEvent | None:
        """Let go of one, None where it is not held."""
        held = self._events.pop(operation_id, None)
        return None if held is None else held[0]

    def clear(self) -> None:
        """Their sandbox is gone: the ends that it told are none any more."""
        self._events.clear()

    def saved(self) -> list[str]:
        """Return those whose end is known to whoever reads the log."""
        return [name for name in self._events if self._log.saved_end(name) is not None]

    def ends_up_to(self, operation_id: str) -> list[End]:
        """Return those whose effects a state has that has the effects up to an operation's."""
        names = list(self._events)
        if operation_id in self._events:
            names = names[: names.index(operation_id) + 1]
        else:
            # Not held, so its end is known; it came after that of another where that one was held before it.
            rank = self._log.rank_of(operation_id)
            names = [name for name in names if self._events[name][1] < rank]
        there = (name for name in names if not self._log.is_gone(name))
        return [end for end in map(self.end_of, there) if end[2] in KEPT_EFFECT]

    def end_of(self, operation_id: str) -> End:
        """Return how one ended that is held back."""
        operation = self._events[operation_id][0].finished.operation
        return operation_id, operation.state, operation.outcome
