"""One operation and what may become of it: pure, without clock, loop or messages.

The numbers of :class:`State` and :class:`Outcome` are those of ``sandbank.v1.Operation``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class State(enum.IntEnum):
    """Where an operation is in its life."""

    PENDING = 1
    RUNNING = 2
    SUCCEEDED = 4
    FAILED = 5
    CANCELLED = 6
    TIMED_OUT = 7
    CRASHED = 8


class Outcome(enum.IntEnum):
    """What became of its effects on the session's state."""

    UNSPECIFIED = 0
    NOT_STARTED = 1
    COMMITTED = 2
    PARTIAL = 3
    ROLLED_BACK = 4
    LOST = 6


class Stop(enum.Enum):
    """Why an operation is to be stopped. The first reason stays: a cancel does not turn a timeout into a cancel."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"


class End(enum.Enum):
    """How an operation came to its end."""

    WITHDRAWN = "withdrawn"
    """It was taken out of the queue, or never got in."""
    RETURNED = "returned"
    """The interpreter says that the code ran through."""
    RAISED = "raised"
    """The interpreter says that the code raised."""
    KILLED = "killed"
    """The interpreter had to be killed to stop it."""
    DIED = "died"
    """The interpreter died of itself."""


_ENDS: dict[tuple[State, End, Stop | None], tuple[State, Outcome]] = {
    (State.PENDING, End.WITHDRAWN, None): (State.CANCELLED, Outcome.NOT_STARTED),
    # A stop that came too late, or that the code swallowed and still ran through, takes nothing away.
    (State.RUNNING, End.RETURNED, None): (State.SUCCEEDED, Outcome.COMMITTED),
    (State.RUNNING, End.RETURNED, Stop.CANCEL): (State.SUCCEEDED, Outcome.COMMITTED),
    (State.RUNNING, End.RETURNED, Stop.TIMEOUT): (State.SUCCEEDED, Outcome.COMMITTED),
    (State.RUNNING, End.RAISED, None): (State.FAILED, Outcome.PARTIAL),
    (State.RUNNING, End.RAISED, Stop.CANCEL): (State.CANCELLED, Outcome.PARTIAL),
    (State.RUNNING, End.RAISED, Stop.TIMEOUT): (State.TIMED_OUT, Outcome.PARTIAL),
    # Without a snapshot to wake, the whole state of the interpreter goes with it: nothing of the effects is left.
    (State.RUNNING, End.KILLED, Stop.CANCEL): (State.CANCELLED, Outcome.ROLLED_BACK),
    (State.RUNNING, End.KILLED, Stop.TIMEOUT): (State.TIMED_OUT, Outcome.ROLLED_BACK),
    (State.RUNNING, End.DIED, None): (State.CRASHED, Outcome.ROLLED_BACK),
    (State.RUNNING, End.DIED, Stop.CANCEL): (State.CRASHED, Outcome.ROLLED_BACK),
    (State.RUNNING, End.DIED, Stop.TIMEOUT): (State.CRASHED, Outcome.ROLLED_BACK),
}

UNFINISHED = frozenset({State.PENDING, State.RUNNING})
"""The states that are not final."""


class IllegalTransition(Exception):
    """A fault of the supervisor's: an operation was moved where it cannot go."""


@dataclass(slots=True)
class Operation:
    """One submitted operation. Times are nanoseconds since the epoch, 0 where it did not happen."""

    operation_id: str
    code: bytes
    timeout: float
    max_output_bytes: int
    create_time: int
    traceparent: str = ""
    state: State = State.PENDING
    outcome: Outcome = Outcome.UNSPECIFIED
    start_time: int = 0
    end_time: int = 0
    execution_count: int = 0
    generation: int = 0
    """Which interpreter it ran in."""
    stop: Stop | None = None
    """Why it is being stopped."""
    interrupted: bool = False
    """Whether what it raised comes of the soft interrupt."""
    output_bytes: int = 0
    dropped_output_bytes: int = 0
    display_bytes: int = 0
    history: list[str] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether it has come to its end."""
        return self.state not in UNFINISHED

    @property
    def effects_lost(self) -> bool:
        """Whether it had effects that went with its interpreter."""
        return self.outcome is Outcome.LOST

    def start(self, execution_count: int, generation: int, now: int) -> None:
        """Its code is handed to an interpreter."""
        if self.state is not State.PENDING:
            raise self._illegal("start")
        self.state, self.start_time = State.RUNNING, now
        self.execution_count, self.generation = execution_count, generation
        self.history.append("start")

    def wish(self, stop: Stop) -> bool:
        """Record that it is to be stopped. False where it runs no longer or the wish is known already."""
        if self.state is not State.RUNNING or self.stop is not None:
            return False
        self.stop = stop
        self.history.append(stop.value)
        return True

    def end(self, how: End, now: int) -> None:
        """It is over; ``state`` and ``outcome`` follow from the table."""
        # What the code raised of itself while it was being stopped is its own.
        stop = None if how is End.RAISED and not self.interrupted else self.stop
        result = _ENDS.get((self.state, how, stop))
        if result is None:
            raise self._illegal(how.value)
        self.state, self.outcome = result
        self.end_time = now
        self.code = b""
        self.history.append(how.value)

    def lose(self) -> bool:
        """Its interpreter is gone with its effects. True where there were any to lose."""
        if self.outcome not in (Outcome.COMMITTED, Outcome.PARTIAL):
            return False
        self.outcome = Outcome.LOST
        return True

    def _illegal(self, what: str) -> IllegalTransition:
        return IllegalTransition(f"{what} of an operation that is {self.state.name} after {self.history}")
