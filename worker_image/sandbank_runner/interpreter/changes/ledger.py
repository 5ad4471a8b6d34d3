"""Which names may have changed since the checkpoint that was last acknowledged.

A checkpoint is written by a fork: what changes from the fork on is not in it. So the names are set aside when it
begins, and come back should it fail. A snapshot that wakes up later knows an older base and what had changed since
that one, which is as right.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from sandbank_runner.interpreter.sealed import seal

seal(globals())


class Ledger:
    """Counts changes. Not sure means changed.

    ``look`` returns the names that have changed since they were last looked at; None where that cannot be known.
    """

    def __init__(
        self,
        look: Callable[[], Collection[str] | None],
        is_settled: Callable[[], bool],
        forget: Callable[[], None],
    ) -> None:
        """``is_settled`` tells whether nothing of the user's has run since the end of the last operation.

        ``forget`` is called when variables were bound that no operation is to report.
        """
        self.noted: Callable[[Iterable[str] | None], None] = _nobody
        """Is told of each change too; None: anything may have changed."""
        self._look = look
        self._is_settled = is_settled
        self._forget = forget
        self.base = ""
        """The checkpoint that changes are counted from; empty: there is none."""
        self._since: set[str] | None = None
        """Names that have changed since the newest checkpoint began; None: nobody knows."""
        self._aside: dict[str, set[str] | None] = {}
        """What had changed before each checkpoint whose end is not known, oldest first."""

    def note(self, names: Iterable[str]) -> None:
        """Names have changed, or may have."""
        changed = [*names]
        self.noted(changed)
        if self._since is not None:
            self._since.update(changed)

    def lose_count(self) -> None:
        """Anything may have changed."""
        self.noted(None)
        self._since = None

    def names(self) -> Collection[str] | None:
        """Return the names that may have changed since the base, those gone included; None: nobody knows."""
        if not self.base:
            return None
        self.catch_up()
        return _union([*self._aside.values(), self._since])

    def begin(self, checkpoint_id: str) -> None:
        """Take note of a checkpoint that is being written: what changes from here on is not in it."""
        self.catch_up()
        self._aside[checkpoint_id] = self._since
        # What other threads did just after the fork was taken for what was before it.
        self._since = set() if self._is_settled() else None

    def ended(self, checkpoint_id: str, durable: bool) -> None:
        """Count from that checkpoint on, or add again what was counted before it."""
        if checkpoint_id not in self._aside:
            return
        if not durable:
            self._since = _union([self._aside.pop(checkpoint_id), self._since])
            return
        self.base = checkpoint_id
        for name in list(self._aside):
            del self._aside[name]
            if name == checkpoint_id:
                break

    def restored(self, checkpoint_id: str) -> None:
        """Count from a checkpoint that was just loaded."""
        self._aside.clear()
        self.base = checkpoint_id
        self._forget()
        self._since = None if self._look() is None else set()

    def catch_up(self) -> None:
        """Look for what nobody has reported."""
        found = self._look()
        if found is None:
            self.lose_count()
        else:
            self.note(found)


def _nobody(_names: Iterable[str] | None) -> None:
    pass


def _union(parts: Iterable[set[str] | None]) -> set[str] | None:
    found: set[str] = set()
    for part in parts:
        if part is None:
            return None
        found |= part
    return found
