"""Which effects the session has: every operation that begins gets a number, and a state is the newest number in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class Watch:
    """Somebody works on a state, and is told when the session does not have it any more."""

    state: int
    gone: bool = False
    on_gone: Callable[[], None] | None = None

    def tell(self) -> None:
        """The session went back behind it."""
        self.gone = True
        if self.on_gone is not None:
            self.on_gone()


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
    watches: list[Watch] = field(default_factory=list)
    """To be told; whoever adds one takes it out again."""

    def begin(self, operation_id: str) -> int:
        """Return the number of an operation that begins."""
        self.newest += 1
        self.state, self.operation_id = self.newest, operation_id
        return self.newest

    def go_back(self, state: int, operation_id: str) -> None:
        """The session is in an earlier state."""
        self.state, self.operation_id = state, operation_id
        for watch in self.watches:
            if watch.state > state:
                watch.tell()

    def reset(self) -> None:
        """There is a pristine interpreter because somebody wanted one: what was before cannot be gone back to."""
        self.go_back(-1, "")
        self.newest += 1
        self.state = self.origin = self.newest

    def restore(self, operation_id: str) -> None:
        """Likewise, but it has a state that was kept outside: the first effect on a pristine one."""
        self.reset()
        self.begin(operation_id)
