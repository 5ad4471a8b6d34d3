"""Timers and signals that wait, which a fork starts without."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
from dataclasses import dataclass

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.signals import SIGINT, sigpending
from sandbank_runner.interpreter.snapshots.kernel import contents
from sandbank_runner.walls.numbers import number_of
from sandbank_runner.walls.system_calls import system_call

seal(globals())

_getitimer, _setitimer = _signal.getitimer, _signal.setitimer
_KINDS = (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF)
_system_call = system_call
_KILL = number_of("kill")
_getpid = os.getpid


@dataclass(slots=True)
class Timers:
    """What ``setitimer`` and ``alarm`` have set, which signals wait for user code to run again, and the rest."""

    intervals: list[tuple[int, float, float]]
    waiting: list[int]
    others: list[str]
    """Timers of the kernel (``timer_create``) that cannot be set again from outside."""

    def put_back(self) -> None:
        """Set them again, with the time that was left at the snapshot."""
        for kind, seconds, interval in self.intervals:
            _setitimer(kind, seconds, interval)
        for number in self.waiting:
            _system_call(_KILL, _getpid(), number)


def look() -> Timers:
    """Look at those of this process."""
    intervals = []
    for kind in _KINDS:
        seconds, interval = _getitimer(kind)
        if seconds:
            intervals.append((kind, seconds, interval))
    try:
        others = [
            line.decode() for line in contents(b"/proc/self/timers").splitlines() if line.startswith(b"ID:")
        ]
    except OSError:  # a kernel without CONFIG_CHECKPOINT_RESTORE
        others = []
    return Timers(intervals, [int(number) for number in sigpending() if number != SIGINT], others)
