"""The explicit transactions of one session as far as the control plane knows them: for ever, whatever dies.

The supervisor decides when one opens and ends; what it says is recorded here. Only that one was asked for is known here
first, so that its id means something when the supervisor speaks of it, also to the next control plane.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sandbank.v1 import execution_pb2, transaction_pb2

_Operation = execution_pb2.Operation
_State = transaction_pb2.Transaction

ASKED_FOR: Final = _State.STATE_UNSPECIFIED
"""State of a transaction that was asked for and is not open yet."""

ENDED: Final = frozenset({_State.STATE_COMMITTED, _State.STATE_ROLLED_BACK})

_NEXT: Final[dict[int, frozenset[int]]] = {
    ASKED_FOR: frozenset({_State.STATE_OPEN, *ENDED}),
    _State.STATE_OPEN: ENDED,
    _State.STATE_COMMITTED: frozenset(),
    _State.STATE_ROLLED_BACK: frozenset(),
}


@dataclass(slots=True)
class LoggedTransaction:
    """What is known of one. ``base_count``: the session's execution count before it. Times in microseconds."""

    transaction_id: str
    include_files: bool
    state: int = ASKED_FOR
    begin_time_us: int = 0
    expire_time_us: int = 0
    base_count: int = 0
    reason: str = ""
    """Why it ended."""
    unanswered: bool = False
    """Who asked for it was told that it did not come to be, or was not told anything."""
    begun_by: str = ""
    """The operation that begins it; empty where BeginTransaction does."""
    members: list[str] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether it was committed or rolled back."""
        return self.state in ENDED

    @property
    def unclaimed(self) -> bool:
        """Whether it may be open although nobody has been told of it."""
        return self.unanswered or (self.state == ASKED_FOR and not self.begun_by)

    def may_become(self, state: int) -> bool:
        """Whether it can go on to ``state``."""
        return state in _NEXT[self.state]

    def outcome_of_member(self, state: int) -> _Operation.Outcome:
        """Return what becomes of a member that was PENDING, by its own final ``state``."""
        if self.state == _State.STATE_ROLLED_BACK:
            return _Operation.OUTCOME_ROLLED_BACK
        if self.state != _State.STATE_COMMITTED:
            return _Operation.OUTCOME_PENDING
        # Notebook semantics inside of a transaction: what ran before the error is committed with the rest.
        return (
            _Operation.OUTCOME_COMMITTED
            if state == _Operation.STATE_SUCCEEDED
            else _Operation.OUTCOME_PARTIAL
        )


class TransactionLedger:
    """The transactions of one session. At most one of them has not ended."""

    def __init__(self) -> None:
        self._all: dict[str, LoggedTransaction] = {}
        self._current = ""

    @property
    def current(self) -> LoggedTransaction | None:
        """The one that is open, or asked for; None when there is none."""
        return self._all.get(self._current)

    def __len__(self) -> int:
        return len(self._all)

    def get(self, transaction_id: str) -> LoggedTransaction | None:
        """Return one, None when it was never asked for."""
        return self._all.get(transaction_id)

    def ask(self, transaction_id: str, *, include_files: bool) -> LoggedTransaction:
        """Note that one was asked for. ValueError while another has not ended, or for an id that was used."""
        if self._current or transaction_id in self._all:
            raise ValueError("a transaction has not ended")
        asked = self._all[transaction_id] = LoggedTransaction(transaction_id, include_files)
        self._current = transaction_id
        return asked

    def withdraw(self, transaction_id: str) -> None:
        """Forget one that could not be asked for."""
        if self._current == transaction_id:
            self._current = ""
            del self._all[transaction_id]

    def change(self, transaction_id: str, state: int) -> LoggedTransaction:
        """Note its new state. KeyError for one that was never asked for, ValueError where it cannot become that."""
        changed = self._all[transaction_id]
        if not changed.may_become(state):
            raise ValueError(f"a transaction in state {changed.state} cannot come to {state}")
        changed.state = state
        if changed.ended:
            self._current = ""
        return changed

    def check_invariants(self) -> None:
        """Assert what must always hold."""
        open_ones = [name for name, each in self._all.items() if not each.ended]
        assert open_ones == ([self._current] if self._current else []), open_ones
