"""Which operations' effects the checkpoints of a session have, and which checkpoints led to the state of today."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

_Gap = tuple[int, int]
"""Effects that a state does not have although it has later ones: ranks above the first number, up to the second."""


class Coverage:
    """Checkpoints by the *rank* of the newest operation whose effects they have: its place in the order of ends.

    Ranks count from 1. Going back to a checkpoint leaves a gap: states after it do not have the effects of what ended
    in between.
    """

    def __init__(self) -> None:
        self.line: list[str] = []
        """The checkpoints of the states that led to that of today, oldest first."""
        self._ranks: dict[str, int] = {}
        self._gaps: tuple[_Gap, ...] = ()
        self._gaps_of: dict[str, tuple[_Gap, ...]] = {}
        self._rising: list[tuple[int, str]] = []
        """Those that have more than any before them."""

    def add(self, checkpoint_id: str, rank: int) -> None:
        """There is a checkpoint of the state of today, or of a moment ago, that has the effects up to ``rank``.

        Told of one again, it may have more than was known.
        """
        if checkpoint_id not in self._ranks:
            self.line.append(checkpoint_id)
        elif rank <= self._ranks[checkpoint_id]:
            return
        self._ranks[checkpoint_id] = rank
        if self._gaps:
            self._gaps_of[checkpoint_id] = self._gaps
        if not self._rising or rank > self._rising[-1][0]:
            self._rising.append((rank, checkpoint_id))

    def knows(self, checkpoint_id: str) -> bool:
        """Whether it was added."""
        return checkpoint_id in self._ranks

    def rank_of(self, checkpoint_id: str) -> int:
        """Return up to where it has effects; 0 where it is of another session, or unknown."""
        return self._ranks.get(checkpoint_id, 0)

    def has(self, checkpoint_id: str, rank: int) -> bool:
        """Whether a checkpoint has the effects of an operation."""
        return 0 < rank <= self.rank_of(checkpoint_id) and not _in_gap(
            rank, self._gaps_of.get(checkpoint_id, ())
        )

    def has_now(self, rank: int) -> bool:
        """Whether the state of today has the effects of an operation, as far as going back took none away."""
        return rank > 0 and not _in_gap(rank, self._gaps)

    def first_with(self, rank: int) -> str:
        """Return the first checkpoint that has the effects of an operation, empty where there is none."""
        at = bisect_left(self._rising, (rank, ""))
        found = self._rising[at][1] if at < len(self._rising) else ""
        return found if found and self.has(found, rank) else ""

    def go_back(self, checkpoint_id: str, newest: int) -> None:
        """The state is a checkpoint's; empty: a pristine one. ``newest``: the rank of the newest operation so far."""
        rank = self.rank_of(checkpoint_id)
        # What its own state lacked it lacks again; what came after the gap is in the gap that begins now.
        kept = [gap for gap in self._gaps_of.get(checkpoint_id, ()) if gap[1] < rank]
        self._gaps = (*kept, (rank, newest)) if newest > rank else tuple(kept)
        if not checkpoint_id:
            return
        if checkpoint_id in self.line:
            del self.line[self.line.index(checkpoint_id) + 1 :]
        else:  # another session's, or one of a state that had been left
            self.line = [checkpoint_id]

    def before(self, checkpoint_id: str) -> Sequence[str]:
        """Return those that led to a checkpoint of :attr:`line`, newest first."""
        if checkpoint_id not in self.line:
            return ()
        return self.line[: self.line.index(checkpoint_id)][::-1]


def _in_gap(rank: int, gaps: tuple[_Gap, ...]) -> bool:
    return any(first < rank <= last for first, last in gaps)
