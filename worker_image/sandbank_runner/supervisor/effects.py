"""Which effects the session has: every operation that begins gets a number, and a state is the newest number in it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Effects:
    """Numbers only grow: going back leaves a gap, so that a number never means two things."""

    newest: int = 0
    """The last number that was given."""
    state: int = 0
    """The state of the live interpreter."""
    operation_id: str = ""
    """The operation of that number; empty for a pristine interpreter."""
    origin: int = 0
    """The state of a pristine interpreter."""

    def begin(self, operation_id: str) -> int:
        """Return the number of an operation that begins."""
        self.newest += 1
        self.state, self.operation_id = self.newest, operation_id
        return self.newest

    def go_back(self, state: int, operation_id: str) -> None:
        """The session is in an earlier state."""
        self.state, self.operation_id = state, operation_id

    def reset(self) -> None:
        """There is a pristine interpreter because somebody wanted one: what was before cannot be gone back to."""
        self.newest += 1
        self.origin = self.newest
        self.go_back(self.origin, "")
