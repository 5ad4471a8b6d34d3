"""One operation and what may become of it: pure, without clock, loop or messages.

The numbers of the enumerations are those of ``sandbank.v1``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class State(enum.IntEnum):
    """Where an operation is in its life."""

    PENDING = 1
    RUNNING = 2
    WAITING_FOR_INPUT = 3
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
    PENDING = 5
    LOST = 6


class Policy(enum.IntEnum):
    """What is to become of its effects."""

    NONE = 1
    COMMIT_ON_SUCCESS = 2
    ROLLBACK_ON_FAILURE = 3
    EXPLICIT = 4


class Isolation(enum.IntEnum):
    """What it is isolated from."""

    PROCESS = 1
    NAMESPACE = 2


class Stop(enum.Enum):
    """Why an operation is to be stopped. The first reason stays: a cancel does not turn a timeout into a cancel."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"


class End(enum.Enum):
    """How an operation came to its end."""

    WITHDRAWN = "withdrawn"
    """It was taken out of the queue, or never got in."""
    REFUSED = "refused"
    """It was its turn, and it could not begin."""
    RETURNED = "returned"
    """The interpreter says that the code ran through."""
    RAISED = "raised"
    """The interpreter says that the code raised."""
    KILLED = "killed"
    """The interpreter had to be killed to stop it."""
    DIED = "died"
    """The interpreter died of itself."""


class Kind(enum.Enum):
    """Policy, isolation and membership together: a row of the table of outcomes."""

    NONE = "none"
    ATOMIC = "atomic"
    """COMMIT_ON_SUCCESS and ROLLBACK_ON_FAILURE: they differ only in what readers see meanwhile."""
    MEMBER = "member"
    SAVEPOINT = "savepoint"
    """A member with a policy of its own."""
    NAMES = "names"
    """ISOLATION_NAMESPACE: merged or discarded by the interpreter, under every policy."""
    NAMES_MEMBER = "names member"
    """Likewise in a transaction: kept aside until its end."""


_OUTCOMES: dict[Kind, tuple[Outcome, Outcome, Outcome]] = {
    # returned, raised, raised because it was stopped. With the interpreter, its effects are gone under each.
    Kind.NONE: (Outcome.COMMITTED, Outcome.PARTIAL, Outcome.PARTIAL),
    Kind.ATOMIC: (Outcome.COMMITTED, Outcome.ROLLED_BACK, Outcome.ROLLED_BACK),
    Kind.MEMBER: (Outcome.PENDING, Outcome.PENDING, Outcome.ROLLED_BACK),
    Kind.SAVEPOINT: (Outcome.PENDING, Outcome.ROLLED_BACK, Outcome.ROLLED_BACK),
    Kind.NAMES: (Outcome.COMMITTED, Outcome.ROLLED_BACK, Outcome.ROLLED_BACK),
    Kind.NAMES_MEMBER: (Outcome.PENDING, Outcome.ROLLED_BACK, Outcome.ROLLED_BACK),
}

_STOPPED = {None: State.FAILED, Stop.CANCEL: State.CANCELLED, Stop.TIMEOUT: State.TIMED_OUT}

UNFINISHED = frozenset({State.PENDING, State.RUNNING, State.WAITING_FOR_INPUT})
"""The states that are not final."""

_BEGUN = frozenset({State.RUNNING, State.WAITING_FOR_INPUT})


class IllegalTransition(Exception):
    """A fault of the supervisor's: an operation was moved where it cannot go."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning: something that its caller should know although it is no error."""

    code: str
    message: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a transaction is begun."""

    idle_timeout: float
    include_files: bool = False


@dataclass(slots=True)
class Operation:
    """One submitted operation. Times are nanoseconds since the epoch, 0 where it did not happen."""

    operation_id: str
    code: bytes
    timeout: float
    max_output_bytes: int
    create_time: int
    traceparent: str = ""
    policy: Policy = Policy.NONE
    isolation: Isolation = Isolation.PROCESS
    transaction_id: str = ""
    """The transaction that it is a member of, or begins."""
    begins: Terms | None = None
    include_files: bool = False
    allow_input: bool = False
    report_changes: bool = False
    change_count: int = 1000
    """Changes of variables that are listed at most."""
    preview_characters: int = 200
    state: State = State.PENDING
    outcome: Outcome = Outcome.UNSPECIFIED
    start_time: int = 0
    end_time: int = 0
    execution_count: int = 0
    base: int = 0
    """The state that it began in, as the number of the newest effect in it."""
    effect: int = 0
    """The number of its own effect; 0 where it never began."""
    state_after: int | None = None
    """The state right after it; None where that is no state that one could go back to."""
    stop: Stop | None = None
    """Why it is being stopped."""
    interrupted: bool = False
    """Whether what it raised comes of the soft interrupt."""
    output_bytes: int = 0
    dropped_output_bytes: int = 0
    output_messages: int = 0
    """Pieces of output that the interpreter told of."""
    display_bytes: int = 0
    warnings: list[Notice] = field(default_factory=list)
    files_base: int | None = None
    """The base of the workspace from before it, where its rollback returns the files too."""
    files_changed: tuple[tuple[str, int], ...] = ()
    """(path, number of a ``FileChangeKind``)."""
    files_changed_truncated: bool = False
    conflicting_names: tuple[str, ...] = ()
    """ISOLATION_NAMESPACE: nothing was merged because of these."""
    history: list[str] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        """Its row of the table."""
        if self.isolation is Isolation.NAMESPACE:
            return Kind.NAMES_MEMBER if self.transaction_id else Kind.NAMES
        if self.policy in (Policy.COMMIT_ON_SUCCESS, Policy.ROLLBACK_ON_FAILURE):
            return Kind.SAVEPOINT if self.transaction_id else Kind.ATOMIC
        return Kind.MEMBER if self.transaction_id else Kind.NONE

    @property
    def finished(self) -> bool:
        """Whether it has come to its end."""
        return self.state not in UNFINISHED

    @property
    def effects_lost(self) -> bool:
        """Whether it had effects that went with its interpreter."""
        return self.outcome is Outcome.LOST

    @property
    def is_undone_alone(self) -> bool:
        """Whether its own effects are what goes when its interpreter dies now, and not its whole transaction."""
        kind = self.kind
        return kind in (Kind.NONE, Kind.ATOMIC, Kind.SAVEPOINT) or (
            kind is Kind.MEMBER and self.stop is not None
        )

    def start(self, execution_count: int, base: int, effect: int, now: int) -> None:
        """Its code is handed to an interpreter."""
        if self.state is not State.PENDING:
            raise self._illegal("start")
        self.state, self.start_time = State.RUNNING, now
        self.execution_count, self.base, self.effect = execution_count, base, effect
        self.history.append("start")

    def wish(self, stop: Stop) -> bool:
        """Record that it is to be stopped. False where it runs no longer or the wish is known already."""
        if self.state not in _BEGUN or self.stop is not None:
            return False
        self.stop = stop
        self.history.append(stop.value)
        return True

    def must_be_undone(self, how: End) -> bool:
        """Tell whether, ending so, the interpreter has to go back to the state before it."""
        return (
            self.isolation is Isolation.PROCESS
            and how in (End.RETURNED, End.RAISED)
            and self._judge(how) is Outcome.ROLLED_BACK
        )

    def end(self, how: End, now: int) -> None:
        """It is over; ``state`` and ``outcome`` follow from the table."""
        never_began = how in (End.WITHDRAWN, End.REFUSED)
        if self.state not in ((State.PENDING,) if never_began else _BEGUN) or (
            how is End.KILLED and self.stop is None
        ):
            raise self._illegal(how.value)
        self.outcome = self._judge(how)
        self.state = self._final_state(how)
        self.end_time = now
        self.code = b""
        self.history.append(how.value)

    def settle(self, *, committed: bool) -> None:
        """Its transaction has ended."""
        if self.outcome is Outcome.PENDING:
            if not committed:
                self.outcome = Outcome.ROLLED_BACK
            else:  # a member that raised left what it did before, as in a notebook
                self.outcome = Outcome.COMMITTED if self.state is State.SUCCEEDED else Outcome.PARTIAL

    def lose(self, *, asked_for: bool = False) -> bool:
        """The session went back to a state before it. True where there were effects to lose."""
        if self.outcome not in (Outcome.COMMITTED, Outcome.PARTIAL):
            return False
        self.outcome = Outcome.ROLLED_BACK if asked_for else Outcome.LOST
        return True

    def _judge(self, how: End) -> Outcome:
        if how in (End.WITHDRAWN, End.REFUSED):
            return Outcome.NOT_STARTED
        if how in (End.KILLED, End.DIED):
            return Outcome.ROLLED_BACK
        # A stop that came too late, or that the code swallowed and still ran through, takes nothing away.
        returned, raised, stopped = _OUTCOMES[self.kind]
        if how is End.RETURNED:
            return Outcome.ROLLED_BACK if self.conflicting_names else returned
        return raised if self._effective_stop is None else stopped

    def _final_state(self, how: End) -> State:
        if how is End.WITHDRAWN:
            return State.CANCELLED
        if how is End.RETURNED:
            return State.SUCCEEDED
        if how is End.DIED:
            return State.CRASHED
        if how is End.RAISED:
            return _STOPPED[self._effective_stop]
        return _STOPPED[self.stop]  # killed, or refused: of that there is no stop

    @property
    def _effective_stop(self) -> Stop | None:
        """What the code raised of itself while it was being stopped is its own."""
        return self.stop if self.interrupted else None

    def _illegal(self, what: str) -> IllegalTransition:
        return IllegalTransition(f"{what} of an operation that is {self.state.name} after {self.history}")
