"""Descriptors: a forked process keeps those that are its own and no other."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable

from sandbank_runner.walls.numbers import number_of
from sandbank_runner.walls.system_calls import system_call

CHANNEL = 250
"""Where an interpreter's channel lies, in every generation: away from the low numbers that programs close."""

TEMPLATE_CHANNEL = 3
"""Where the template finds its channel when it is executed."""

_LAST = 0xFFFF_FFFF


def close_all_but(keep: Iterable[int]) -> None:
    """Close every descriptor that is not in ``keep``."""
    start = 0
    for number in sorted(set(keep)):
        if number > start:
            _close_range(start, number - 1)
        start = number + 1
    _close_range(start, _LAST)


def _close_range(first: int, last: int) -> None:
    try:
        system_call(number_of("close_range"), first, last, 0)
    except OSError:  # Linux before 5.9
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        highest = hard if hard != resource.RLIM_INFINITY else 1 << 20
        os.closerange(first, min(last, highest) + 1)
