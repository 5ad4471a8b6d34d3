"""When snapshots are taken: one that something waits for at once, else when the session has been quiet for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sandbank_runner.supervisor.interpreter_process import Interpreter
from sandbank_runner.supervisor.lazy_timer import LazyTimer
from sandbank_runner.supervisor.ledger import Ledger
from sandbank_runner.supervisor.snapshots import Snapshots

_LONGEST_PATIENCE_SECONDS = 2.0
"""How long to wait at most before trying again for one that could not be had."""


class SafetySnapshots:
    """``idle`` gives the interpreter when nothing runs or waits, ``again`` looks at the queue once more."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        snapshots: Snapshots,
        ledger: Ledger,
        idle: Callable[[], Interpreter | None],
        again: Callable[[], None],
    ) -> None:
        self._snapshots = snapshots
        self._ledger = ledger
        self._idle = idle
        self._again = again
        quiet = snapshots.settings.quiet_seconds
        self._patience = quiet
        self._quiet = LazyTimer(loop, quiet, self._when_quiet)

    @property
    def standing(self) -> bool:
        """Whether there is a snapshot of the state as it is."""
        newest = self._snapshots.points.newest
        return newest is not None and newest.mark.state == self._ledger.effects.state

    @property
    def lacks_base(self) -> bool:
        """Whether the open transaction's way back was used up by an operation of it: it needs another at once."""
        opened = self._ledger.transactions.open
        return (
            opened is not None
            and opened.base == self._ledger.effects.state
            and not self.standing
            and not self._snapshots.taking
            and not self._snapshots.settings.disabled
            and self._snapshots.refusal is None
        )

    def activity(self) -> None:
        """Something ran, or may have: the quiet time begins anew."""
        if not self.standing:
            self._quiet.touch()

    def take(self, interpreter: Interpreter) -> None:
        """Take one of an interpreter that is free, and look at the queue again."""
        self._snapshots.take(interpreter, self._ledger.mark, self._taken)

    def _taken(self) -> None:
        if self._snapshots.refusal is None:
            self._patience = self._snapshots.settings.quiet_seconds
        elif self._idle() is not None:  # nobody waits for it: threads may have ended by and by
            self._snapshots.forget_refusal()
            self._patience = min(2 * self._patience, _LONGEST_PATIENCE_SECONDS)
            self._quiet.touch(self._patience)
            return
        self._again()

    def _when_quiet(self) -> None:
        interpreter = self._idle()
        if (
            interpreter is not None
            and interpreter.used
            and not self.standing
            and not self._snapshots.settings.disabled
            and not self._snapshots.taking
        ):
            self.take(interpreter)
