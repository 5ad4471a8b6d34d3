"""Killing user code's processes in a container: all at one blow, or all but some.

For the moment the template's effective user is B. Its real user is S, or its own where sleepers are to be spared, and
its saved user is its own: B, which may signal by real and saved uid only, cannot stop it half-way.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterator

from sandbank_runner.walls.processes import living, pids, uids
from sandbank_runner.walls.users import NOBODY, Users

_ROUNDS = 50
"""Looks before all are stopped first: a chain of forks is caught in a handful."""

_EMPTY_LOOKS = 2
"""Looks in a row that must find nothing: what forks on and on can be ahead of one reading of /proc."""

_PAUSE_SECONDS = 0.0002
"""For what was killed to die."""


def sweep_all(users: Users, *, spare_sleepers: bool) -> None:
    """Kill every process of user code. ``kill(-1)`` reaches all at once: no fork gets past it."""
    with _acting_as_code(users, real=users.template if spare_sleepers else users.sleeper):
        _signal(-1, signal.SIGKILL)


def sweep_others(users: Users, keep: Collection[tuple[int, int]]) -> None:
    """Kill every process of user code but ``keep``, each a pid and its start time, and what sleeps as S.

    Looks until there is none left. What forks faster than it is found is stopped for that, with all others.
    """
    kept = frozenset(keep)
    with _acting_as_code(users, real=users.sleeper):
        empty = 0
        for _ in range(_ROUNDS):
            found = list(_others(users, kept))
            empty = 0 if found else empty + 1
            if empty == _EMPTY_LOOKS:
                return
            for pid in found:
                _signal(pid, signal.SIGKILL)
            if found:
                time.sleep(_PAUSE_SECONDS)
    with _acting_as_code(users, real=users.template):
        _signal(-1, signal.SIGSTOP)  # nothing forks any more
    with _acting_as_code(users, real=users.sleeper):
        for pid in _others(users, kept):
            _signal(pid, signal.SIGKILL)
    with _acting_as_code(users, real=users.template):
        _signal(-1, signal.SIGCONT)


def _others(users: Users, kept: frozenset[tuple[int, int]]) -> Iterator[int]:
    """Find processes with user code's or the sleepers' uid that are neither kept, nor sleepers, nor file helpers."""
    spared = ((users.sleeper, users.code, users.sleeper), (NOBODY, users.code, NOBODY))
    ours = {users.code, users.sleeper}
    own = os.getpid()
    for pid in pids():
        found = None if pid == own else uids(pid)
        if found is None or found in spared or ours.isdisjoint(found):
            continue
        process = living(pid)
        if process is not None and (pid, process.start_time) not in kept:
            yield pid


@contextlib.contextmanager
def _acting_as_code(users: Users, *, real: int) -> Iterator[None]:
    os.setresuid(real, users.code, users.template)
    try:
        yield
    finally:
        os.setresuid(users.template, users.template, users.template)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
