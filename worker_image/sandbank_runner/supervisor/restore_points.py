"""The states that the session can go back to: which there are, which to try first, which need not be kept. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sandbank_runner.supervisor.interpreter_process import Interpreter


@dataclass(frozen=True, slots=True)
class Mark:
    """A state of the session."""

    state: int
    """The newest effect in it."""
    operation_id: str
    """Whose effect that is; empty: nobody's."""
    execution_count: int


@dataclass(frozen=True, eq=False, slots=True)
class RestorePoint:
    """A sleeping snapshot. Woken, it is one no longer."""

    number: int
    mark: Mark
    sleeper: Interpreter
    processes: tuple[tuple[int, int], ...] = ()
    """(pid, start time) of what user code had running beside the interpreter."""


@dataclass(frozen=True, slots=True)
class WayBack:
    """Where to go back to: to ``exact`` where that state can be had, else to the newest not later than ``limit``."""

    limit: int
    exact: int | None = None
    limit_files: int | None = None
    """The base that the workspace goes back to with ``limit``; None: the files stay as they are."""
    exact_files: int | None = None
    """Likewise with ``exact``."""

    @property
    def wanted(self) -> int:
        """The state that is hoped for."""
        return self.limit if self.exact is None else self.exact

    def files_for(self, point: RestorePoint | None) -> int | None:
        """Return the base of the workspace that goes with a restore point, or with none."""
        exactly = self.exact is not None and point is not None and point.mark.state == self.exact
        return self.exact_files if exactly else self.limit_files


class RestorePoints:
    """In the order of their states, which is that of their making."""

    def __init__(self) -> None:
        self._points: list[RestorePoint] = []

    def __iter__(self) -> Iterator[RestorePoint]:
        return iter(tuple(self._points))

    def __len__(self) -> int:
        return len(self._points)

    @property
    def newest(self) -> RestorePoint | None:
        """The last one."""
        return self._points[-1] if self._points else None

    def of_state(self, state: int) -> RestorePoint | None:
        """Return the one of just that state."""
        return next((point for point in reversed(self._points) if point.mark.state == state), None)

    def not_later(self, state: int) -> list[RestorePoint]:
        """Return those of that state or earlier ones, newest first."""
        return [point for point in reversed(self._points) if point.mark.state <= state]

    def candidates(self, way: WayBack) -> list[RestorePoint]:
        """Return what to try, best first."""
        exact = None if way.exact is None else self.of_state(way.exact)
        others = [point for point in self.not_later(way.limit) if point is not exact]
        return others if exact is None else [exact, *others]

    def add(self, point: RestorePoint) -> None:
        """A new one, of the newest state."""
        assert not self._points or self._points[-1].mark.state < point.mark.state
        self._points.append(point)

    def remove(self, point: RestorePoint) -> bool:
        """Forget one; False where it is not among them."""
        if point not in self._points:
            return False
        self._points.remove(point)
        return True

    def later_than(self, state: int) -> list[RestorePoint]:
        """Return those of later states: after going back they are of a past that never was."""
        return [point for point in self._points if point.mark.state > state]

    def surplus(self, history: int, pinned: Collection[int]) -> list[RestorePoint]:
        """Return what nobody needs: not the newest, nor ``history`` before it, nor the way to a state of ``pinned``."""
        kept = {id(point) for point in self._points[-1 - history :]}
        for state in pinned:
            kept.update(id(point) for point in self.not_later(state)[:1])
        return [point for point in self._points if id(point) not in kept]
