"""User code's share of the processor: niced and held to few CPUs, for the supervisor's sake."""

from __future__ import annotations

import math
import os
import random

NICENESS = 10
"""Added to user code's nice value; without CAP_SYS_NICE it cannot be taken back."""


def choose(cpu_count: float) -> frozenset[int] | None:
    """Return ceil(``cpu_count``) of the CPUs allowed now, or None when that is all of them.

    They are drawn at random: the first ones would be the same for every sandbox of a host.
    """
    allowed = sorted(os.sched_getaffinity(0))
    wanted = max(1, math.ceil(cpu_count))
    if wanted >= len(allowed):
        return None
    return frozenset(random.sample(allowed, wanted))


def hold(cpus: frozenset[int] | None) -> None:
    """Nice the calling process and hold it to ``cpus``; its descendants inherit both."""
    os.nice(NICENESS)
    if cpus is not None:
        os.sched_setaffinity(0, cpus)
