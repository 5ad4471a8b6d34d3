"""The records of a pool's sandboxes, found by id and by state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sandbank_server.pool.state import MOVES, Hold, InvalidTransition, SandboxRecord, SandboxState


class Ledger:
    """Every sandbox that is not GONE. States change only here, so the counts are always right."""

    def __init__(self) -> None:
        self._records: dict[str, SandboxRecord] = {}
        self._by_state: dict[SandboxState, dict[str, SandboxRecord]] = {state: {} for state in SandboxState}

    @property
    def total(self) -> int:
        """How many there are, from the decision to start one until it is destroyed."""
        return len(self._records)

    def __iter__(self) -> Iterator[SandboxRecord]:
        return iter(self._records.values())

    def get(self, sandbox_id: str) -> SandboxRecord | None:
        """Return the record, if the pool has that sandbox."""
        return self._records.get(sandbox_id)

    def count(self, state: SandboxState) -> int:
        """Return how many are in ``state``."""
        return len(self._by_state[state])

    def having(self, state: SandboxState) -> Iterable[SandboxRecord]:
        """Return those in ``state``, the one that has been so for longest first."""
        return self._by_state[state].values()

    def add(self, record: SandboxRecord, state: SandboxState, now: float, reason: str = "") -> None:
        """Begin the record of a sandbox. Raises :class:`InvalidTransition` for an id that is taken."""
        known = self._records.get(record.sandbox_id)
        if known is not None:
            raise InvalidTransition(known, f"added again as {state}")
        self._records[record.sandbox_id] = record
        try:
            self.move(record, state, now, reason)
        except InvalidTransition:
            del self._records[record.sandbox_id]
            raise

    def move(self, record: SandboxRecord, state: SandboxState, now: float, reason: str = "") -> None:
        """Change a sandbox's state. Raises :class:`InvalidTransition`, having changed nothing."""
        if state not in MOVES[record.state]:
            raise InvalidTransition(record, f"moved to {state}")
        if state is SandboxState.READY and record.hold is Hold.CONFIRMED:
            raise InvalidTransition(record, "used, but moved to READY")
        if record.state is not None:
            del self._by_state[record.state][record.sandbox_id]
        record.state = state
        record.reason = reason
        record.note(now, state.name, reason)
        if state is SandboxState.GONE:
            del self._records[record.sandbox_id]
        else:
            self._by_state[state][record.sandbox_id] = record
