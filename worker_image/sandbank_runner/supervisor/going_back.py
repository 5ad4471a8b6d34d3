"""Going back on purpose, or because the interpreter is dead: which way is taken, and on whose account."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sandbank_runner.supervisor.interpreter_process import Interpreter
from sandbank_runner.supervisor.interpreters import Death
from sandbank_runner.supervisor.ledger import ROLLBACK, Ledger
from sandbank_runner.supervisor.operations import Operation
from sandbank_runner.supervisor.restore_points import WayBack
from sandbank_runner.supervisor.ways_back import Errand, after_death


@dataclass(frozen=True, slots=True)
class Arrival:
    """The session has an interpreter again, or will have a fresh one."""

    death: Death
    errand: Errand | None
    """On whose account it went back; None where the interpreter died, or had to be killed for what it ran."""
    exactly: bool
    """It is in the very state that was wanted."""

    @property
    def swept_away_by(self) -> str:
        """What ended operations that nobody wished to end: a reset, a restore or a rewind; empty where nothing did."""
        if self.death.was_reset:
            return "reset" if self.death.restoration is None else "restore"
        return "rewind" if self.errand is not None and self.errand.rewinds else ""


class GoingBack:
    """One way at a time."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._errand: Errand | None = None
        self._way: WayBack | None = None

    def go(self, interpreter: Interpreter, errand: Errand, why: str = ROLLBACK) -> None:
        """Kill ``interpreter`` and go where ``errand`` says."""
        self._errand = errand
        interpreter.kill(why)

    def choose(self, running: Iterable[Operation]) -> WayBack:
        """The interpreter is dead: say where to go back to."""
        if self._errand is not None:
            self._way = self._errand.way
        else:
            self._way = after_death(running, self._ledger.transactions.open, self._ledger.effects)
        return self._way

    def arrive(self, death: Death, operation_id: str) -> Arrival:
        """Another interpreter has taken over after one that died under an operation: settle what went."""
        errand, self._errand = self._errand, None
        way, self._way = self._way, None
        if death.was_reset or way is None:
            self._ledger.reset(death.restoration)
            return Arrival(death, errand, exactly=False)
        exactly = self._ledger.went_back(
            death,
            way,
            operation_id=operation_id,
            reason=errand.reason if errand else f"the interpreter died ({death.cause})",
            asked_for=errand is not None and errand.rewinds,
        )
        return Arrival(death, errand, exactly)
